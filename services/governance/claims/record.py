"""What the offer's record, the brand and the permitted facts say: figures by role, texts, words. Pure; one an offer."""

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from services.governance.claims import quoting
from services.governance.claims.figures import Figure, Reader
from services.governance.claims.language import Language, covers, language, stem
from services.governance.claims.quoting import Quote
from shared.contracts.catalog import Brand, Condition, Offer
from shared.contracts.profiles import Fact
from shared.folding import fold

_CENT = Decimal("0.01")
_PERCENT = Decimal(100)
_WORD = re.compile(r"[^\W_]+(?:['&-][^\W_]+)*")


class Stated(NamedTuple):
    """A value the record states, and the field that does."""

    value: Decimal
    unit: str
    field: str


class Known(NamedTuple):
    """A permitted fact: its field, its words without their plurals, its figures."""

    field: str
    words: frozenset[str]
    figures: tuple[Figure, ...]


class Demand(NamedTuple):
    """A condition that copy with the benefit must carry: its telling words, its figures, and whether it says a "no"."""

    field: str
    text: str
    words: frozenset[str]
    figures: tuple[Figure, ...]
    turned: bool


class Record(msgspec.Struct):
    """All that copy about one offer may rest on. `names` bear out themselves whole and nothing else; `texts` state."""

    offer: Offer
    locale: str
    covered: bool
    own: Language
    names: dict[str, str]
    texts: dict[str, str]
    facts: list[Known]
    demands: list[Demand]
    quotes: list[Quote]
    roles: dict[tuple[str, str], list[Stated]]
    figures: list[tuple[Figure, str]]
    words: set[str]
    called: set[str]
    product: set[str]
    first_name: str
    banned: list[str]
    first_day: dt.date
    last_day: dt.date
    ends: dt.datetime

    def says(self, words: str, *, turned: bool) -> tuple[str, bool] | None:
        """The field whose text has these words (or their like), and whether in the same sense."""
        found = None
        for other in quoting.variants(words, self.own):
            found = quoting.says(other, self.texts, self.own, turned=turned)
            if found and found[1]:
                return found
        return found


def record(offer: Offer, brand: Brand, facts: Sequence[Fact], first_name: str | None, locale: str) -> Record:
    """Read everything once. Facts that are marked sensitive bear nothing out."""
    own = language(locale)
    named = {"offer.name": offer.name, "offer.productName": offer.product_name or "", "offer.category": offer.category or "",
             "offer.productBrand": offer.product_brand or "", "brand.name": brand.name, "brand.signOff": brand.sign_off or ""}  # fmt: skip
    stated = {"offer.description": offer.description, "offer.legalText": offer.legal_text}
    stated |= {f"offer.conditions[{n}]": condition.text for n, condition in enumerate(offer.conditions)}
    names = {field: _plain(text) for field, text in named.items() if text}
    texts = {field: _plain(text) for field, text in stated.items() if text}
    zone = ZoneInfo(offer.time_zone)
    return Record(
        offer=offer, locale=locale, covered=covers(locale), own=own, names=names, texts=texts,
        facts=[_known(fact, locale) for fact in facts if not fact.sensitive],
        demands=[_demand(f"offer.conditions[{n}]", one, own, locale) for n, one in enumerate(offer.conditions)],
        quotes=_quotes(named, stated), roles=_roles(offer), figures=_figures(names, texts, own, locale),
        words=_words([*names.values(), *texts.values(), (first_name or "").lower()]),
        called=_words(names.values()),
        product={stem(word) for field in ("offer.productName", "offer.category") for word in _words([names.get(field, "")])}
        or {stem(word) for word in _words([names["offer.name"]])},
        first_name=fold(first_name or "").text, banned=[fold(word).text for word in brand.words_to_avoid],
        first_day=offer.start_date.astimezone(zone).date(),
        # The end is exclusive: an offer that ends at midnight is not valid on the day that begins then.
        last_day=(offer.end_date - dt.timedelta(microseconds=1)).astimezone(zone).date(),
        ends=offer.end_date,
    )  # fmt: skip


def _plain(text: str) -> str:
    return " ".join(fold(text).text.split())


def _words(texts: Iterable[str]) -> set[str]:
    """Every word, whole and in its parts ("plant-based"), with and without an "'s"."""
    found = {word for text in texts for word in _WORD.findall(text)}
    found |= {part for word in found for part in re.split(r"[-'&]", word)}
    return found | {word.removesuffix("'s") for word in found}


def _quotes(named: dict[str, str], stated: dict[str, str]) -> list[Quote]:
    """What may be quoted whole. A brand's name counts in its own case only: "Best" the brand is not "best" the word."""
    made = [quoting.quote(field, fold(text), cased="rand" in field) for field, text in named.items() if text]
    made += [
        quoting.quote(field, fold(text), cased=False)
        for field, text in stated.items()
        if text and field != "offer.description"
    ]
    return [one for one in made if one is not None]


def _figures(names: dict[str, str], texts: dict[str, str], own: Language, locale: str) -> list[tuple[Figure, str]]:
    """The figures of what states, and of the product's own name; none that a "no" turns."""
    read = texts | {field: names[field] for field in ("offer.productName", "offer.category") if field in names}
    return [
        (figure, field)
        for field, text in read.items()
        for figure in Reader(text, locale).figures()
        if figure.bound or figure.roles or not quoting.negated(text, figure.start, figure.end, own)
    ]


def _known(fact: Fact, locale: str) -> Known:
    text = _plain(f"{fact.text}. {fact.subject or ''}")
    return Known(
        f"profile.facts.{fact.name}", frozenset(map(stem, _words([text]))), tuple(Reader(text, locale).figures())
    )


def _demand(field: str, condition: Condition, own: Language, locale: str) -> Demand:
    text = _plain(condition.text)
    figures = tuple(Reader(text, locale).figures())
    heads = {word for figure in figures for word in figure.head}
    telling = {stem(word) for word in _WORD.findall(text) if not any(c.isdigit() for c in word)} - own.filler - heads
    spoken = frozenset(word for word in telling if word not in own.words.numbers)
    return Demand(field, condition.text, spoken, figures, own.negator.search(text) is not None)


def _roles(offer: Offer) -> dict[tuple[str, str], list[Stated]]:
    """(kind, role) -> what the record states, and what follows from two of its fields without rounding."""
    found: dict[tuple[str, str], list[Stated]] = {}

    def state(kind: str, role: str, value: Decimal | int | None, unit: str, field: str) -> None:
        if value is not None:
            found.setdefault((kind, role), []).append(Stated(Decimal(value), unit, field))

    discount, price = offer.discount, offer.price
    currency = discount.currency or (price.currency if price else "")
    for n, condition in enumerate(offer.conditions):
        if condition.minimum_spend is not None:
            least = condition.minimum_spend
            state("price", "spend", least.amount, least.currency, f"offer.conditions[{n}].minimumSpend")
        state("number", "quantity", condition.minimum_quantity, "", f"offer.conditions[{n}].minimumQuantity")
        state("number", "uses", condition.maximum_uses, "", f"offer.conditions[{n}].maximumUses")
    state("number", "quantity", discount.buy_quantity, "", "offer.discount.buyQuantity")
    state("number", "get", discount.get_quantity, "", "offer.discount.getQuantity")
    if price is not None:
        state("price", "price", price.amount, price.currency, "offer.price")
        if discount.kind in {"percent", "amount", "fixed_price"}:
            state("price", "was", price.amount, price.currency, "offer.price")
    for kind, role, value in _of_discount(offer):
        state(kind, role, value, "" if kind == "percent" else currency, "offer.discount.value")
        if kind == "percent":
            state(kind, "share", _PERCENT - value, "", "offer.discount.value")
    # One piece's price: of a bundle its share, else what the piece costs.
    if discount.kind == "multi_buy" and discount.value is not None and discount.buy_quantity:
        each = discount.value / Decimal(discount.buy_quantity)
        if each == each.quantize(_CENT):
            state("price", "unit", each, currency, "offer.discount.value")
    else:
        found[("price", "unit")] = list(found.get(("price", "price"), ()))
    return found


def _of_discount(offer: Offer) -> Iterable[tuple[str, str, Decimal]]:
    """What the discount says, and with the price what it comes to; only where that is exact to the cent or percent."""
    discount, price = offer.discount, offer.price
    value = discount.value
    if value is None:
        return
    same = price is not None and discount.currency in {None, price.currency} and price.amount > 0
    whole = price.amount if price is not None and same else None
    if discount.kind == "percent":
        yield "percent", "discount", value
        saved = whole * value / _PERCENT if whole is not None else None
    elif discount.kind == "amount":
        yield "price", "discount", value
        saved = value
    elif discount.kind == "fixed_price":
        yield "price", "price", value
        saved = whole - value if whole is not None else None
    else:
        yield "price", "bundle", value
        return
    if whole is None or saved is None or saved <= 0:
        return
    if saved == saved.quantize(_CENT):
        yield "price", "discount", saved
        yield "price", "price", whole - saved
    share = saved / whole * _PERCENT
    if share == share.to_integral_value():
        yield "percent", "discount", share
