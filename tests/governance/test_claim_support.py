"""What bears a claim out: texts that state, in the same sense; names whole; facts about the reader; and nothing else."""

import datetime as dt
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.claims import BRAND, DATA
from services.generation import assembly
from services.generation.prompts import Library
from services.governance import brand_rules, checking
from services.governance.claims import checker
from services.governance.claims.figures import Reader
from services.governance.claims.record import record
from shared.contracts.base import Money
from shared.contracts.catalog import Brand, Condition, CopyRules, Offer
from shared.contracts.claims import Claim
from shared.contracts.generation import Material, Sections
from shared.contracts.governance import CheckReport, CheckRequest
from shared.contracts.profiles import Fact, ProfileContext

OFFERS = {
    key: msgspec.convert(one["offer"], Offer)
    for key, one in msgspec.yaml.decode((DATA / "offers.yaml").read_bytes()).items()
}
MILK, SOAP = OFFERS["milk"], OFFERS["soap"]
LIBRARY = Library(Path("prompts"))
NOW = dt.datetime(2026, 11, 25, 14, tzinfo=dt.UTC)


def person(*facts: str, sensitive: bool = False) -> ProfileContext:
    known = [Fact(name=f"f{n}", kind="attribute", value="x", text=text, explanation="", sensitive=sensitive) for n, text in enumerate(facts)]  # fmt: skip
    return ProfileContext(profile_id="p", known=True, personalize=True, contactable=True, reason=None, locale="en-US",
                          time_zone="UTC", first_name="Anna", facts=known)  # fmt: skip


def report(text: str | Sections, offer: Offer = MILK, *, brand: Brand = BRAND, profile: ProfileContext | None = None, channel: str = "web",
           locale: str = "en-US", now: dt.datetime | None = None, **changes: Any) -> CheckReport:  # fmt: skip
    material = Material(profile=profile or person(), offer=msgspec.structs.replace(offer, **changes), brand=brand)
    draft = text if isinstance(text, Sections) else Sections(body=text)
    return checking.reports(CheckRequest(material=material, drafts=[draft], channel=channel, locale=locale, now=now))[0]  # type: ignore[arg-type]


def wrong(text: str, **more: Any) -> dict[str, str]:
    return {claim.text: claim.status for claim in checker.unsupported(report(text, **more).claims)}


@pytest.mark.parametrize(
    ("copy", "description"),
    [
        ("Free delivery on oat milk.", "Oat milk. No free delivery."), ("Vegan oat milk.", "Not vegan."), ("Organic oat milk.", "Not organic."),
        ("It cures colds.", "This statement does not claim that milk cures anything."), ("Oat milk with cash back.", "No points, cash back or gifts."),
        ("Gluten-free oat milk.", "Gluten-free: no."), ("Free delivery on oat milk.", "Free delivery is not included."),
    ],
)  # fmt: skip
def test_a_no_in_the_record_bears_nothing_out(copy: str, description: str) -> None:
    assert wrong(copy, description=description)


def test_the_same_sense_does() -> None:
    assert not wrong("Organic oat milk, gluten-free.", description="No sugar. Organic and gluten-free.")
    assert wrong("Oat milk, not organic.", description="Organic.") == {"organic": "contradicted"}
    assert not wrong("Oat milk, not organic.", description="Not organic.")


@pytest.mark.parametrize(
    ("copy", "changes"),
    [
        ("The best oat milk, guaranteed.", {"brand": Brand(brand_id="default", name="Best Guaranteed Foods")}), ("Organic oat milk.", {"product_brand": "Organic Valley"}),
        ("Always fresh, the best.", {"product_brand": "Best Choice"}), ("Hurry.", {"name": "Hurry up sale"}),
    ],
)  # fmt: skip
def test_a_word_of_a_name_is_no_claim_of_the_record(copy: str, changes: dict[str, Any]) -> None:
    assert wrong(copy, **changes)


def test_a_name_may_be_said_whole_and_a_products_name_to_its_end() -> None:
    assert not wrong("From Organic Valley with love.", product_brand="Organic Valley")
    assert wrong("from organic valley with love.", product_brand="Organic Valley")
    assert not wrong("Try low-fat oat milk today.", product_name="Alpina low-fat oat milk", now=NOW)
    assert wrong("Try low-fat milk drinks.", product_name="Alpina low-fat oat milk")


@pytest.mark.parametrize(
    ("copy", "fact", "served"),
    [
        ("Save 40% on oat milk.", "Saves 40% on average with coupons", False), ("Oat milk in packs of 12.", "Bought milk 12 times this year", False),
        ("Organic oat milk.", "Buys organic and gluten-free products", False), ("Your dog is waiting.", "Has a dog", True), ("Your cat is waiting.", "Has a dog", False),
        ("You often shop on Saturday mornings.", "Often shops on Saturday mornings", True), ("You often shop on Sunday mornings.", "Often shops on Saturday mornings", False),
        ("Last time you bought red wine.", "Buys oat milk", False), ("After your operation, take it slow.", "Buys oat milk", False),
    ],
)  # fmt: skip
def test_a_fact_bears_out_what_is_said_of_the_reader_and_nothing_else(copy: str, fact: str, served: bool) -> None:
    assert report(copy, profile=person(fact)).servable == served


def test_a_sensitive_fact_is_never_spoken() -> None:
    assert not report("Your dog is waiting.", profile=person("Has a dog", sensitive=True)).servable


@pytest.mark.parametrize(
    "changes",
    [
        {"legal_text": "Keep out of reach of children."}, {"legal_text": "See https://shop.example/t for details."}, {"legal_text": "Shop Inc., 12 Main Street, Boston, MA 02110."},
        {"legal_text": "Questions? Call 1-800-555-1234."}, {"legal_text": "Questions: help@shop.example"}, {"conditions": [Condition(text="One per family.")]},
        {"legal_text": "Consult your doctor before use."}, {"legal_text": "Ask in store for instructions."}, {"legal_text": "NOT VALID WITH ANY OTHER OFFER. VOID WHERE PROHIBITED."},
        {"product_name": "LED HDMI USB TV"}, {"product_name": "kids' toothpaste", "category": "kids"}, {"category": "baby food", "product_name": None},
        {"name": "Family pack days", "product_name": None, "category": None},
    ],
    ids=lambda changes: next(iter(changes.values())) if isinstance(next(iter(changes.values())), str) else "",
)  # fmt: skip
def test_the_records_own_words_break_no_rule_where_they_are_quoted_whole(changes: dict[str, Any]) -> None:
    offer = msgspec.structs.replace(MILK, **changes)
    material = Material(profile=person(), offer=offer, brand=BRAND)
    draft = assembly.fallback(material, LIBRARY.templates, personal=False)
    sections = assembly.assemble(draft, material, "email", LIBRARY.templates)
    found = report(sections, offer, channel="email")
    assert found.servable, (checker.unsupported(found.claims), [rule for rule in found.rules if not rule.passed])


def test_the_same_words_elsewhere_do() -> None:
    assert not report("Good for your children.", legal_text="Keep out of reach of children.").servable
    assert not report("Call 1-800-555-9999.", legal_text="Questions? Call 1-800-555-1234.").servable


def test_a_language_without_words_needs_a_person() -> None:
    german = report("Sparen Sie 1,50 $ auf Hafermilch.", locale="de-DE")
    assert (german.servable, german.needs_person) == (False, True)
    assert german.note is not None
    assert german.note.startswith("de-DE")
    false = report("Sparen Sie 2,50 $ auf Hafermilch.", locale="de-DE")
    assert (false.servable, false.needs_person) == (False, False)
    assert not report("Siehe www.evil.example", locale="de-DE").needs_person
    assert (report("Oat milk.").servable, report("Oat milk.").needs_person) == (True, False)


def test_what_is_free_with_others_is_told_with_how_many() -> None:
    def said(text: str) -> list[Claim]:
        return checker.unsupported(report(text, SOAP, locale="en-GB").claims)

    assert [claim.status for claim in said("Get free hand soap.")] == ["dropped_disclaimer"]
    assert not said("Get a free hand soap when you buy 2.")
    assert not said("Every third hand soap is free.")
    assert [claim.status for claim in said("The second hand soap is free.")] == ["contradicted"]


def test_without_a_word_for_it_a_condition_is_carried_by_its_own_text_alone() -> None:
    only = [Condition(text="As required.")]
    dropped = report("Save $1.50 on oat milk.", channel="sms", conditions=only).claims
    assert [claim.status for claim in dropped if claim.kind == "condition" and claim.expected] == ["dropped_disclaimer"]
    assert not checker.unsupported(
        report("Save $1.50 on oat milk. As required.", channel="sms", conditions=only).claims
    )


def test_a_bundles_price_and_currencies_that_share_a_sign() -> None:
    offer = msgspec.structs.replace(
        MILK,
        price=Money(amount=Decimal(3), currency="CAD"),
        discount=msgspec.structs.replace(MILK.discount, currency="CAD"),
    )
    assert not wrong("Save $1.50 on oat milk.", offer=offer)
    assert not wrong("Save CA$1.50 on oat milk.", offer=offer)
    assert wrong("Save A$1.50 on oat milk.", offer=offer) == {"A$1.50": "contradicted"}


def test_a_section_that_no_channel_takes_is_read_to_a_length_and_does_not_fit() -> None:
    long = report("Oat milk. " * 2000 + "It cures cancer.")
    assert not long.channel_fit.fits
    assert not long.servable


@pytest.mark.parametrize(
    "piece",
    [
        "555 ",
        "one hundred and ",
        "no a ",
        "buy 2 x ",
        "get x ",
        "Aa ",
        "1",
        "a.",
        "$",
        "20% off ",
        "you buy ",
        "not ",
        "f r e e ",
        "12-",
        "\u0435a",
    ],
)
def test_reading_takes_time_in_proportion_to_length(piece: str) -> None:
    known = record(MILK, BRAND, [], None, "en-US")

    def seconds(length: int) -> float:
        text = (piece * length)[:length]
        began = time.process_time()
        checker.check(Sections(body=text), known, "web", NOW)
        brand_rules.check(Sections(body=text), known, CopyRules(), [])
        return time.process_time() - began

    seconds(100)
    short, long = (min(seconds(length) for _ in range(2)) for length in (1000, 5000))
    assert long < 2
    assert long < 15 * short + 0.05, (short, long)


def test_an_untold_figure_is_a_claim_all_the_same() -> None:
    for text, kind in (("fourty percent", "percent"), ("3x", "number"), ("\u20bf", "price"), ("45\u2030", "percent")):
        assert kind in {figure.kind for figure in Reader(f"save {text} on it", "en-US").figures()}, text
