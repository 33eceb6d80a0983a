"""A brand's voice where a rule can tell it; addresses and numbers; offensive words in disguise; disguises themselves."""

from typing import Any

import msgspec
import pytest
import yaml

from evals.suites.safety import RULE_ATTACKS
from services.governance import contact, profanity
from shared.contracts.catalog import CopyRules, Voice
from shared.contracts.governance import RuleResult
from shared.folding import fold
from tests.governance.test_brand_rules import broken, results
from tests.governance.test_claim_support import MILK, report

ATTACKS = yaml.safe_load(RULE_ATTACKS.read_text())


def voiced(text: str, **voice: Any) -> dict[str, RuleResult]:
    return {name: one for name, one in results(text, voice=Voice(**voice)).items() if name.startswith("voice_")}


def test_a_voice_that_is_not_set_is_not_tested() -> None:
    assert not voiced("Hey, don't you like it?")


@pytest.mark.parametrize(
    ("text", "voice", "passes"),
    [
        ("Milk for you.", {"second_person": True}, True), ("Milk for all.", {"second_person": True}, False), ("Milk for you.", {"second_person": False}, False),
        ("It is milk.", {"contractions": False}, True), ("It's milk.", {"contractions": False}, False), ("Don\u2019t wait.", {"contractions": False}, False),
        ("It is milk.", {"contractions": True}, False), ("It's milk.", {"contractions": True}, True), ("The shop's milk.", {"contractions": False}, True),
        ("Milk is here today.", {"max_sentence_words": 4}, True), ("Fresh milk is here for today.", {"max_sentence_words": 4}, False), ("Milk is here. So are you now.", {"max_sentence_words": 4}, True),
        ("Awesome milk, folks.", {"register": "formal"}, False), ("We are pleased to offer milk.", {"register": "formal"}, True),
        ("Kindly acquire milk.", {"register": "casual"}, False), ("Awesome milk, folks.", {"register": "casual"}, True),
    ],
)  # fmt: skip
def test_a_voice_is_told_by_rules(text: str, voice: dict[str, Any], passes: bool) -> None:
    [found] = voiced(text, **voice).values()
    assert found.passed == passes
    assert found.severity == "warn"


def test_a_voice_may_block_and_says_where() -> None:
    [found] = voiced("Milk. It's here.", contractions=False, severity="block").values()
    assert (found.severity, found.text, found.start) == ("block", "It's", 6)
    brand = msgspec.structs.replace(CopyRules(), voice=Voice(contractions=False, severity="block"))
    assert msgspec.json.decode(msgspec.json.encode(brand), type=CopyRules) == brand


@pytest.mark.parametrize("row", ATTACKS, ids=lambda row: row["id"])
def test_what_was_said_to_break_the_rules_is_not_served(row: dict[str, Any]) -> None:
    milk = msgspec.structs.replace(
        MILK, name="Milk", product_name="milk", category="milk", description="", conditions=[], price=None
    )
    for name in ("bad", "held_bad", "more_bad"):
        for text in row[name]:
            assert not report(text, milk).servable, text
    for name in ("ok", "held_ok", "more_ok"):
        for text in row[name]:
            assert not [rule for rule in report(text, milk).rules if rule.severity == "block" and not rule.passed], text


@pytest.mark.parametrize(
    "text",
    ["0171 2345678", "555-0134", "+44 20 7946 0018", "(030) 1234567", "12 Elm St", "12 Long Pond Road", "@anna_smith82", "anna (at) shop (dot) com", "221b baker street", "Hauptstra\u00dfe 5", "4111-1111-1111-1111",
     "DE89 3704 0044 0532 0130 00", "Boston, MA 02110"],
)  # fmt: skip
def test_contact_data_of_many_countries_is_found(text: str) -> None:
    said = fold(f"Milk: {text}.")
    assert contact.find(said)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-25",
        "11/25/2026",
        "$1,499.00",
        "1,000,000",
        "20-30 minutes",
        "12 oz of milk",
        "2020 - 2026",
        "10 minute drive",
    ],
)
def test_days_and_amounts_are_no_numbers_to_call(text: str) -> None:
    assert not contact.find(fold(f"Milk: {text}."))


@pytest.mark.parametrize(
    "text",
    ["f***ing", "sh!t", "@ss", "fuuuck", "b1tch", "a$$hole", "f.u.c.k", "s h i t", "motherf*cker", "F*CK", "dumb-ass"],
)
def test_masks_and_disguises_hide_no_offence(text: str) -> None:
    assert {"profanity", "toxicity"} & broken(f"Milk, {text} it.")


@pytest.mark.parametrize(
    "text",
    [
        "Essex",
        "Scunthorpe",
        "shiitake",
        "classic bass",
        "a Bloody Mary",
        "virgin olive oil",
        "nude lipstick",
        "breast of chicken",
        "5*",
        "***",
        "A* student",
        "hello",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert profanity.find(fold(text).text, set()) is None


@pytest.mark.parametrize("text", ["The b\u0435st milk.", "So c\u00adheap.", "A m i l k for you."])
def test_a_disguise_is_refused_whatever_it_says(text: str) -> None:
    assert "disguise" in broken(text)


def test_an_emoji_and_accents_are_no_disguise() -> None:
    assert "disguise" not in broken(
        "Caf\u00e9 \u2615\ufe0f \U0001f468\u200d\U0001f373 \u041f\u0440\u0438\u0432\u0435\u0442", max_emojis=9
    )
