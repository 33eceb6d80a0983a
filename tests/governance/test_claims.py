"""Claims: what the record says is left alone, what it does not say is found, where it stands and why."""

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from evals.claims import FILES, evaluate, read
from evals.datasets.claims.generate import HERE, cases
from services.governance.claims import checker
from services.governance.claims.figures import Reader
from services.governance.claims.language import covers
from services.governance.claims.numbers import number
from services.governance.claims.record import record
from shared.contracts.base import Money
from shared.contracts.catalog import Brand, Condition, Discount, Offer
from shared.contracts.claims import Claim
from shared.contracts.generation import Sections
from shared.contracts.profiles import Fact

BRAND = Brand(brand_id="default", name="Corner Grocer", words_to_avoid=["cheap"])
OFFER = Offer(
    offer_id="o1", name="Yogurt coupon", product_name="yogurt", category="yogurt",
    discount=Discount(kind="amount", value=Decimal("1.50"), currency="USD"), price=Money(amount=Decimal(6), currency="USD"),
    start_date=dt.datetime(2026, 5, 1, tzinfo=dt.UTC), end_date=dt.datetime(2026, 7, 1, 3, tzinfo=dt.UTC),
    time_zone="America/New_York", conditions=[Condition(text="One coupon per household", maximum_uses=1)],
)  # fmt: skip
FACT = Fact(name="favourite_category:yogurt", kind="category", value=0.3, text="Buys yogurt about every 9 days",
            explanation="", subject="yogurt")  # fmt: skip
NOW = dt.datetime(2026, 6, 26, 14, tzinfo=dt.UTC)  # a Friday; the offer ends on Tuesday the 30th in New York


def claims(text: str, *, now: dt.datetime | None = NOW, channel: str = "web", first_name: str | None = "Ann", locale: str = "en-US",
           facts: tuple[Fact, ...] = (FACT,), **changes: Any) -> list[Claim]:  # fmt: skip
    known = record(msgspec.structs.replace(OFFER, **changes), BRAND, facts, first_name, locale)
    return checker.check(Sections(body=text), known, channel, now)


def verdicts(text: str, **more: Any) -> dict[str, str]:
    return {claim.text: claim.status for claim in claims(text, **more)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Save $1.50 on yogurt.", {"$1.50": "supported", "Save": "supported"}),
        ("Now $4.50, was $6.", {"$4.50": "supported", "$6": "supported"}),
        ("25% off yogurt.", {"25%": "supported", "off": "supported"}),
        ("Was $1.50.", {"$1.50": "contradicted"}),
        ("Save $6 on yogurt.", {"$6": "contradicted", "Save": "supported"}),
        ("Save £1.50 on yogurt.", {"£1.50": "contradicted", "Save": "supported"}),
        ("Save CA$1.50 on yogurt.", {"CA$1.50": "contradicted", "Save": "supported"}),
        ("Save at least $1 on yogurt.", {"$1": "supported", "Save": "supported"}),
        ("Save over $1.50 on yogurt.", {"$1.50": "contradicted", "Save": "supported"}),
        ("Save about $1.50 on yogurt.", {"$1.50": "supported", "Save": "supported"}),
        ("Save nearly $2 on yogurt.", {"$2": "contradicted", "Save": "supported"}),
        ("Save \uff04\uff11.\uff15\uff10 on yogurt.", {"\uff04\uff11.\uff15\uff10": "supported", "Save": "supported"}),
        ("Limit 1 per household.", {"1": "supported", "per household": "supported"}),
        ("Limit 3 per household.", {"3": "contradicted", "per household": "supported"}),
    ],
)  # fmt: skip
def test_a_figure_must_be_the_records_in_its_role_unit_and_bound(text: str, expected: dict[str, str]) -> None:
    assert verdicts(text) == expected


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Valid until June 30.", "supported"), ("Valid until July 1.", "contradicted"), ("Valid until 6/30/2026.", "supported"),
        ("Valid until June 30, 2027.", "contradicted"), ("Use it by July 1.", "contradicted"), ("Use it before July 1.", "supported"), ("Until Tuesday.", "supported"),
        ("Until Sunday.", "contradicted"), ("Starts tomorrow.", "contradicted"), ("A treat for this weekend.", "supported"),
        ("A treat for Christmas.", "unsupported"), ("4 days left.", "supported"), ("10 days left.", "contradicted"),
        ("Ends next week.", "supported"), ("Ends this week.", "contradicted"), ("It ended yesterday.", "contradicted"),
        ("Valid until February 30.", "unsupported"),
    ],
)  # fmt: skip
def test_dates_are_those_of_the_offers_own_time_zone(text: str, status: str) -> None:
    assert [claim.status for claim in claims(text) if claim.kind in {"date", "duration"}] == [status]


def test_without_a_moment_relative_dates_and_urgency_rest_on_the_record_alone() -> None:
    assert verdicts("Until Tuesday. Last chance.", now=None) == {"Tuesday": "unsupported", "Last chance": "unsupported"}
    near = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)
    assert verdicts("Last chance.", now=near) == {"Last chance": "supported"}
    assert verdicts("Last chance.", now=NOW) == {"Last chance": "unsupported"}


def test_a_date_in_digits_is_read_as_the_locale_writes_it() -> None:
    assert verdicts("Until 30/6.", locale="en-GB") == {"30/6": "supported"}
    assert verdicts("Until 6/30.", locale="en-GB") == {"6/30": "unsupported"}


def test_a_figure_of_a_fact_supports_no_other_unit_and_only_where_it_is_permitted() -> None:
    habit = "You buy it every 9 days"
    assert verdicts(f"{habit}. Take 9 home.") == {habit: "supported", "9 days": "supported", "9": "unsupported"}
    assert verdicts(f"{habit}.", facts=()) == {habit: "unsupported", "9 days": "unsupported"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Hurry, it goes.", "urgency"), ("Only a few left.", "scarcity"), ("The best yogurt.", "superlative"), ("Better than butter.", "comparison"),
        ("Satisfaction guaranteed.", "guarantee"), ("A free spoon.", "free"), ("Free shipping.", "free"), ("It boosts your immunity.", "health"),
        ("Interest-free.", "financial"), ("Carbon neutral.", "environmental"), ("Valid storewide.", "condition"), ("Your kids like it.", "sensitive"),
        ("A cheap yogurt.", "banned_word"), ("See https://x.test.", "instruction"), ("Hello Bob, yogurt.", "name"), ("Yogurt from Danone.", "product"),
    ],
)  # fmt: skip
def test_words_that_claim_something_need_the_record(text: str, kind: str) -> None:
    assert kind in {claim.kind for claim in claims(text) if claim.status == "unsupported"}


def test_what_the_record_itself_says_may_be_said() -> None:
    said = "Organic yogurt, rich in vitamin D, while stocks last"
    assert set(verdicts("Organic, while stocks last.", description=said).values()) == {"supported"}
    assert verdicts(
        "No minimum purchase.", conditions=[Condition(text="x", minimum_spend=Money(amount=Decimal(9), currency="USD"))]
    ) == {"No minimum purchase": "contradicted"}


@pytest.mark.parametrize(
    ("headline", "supported"),
    [("Baby food for a lazy day", True), ("Baby food for your baby", False), ("Your baby will love it", False)],
)
def test_a_sensitive_word_may_stand_in_the_products_own_name_only(headline: str, supported: bool) -> None:
    found = [c for c in claims(headline, product_name="baby food") if c.kind == "sensitive"]
    assert found
    assert all(c.status == "supported" for c in found) == supported


def test_a_span_is_where_the_words_stand_and_a_contradiction_says_what_would_be_right() -> None:
    text = "\u2018Creamy\u2019 yogurt \u2014 save $9!"
    claim = next(c for c in claims(text) if c.kind == "price")
    assert text[claim.start : claim.end] == claim.text == "$9"
    assert (claim.status, claim.expected, claim.field) == ("contradicted", "1.5 USD", "offer.discount.value")


def test_a_message_that_stands_alone_carries_the_conditions() -> None:
    with_legal = {"legal_text": "Void where prohibited."}
    short = claims("Save $1.50 on yogurt.", channel="sms", **with_legal)
    assert [(c.field, c.status) for c in short if c.status != "supported"] == [
        ("offer.conditions[0]", "dropped_disclaimer"), ("offer.legalText", "dropped_disclaimer")
    ]  # fmt: skip
    whole = "Save $1.50 on yogurt. One coupon per household. Void where prohibited."
    assert not checker.unsupported(claims(whole, channel="sms", **with_legal))
    assert not checker.unsupported(claims("Save $1.50 on yogurt.", channel="web", **with_legal))
    assert not checker.unsupported(claims("Yogurt, creamy as ever.", channel="sms", **with_legal))


@pytest.mark.parametrize(
    ("text", "locale", "value"),
    [("1,234.50", "en-US", "1234.50"), ("1.234,50", "en-US", "1234.50"), ("1.234", "de-DE", "1234"), ("1.234", "en-US", "1.234"), ("1,234", "en-US", "1234"),
     ("1,5", "en-US", "1.5"), ("1'234.50", "de-CH", "1234.50"), ("1 234,50", "fr-FR", "1234.50"), ("12.-", "de-CH", "12")],
)  # fmt: skip
def test_numbers_are_read_with_the_separators_people_use(text: str, locale: str, value: str) -> None:
    assert number(text, locale) == Decimal(value)


def test_a_language_without_words_still_has_its_figures_checked() -> None:
    assert not covers("fr-FR")
    assert verdicts("Jusqu'au 30.06.2026, 1,50 $ de moins", locale="fr-FR")["1,50 $"] == "supported"
    assert verdicts("2,50 $ de moins", locale="fr-FR")["2,50 $"] == "unsupported"


@hypothesis_settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_is_read_and_spans_lie_inside_it(text: str) -> None:
    for claim in claims(text):
        assert text[claim.start : claim.end] == claim.text


@hypothesis_settings(max_examples=200, deadline=None)
@given(value=st.decimals(min_value=Decimal("0.01"), max_value=Decimal(9999), places=2))
def test_no_other_saving_is_ever_supported(value: Decimal) -> None:
    status = verdicts(f"Save ${value} on yogurt.")[f"${value}"]
    assert (status == "supported") == (value == Decimal("1.50"))


@hypothesis_settings(max_examples=200, deadline=None)
@given(percent=st.integers(1, 99))
def test_digits_and_words_are_judged_alike(percent: int) -> None:
    tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    ones = ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
            "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
    words = ones[percent] if percent < 20 else "-".join(filter(None, [tens[percent // 10], ones[percent % 10]]))
    [digits], [spelled] = (Reader(f"{said} off", "en-US").figures() for said in (f"{percent}%", f"{words} percent"))
    assert digits.value == spelled.value == percent


def test_the_generated_cases_are_what_the_committed_code_generates() -> None:
    import json

    assert [json.loads(line) for line in (HERE / "generated.jsonl").read_text().splitlines()] == cases()


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_is_found_and_what_is_right_is_left_alone(name: str) -> None:
    figures = evaluate(read(name))
    assert figures["recall"] >= 0.98, figures["wrong"]
    assert figures["false_alarms"] <= 0.05, figures["wrong"]


def test_there_are_cases_of_every_kind_half_of_them_wrong() -> None:
    cases = [case for name in FILES for case in read(name)]
    wrong = [case.bad for case in cases if case.bad]
    assert len(cases) >= 500
    assert 0.45 <= len(wrong) / len(cases) <= 0.6
    assert {case.channel for case in cases} == {"email", "sms", "push", "web"}
    assert sum(case.now is None for case in cases) > 300
    kinds = {one.kind for one in wrong}
    assert kinds >= {"number", "percent", "price", "date", "duration", "product", "condition", "urgency", "scarcity", "free", "superlative",
                     "comparison", "guarantee", "health", "financial", "environmental", "sensitive", "personal", "name", "banned_word", "instruction"}  # fmt: skip
