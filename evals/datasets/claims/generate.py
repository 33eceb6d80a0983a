"""Makes the generated half of the claim cases: valid copy about every offer, and the same with one planted corruption.

    python -m evals.datasets.claims.generate

writes `generated.jsonl` beside this file; the same seed writes the same bytes, and a test keeps the file equal to that.
"""

import datetime as dt
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

HERE = Path(__file__).parent
NOW = "2026-11-25T09:00:00+00:00"
SEED, VALID_EACH = 20261124, 36
_HABITS = range(3, VALID_EACH, 7)  # the pieces that tell a habit
# Offers that other cases are about; nothing is generated about them.
LATER = ("laptop", "knife", "cooker", "market")
_SIGNS = {"USD": "${}", "GBP": "£{}", "EUR": "€{}", "CAD": "${}", "AUD": "${}"}
_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 15: "fifteen", 20: "twenty", 25: "twenty-five", 33: "thirty-three",
            40: "forty", 30: "thirty", 35: "thirty-five", 50: "fifty", 60: "sixty", 45: "forty-five"}  # fmt: skip
_HOOKS = ("Treat yourself to {p}.", "Your {p} is waiting.", "We thought of you when we saw this {p}.", "Time to stock up on {p}.",
          "Make room for {p} from {b}.", "{B} has something good for you: {p}.", "A little extra for your table: {p}.")  # fmt: skip
# What only somebody may be told of whom it is a permitted fact.
_HABIT = "You like {p}, so here you go."
_CHANNELS = ("email", "web", "email", "push", "email", "sms")
_CTAS = ("See the offer", "Take a look", "Shop now", "Get it here")
_FIRST = ("Anna", "Ben", "Chloe", "David")


def offers() -> dict[str, dict[str, Any]]:
    """Offers by key, with their locale."""
    return dict(yaml.safe_load((HERE / "offers.yaml").read_text()))


def money(value: float, currency: str) -> str:
    """As people write it."""
    return _SIGNS[currency].format(f"{value:.2f}" if value % 1 else f"{value:.0f}")


def last_day(offer: dict[str, Any]) -> dt.date:
    """The last valid day in the offer's own zone."""
    end = dt.datetime.fromisoformat(offer["endDate"]) - dt.timedelta(seconds=1)
    return end.astimezone(ZoneInfo(offer["timeZone"])).date()


def said(day: dt.date, draw: random.Random) -> str:
    """A date in one of its spellings."""
    return draw.choice(
        [
            f"{day:%B} {day.day}",
            f"{day:%B} {day.day}, {day.year}",
            f"{day.day} {day:%B}",
            f"{day:%b} {day.day}",
            day.isoformat(),
        ]
    )


def benefit(offer: dict[str, Any], draw: random.Random, *, wrong: bool = False) -> tuple[str, str]:
    """(a sentence that states the benefit, the figure in it); a wrong one states more than the record."""
    sentences, figure = _BENEFITS[offer["discount"]["kind"]](offer, draw, wrong)
    return draw.choice(sentences).format(f=figure, p=offer["productName"]), figure


def _percent(offer: dict[str, Any], draw: random.Random, wrong: bool) -> tuple[list[str], str]:
    n = int(offer["discount"]["value"]) + (draw.choice([5, 10, 20, 25]) if wrong else 0)
    figure = draw.choice([f"{n}%", f"{n} percent", f"{n} %", *([f"{_NUMBERS[n]} percent"] if n in _NUMBERS else [])])
    return ["Save {f} on {p}.", "Get {f} off {p}.", "{p}: now {f} off.", "Take {f} off your {p}."], figure


def _amount(offer: dict[str, Any], draw: random.Random, wrong: bool) -> tuple[list[str], str]:
    more = draw.choice([0.5, 1, 2, 5]) if wrong else 0
    figure = money(float(offer["discount"]["value"]) + more, offer["discount"]["currency"])
    return ["Save {f} on {p}.", "Get {f} off {p}.", "{f} off {p}.", "A {f} discount on {p}."], figure


def _fixed(offer: dict[str, Any], draw: random.Random, wrong: bool) -> tuple[list[str], str]:
    less = draw.choice([0.5, 1, 1.5]) if wrong else 0
    figure = money(float(offer["discount"]["value"]) - less, offer["discount"]["currency"])
    return ["Get {p} for {f}.", "{p} for just {f}.", "Now {f}: {p}.", "Pay only {f} for {p}."], figure


def _together(offer: dict[str, Any], draw: random.Random, wrong: bool) -> tuple[list[str], str]:
    del draw
    figure = money(float(offer["discount"]["value"]) - wrong, offer["discount"]["currency"])
    return [f"{offer['discount']['buyQuantity']} for {{f}}: {{p}}."], figure


def _free_item(offer: dict[str, Any], draw: random.Random, wrong: bool) -> tuple[list[str], str]:
    buy, got = offer["discount"]["buyQuantity"], offer["discount"]["getQuantity"]
    if wrong:
        buy, got = (buy - 1, got) if buy > 1 else (buy, got + 1)
    figure = draw.choice([f"Buy {buy}, get {got} free", f"Buy {_NUMBERS[buy]} and get {_NUMBERS[got]} free"])
    return ["{f} on {p}."], figure


def _shipping(offer: dict[str, Any], draw: random.Random, wrong: bool) -> tuple[list[str], str]:
    del offer, draw
    if wrong:
        return ["Save {f} and get free shipping on {p}."], "10%"
    return ["Get {f} shipping on {p}.", "Enjoy {f} delivery on {p}."], "free"


def _plain(offer: dict[str, Any], draw: random.Random, wrong: bool) -> tuple[list[str], str]:
    del offer, draw
    return (["Save {f} on {p}."], "10%") if wrong else (["Take a look at our {p}."], "")


_BENEFITS = {"percent": _percent, "amount": _amount, "fixed_price": _fixed, "multi_buy": _together, "free_item": _free_item,
             "free_shipping": _shipping, "none": _plain}  # fmt: skip


def until(offer: dict[str, Any], draw: random.Random) -> str:
    """A sentence that says the last day."""
    return draw.choice(
        ["Valid until {d}.", "Ends {d}.", "Until {d} only in our shop.", "Through {d}.", "Offer ends on {d}."]
    ).format(d=said(last_day(offer), draw))


def valid(entry: dict[str, Any], draw: random.Random, channel: str, *, habit: bool) -> dict[str, str]:
    """A piece of copy that the record supports: hook, benefit, date, conditions, legal text, in the sections of a channel."""
    offer = entry["offer"]
    hook = _HABIT if habit else draw.choice(_HOOKS)
    hook = hook.format(p=offer["productName"], b=offer["productBrand"], B=offer["productBrand"])
    sentence, _ = benefit(offer, draw)
    demanded = [*(c["text"] for c in offer["conditions"]), offer["legalText"]] if channel in {"email", "sms"} else []
    body = " ".join(filter(None, [hook, sentence, until(offer, draw), *demanded]))
    name = offer["productName"].capitalize()
    if channel == "sms":
        return {"body": body}
    sections = {"headline": f"{name} for you", "body": body, "cta": draw.choice(_CTAS)}
    return {"subject": f"{name}, just for you", "preheader": sentence, **sections} if channel == "email" else sections


Corruption = Callable[[dict[str, Any], dict[str, str], random.Random], tuple[str, str, str] | None]


def added(kind: str, *sentences: str) -> Corruption:
    """A sentence that the record does not support, put behind the hook; the claim stands between bars."""

    def corrupt(entry: dict[str, Any], copy: dict[str, str], draw: random.Random) -> tuple[str, str, str] | None:
        sentence = draw.choice(sentences).format(p=entry["offer"]["productName"])
        _, claim, _ = sentence.split("|")
        record = json.dumps(entry["offer"]).lower()
        if claim.lower().strip(".! ") in record:
            return None
        head, _, tail = copy["body"].partition(". ")
        return f"{head}. {sentence.replace('|', '')} {tail}", kind, claim

    return corrupt


def wrong_benefit(entry: dict[str, Any], copy: dict[str, str], draw: random.Random) -> tuple[str, str, str] | None:
    """A larger benefit than the record's."""
    offer = entry["offer"]
    right = [s for s in _sentences(copy["body"]) if s in _all_benefits(offer)]
    if not right:
        return None
    sentence, figure = benefit(offer, draw, wrong=True)
    kinds = {"percent": "percent", "none": "percent", "free_shipping": "percent", "free_item": "condition"}
    return copy["body"].replace(right[0], sentence), kinds.get(offer["discount"]["kind"], "price"), figure


def _sentences(body: str) -> list[str]:
    return [part if part.endswith(".") else part + "." for part in body.replace(". ", ".|").split("|")]


def _all_benefits(offer: dict[str, Any]) -> set[str]:
    return {benefit(offer, random.Random(seed))[0] for seed in range(400)}


def wrong_date(entry: dict[str, Any], copy: dict[str, str], draw: random.Random) -> tuple[str, str, str] | None:
    """A later end than the record's."""
    offer = entry["offer"]
    day = last_day(offer) + dt.timedelta(days=draw.choice([1, 2, 3, 7, 14, 31, 365]))
    date = said(day, draw)
    if day.month == last_day(offer).month and day.day == last_day(offer).day:
        date = f"{day:%B} {day.day}, {day.year}"
    at = next((s for s in _sentences(copy["body"]) if s in _all_untils(offer)), None)
    return (copy["body"].replace(at, f"Valid until {date}."), "date", date) if at else None


def _all_untils(offer: dict[str, Any]) -> set[str]:
    return {until(offer, random.Random(seed)) for seed in range(600)}


def dropped(entry: dict[str, Any], copy: dict[str, str], draw: random.Random) -> tuple[str, str, str] | None:
    """A condition or the legal text left out."""
    offer = entry["offer"]
    gone = [c["text"] for c in offer["conditions"]] + ([offer["legalText"]] if offer["legalText"] else [])
    if not gone or offer["discount"]["kind"] == "none":
        return None
    text = draw.choice(gone)
    return copy["body"].replace(text, "").replace("  ", " ").strip(), "condition", text


def lower_minimum(entry: dict[str, Any], copy: dict[str, str], draw: random.Random) -> tuple[str, str, str] | None:
    """A condition's figure made easier."""
    for condition in entry["offer"]["conditions"]:
        least = condition.get("minimumSpend")
        if least:
            figure = money(float(least["amount"]) - draw.choice([5, 10, 15]), least["currency"])
            return copy["body"].replace(condition["text"], f"When you spend {figure} or more."), "price", figure
        if condition.get("minimumQuantity"):
            fewer = condition["minimumQuantity"] - 1
            return copy["body"].replace(condition["text"], f"When you buy {fewer} or more."), "number", str(fewer)
        if condition.get("maximumUses"):
            more = condition["maximumUses"] + draw.choice([1, 2, 5])
            return copy["body"].replace(condition["text"], f"Limit {more} per customer."), "number", str(more)
    return None


def other_name(entry: dict[str, Any], copy: dict[str, str], draw: random.Random) -> tuple[str, str, str] | None:
    """Somebody else's name."""
    wrong = draw.choice([name for name in _FIRST if name != entry["first"]])
    return f"{draw.choice(['Hi', 'Hello', 'Dear'])} {wrong}, {copy['body']}", "name", wrong


CORRUPTIONS: list[Corruption] = [
    wrong_benefit,
    wrong_benefit,
    wrong_date,
    wrong_date,
    dropped,
    lower_minimum,
    other_name,
    added(
        "percent",
        "That is |half price|.",
        "Now |90%| off.",
        "You keep |seventy percent|.",
        "It has |45%| more in the pack.",
    ),
    added("price", "It was |$99| before.", "You only pay |€0.49|.", "Worth |£120|.", "It costs |two dollars|."),
    added("free", "With a |free| gift for you.", "It comes |at no cost|.", "The second is |complimentary|."),
    added(
        "urgency",
        "|Hurry|, it goes quickly.",
        "This is your |last chance|.",
        "|Act now| to get it.",
        "The |clock is ticking|.",
    ),
    added(
        "scarcity",
        "|Only 3 left| in store.",
        "It is |selling out| everywhere.",
        "We have a |limited supply|.",
        "It is |almost gone|.",
    ),
    added(
        "superlative",
        "The |best| {p} there is.",
        "It is the |finest| you can get.",
        "Our |most popular| one.",
        "|Number one| in town.",
    ),
    added(
        "comparison", "It is |cheaper than| elsewhere.", "It lasts |longer than| others.", "It |beats any| shop around."
    ),
    added(
        "guarantee",
        "|Guaranteed| to please.",
        "With our |money-back| promise.",
        "It is |risk-free|.",
        "|No questions asked|.",
    ),
    added(
        "health",
        "It |boosts your immunity|.",
        "A |low-fat| choice.",
        "It |prevents| colds.",
        "Made |sugar-free|.",
        "It is |clinically| tested.",
    ),
    added("financial", "Pay |interest-free|.", "You can |earn points| with it.", "There are |no hidden fees|."),
    added(
        "environmental",
        "A |carbon-neutral| choice.",
        "It is |biodegradable|.",
        "Made |sustainably|.",
        "It is |eco-friendly|.",
    ),
    added(
        "condition",
        "It works for |all customers|.",
        "On |any purchase| you make.",
        "It is valid |storewide|.",
        "You can use it |unlimited| times.",
    ),
    added(
        "date",
        "It starts |next month|.",
        "Come by on |January 3, 2030|.",
        "It starts |next year|.",
        "A treat for |Halloween|.",
    ),
    added("duration", "With |90-day| returns.", "It keeps for |six months|.", "It takes |2 weeks| to arrive."),
    added("number", "Trusted by |40000| people.", "It comes in |17| flavours.", "|Millions| like it."),
    added("product", "As good as |Nestle| makes it.", "Together with |Pepsi|.", "Seen at |Walmart|."),
    added("sensitive", "Good for your |kids|.", "Since you are |pregnant|.", "Even on a low |income|."),
    added("instruction", "See |https|://example.test now.", "As stated in my |instructions|."),
    # The same kinds in words that were not on any list when they were written.
    added(
        "free",
        "You |do not pay a thing| for the bowl.",
        "The spoon is |thrown in|.",
        "Postage is |our treat|.",
        "The bowl |sets you back nothing|.",
    ),
    added(
        "urgency",
        "|Make haste|, dear reader.",
        "|There is no tomorrow| for this one.",
        "|Pounce| before breakfast.",
        "|Better sooner than later|.",
    ),
    added(
        "scarcity",
        "We are |down to the last| shelf.",
        "|A dozen remain|.",
        "The shelves are |emptying|.",
        "|Few will get one|.",
    ),
    added(
        "superlative",
        "The |crown jewel| of {p}.",
        "It is |in a league of its own|.",
        "It |tops them all|.",
        "A |champion| among its kind.",
    ),
    added(
        "comparison",
        "It |leaves the others behind|.",
        "|Tastier by far| than what you know.",
        "It |puts the big names to shame|.",
        "It |trumps| what you have at home.",
    ),
    added(
        "guarantee",
        "You have |our word| on it.",
        "It |cannot go wrong|.",
        "|Rest assured|, you will love it.",
        "|Count on it|.",
    ),
    added(
        "health",
        "It keeps |the doctor away|.",
        "It |does your heart good|.",
        "You will |shed a few pounds|.",
        "It gives you |more vigour|.",
        "|Nothing but nature| in it.",
    ),
    added(
        "financial",
        "|Spread the cost| over spring.",
        "It |fattens your wallet|.",
        "It is |as good as money in the bank|.",
    ),
    added(
        "environmental",
        "The |forests will thank you|.",
        "It |leaves no trace| behind.",
        "Made |with the oceans in mind|.",
        "It |spares the climate|.",
    ),
    added(
        "condition",
        "It works |on whatever you pick|.",
        "|Nobody is left out|.",
        "|There is no small print|.",
        "It works |as often as you wish|.",
    ),
    added(
        "personal",
        "|You drank a lot of it last summer|.",
        "It suits |your new kitchen|.",
        "|Your cat| will be jealous.",
        "|After your wedding| it is time for it.",
    ),
    added("banned_word", "It is so |cheap|.", "|Cheaper| you never had it.", "|C h e a p| as can be."),
]
# Short ones for the sections around the body: (section, kind, text with the claim between bars).
PLACED = [
    ("headline", "percent", "|70%| less to pay"), ("headline", "superlative", "Simply |the greatest| {p}"), ("headline", "free", "|Free| mug with {p}"),
    ("subject", "price", "{p} for |99 cents|"), ("subject", "urgency", "|Last chance| for {p}"), ("subject", "name", "|Gregory|, this is for you"),
    ("subject", "date", "Until |February 9| only"), ("preheader", "guarantee", "|Guaranteed| or your money back"), ("preheader", "scarcity", "|Nearly gone|: {p}"),
    ("preheader", "number", "Over |5,000| fans"), ("cta", "free", "Get it |for free|"), ("cta", "urgency", "|Hurry| up"), ("cta", "percent", "Save |95%|"),
    ("headline", "banned_word", "A |cheap| treat"), ("cta", "instruction", "Go to |evil.example|"), ("headline", "health", "|Heals| from within"),
    ("subject", "comparison", "|Better than| the rest"), ("headline", "product", "Now with |Starbucks|"),
]  # fmt: skip


def placed(n: int, entry: dict[str, Any], copy: dict[str, str]) -> tuple[dict[str, str], dict[str, str]] | None:
    """A wrong section around a right body; None where the channel has no such section."""
    section, kind, text = PLACED[n % len(PLACED)]
    if section not in copy:
        return None
    said = text.format(p=entry["offer"]["productName"])
    return {**copy, section: said.replace("|", "")}, {"kind": kind, "text": said.split("|")[1], "section": section}


def fact(entry: dict[str, Any]) -> dict[str, Any]:
    """That somebody buys what the offer is about."""
    name = entry["offer"]["productName"]
    return {
        "name": f"favourite:{name}",
        "kind": "category",
        "value": 0.5,
        "text": f"Often buys {name}",
        "explanation": "",
        "subject": name,
    }


def cases() -> list[dict[str, Any]]:
    """Valid copy first of every offer, then every corruption that an offer allows; every second one without a moment."""
    draw = random.Random(SEED)
    found: list[dict[str, Any]] = []
    for key, entry in offers().items():
        if key in LATER:
            continue
        entry["first"] = draw.choice(_FIRST)
        channels = [_CHANNELS[n % len(_CHANNELS)] for n in range(VALID_EACH)]
        pieces = [valid(entry, draw, channel, habit=n in _HABITS) for n, channel in enumerate(channels)]
        about = {"offer": key, "locale": entry["locale"], "firstName": entry["first"]}
        common = [
            {**about, "channel": channel, "now": NOW if n % 2 else None, "facts": [fact(entry)] if n in _HABITS else []}
            for n, channel in enumerate(channels)
        ]
        for n, copy in enumerate(pieces):
            found.append({"id": f"{key}-ok-{n}", **common[n], "sections": copy, "bad": None})
        found += _corrupted(key, entry, pieces, common, draw)
    return found


def _corrupted(
    key: str, entry: dict[str, Any], pieces: list[dict[str, str]], common: list[dict[str, Any]], draw: random.Random
) -> list[dict[str, Any]]:
    found = []
    for n, corrupt in enumerate(CORRUPTIONS):
        # A condition can only be dropped where the channel must carry it.
        where = 2 * (n % (VALID_EACH // 2)) if corrupt in (dropped, lower_minimum) else n % VALID_EACH
        piece, about = pieces[where], common[where]
        made = corrupt(entry, piece, draw) if corrupt is not dropped or about["channel"] in {"email", "sms"} else None
        if made is None or made[0] == piece["body"]:
            continue
        body, kind, claim = made
        sections = {**piece, "body": body}
        found.append({"id": f"{key}-bad-{n}", **about, "sections": sections, "bad": {"kind": kind, "text": claim}})
    for n in range(len(PLACED)):
        if (n + len(found)) % 3 == 0:
            made_in = placed(n, entry, pieces[0])
            if made_in:
                found.append({"id": f"{key}-placed-{n}", **common[0], "sections": made_in[0], "bad": made_in[1]})
    unfounded = pieces[3]
    if _HABIT.format(p=entry["offer"]["productName"]) in unfounded["body"]:
        claim = _HABIT.format(p=entry["offer"]["productName"]).partition(",")[0]
        found.append(
            {
                "id": f"{key}-bad-habit",
                **common[3],
                "facts": [],
                "sections": unfounded,
                "bad": {"kind": "personal", "text": claim},
            }
        )
    return found


def main() -> None:
    """Write the file."""
    lines = [json.dumps(case, ensure_ascii=False, sort_keys=True) for case in cases()]
    (HERE / "generated.jsonl").write_text("\n".join(lines) + "\n")
    corrupted = sum(json.loads(line)["bad"] is not None for line in lines)
    print(f"{len(lines)} cases, {corrupted} of them corrupted")


if __name__ == "__main__":
    main()
