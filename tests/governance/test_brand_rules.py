"""Rules of brand and safety: each finds its own examples and leaves the others alone; a brand sets the numbers."""

import datetime as dt
from typing import Any

import httpx
import msgspec
import pytest

from evals.claims import FILES, read, records
from services.governance import brand_rules, style
from services.governance.app import create_app
from services.governance.claims.record import record
from shared.contracts.catalog import Brand, CopyRules, Discount, Offer
from shared.contracts.generation import Material, Sections
from shared.contracts.governance import CheckAnswer, CheckRequest, RuleResult
from shared.contracts.profiles import ProfileContext
from shared.settings import Settings
from tests.rooms import clients_of, serving

OFFER = Offer(offer_id="o", name="Milk", product_name="milk", discount=Discount(kind="none"),
              start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), end_date=dt.datetime(2027, 1, 1, tzinfo=dt.UTC))  # fmt: skip
BRAND = Brand(brand_id="default", name="Dairy")
PERSON = ProfileContext(
    profile_id="p", known=True, personalize=True, contactable=True, reason=None, locale="en-US", time_zone="UTC"
)


def results(text: str, *, tags: tuple[str, ...] = (), offer: Offer = OFFER, **rules: Any) -> dict[str, RuleResult]:
    known = record(offer, BRAND, [], None, "en-US")
    found = brand_rules.check(Sections(body=text), known, CopyRules(**rules), list(tags))
    return {result.rule: result for result in found}


def broken(text: str, **more: Any) -> set[str]:
    return {name for name, result in results(text, **more).items() if not result.passed}


@pytest.mark.parametrize("rule", brand_rules.patterns(), ids=lambda rule: rule.id)
def test_each_rule_finds_its_own_examples_and_leaves_the_others_alone(rule: brand_rules.Pattern) -> None:
    assert rule.bad
    assert rule.ok
    for text in rule.bad:
        assert rule.id in broken(text), text
    for text in rule.ok:
        assert rule.id not in broken(text), text


def test_what_is_broken_is_named_with_its_place_and_reason() -> None:
    text = "Milk. Don\u2019t be silly, buy it."
    result = results(text)["shame"]
    assert text[result.start : result.end] == result.text == "Don\u2019t be silly"
    assert (result.severity, result.reason) == ("block", "shames or blames the reader")


@pytest.mark.parametrize("text", ["What the hell.", "Sh1t, good milk.", "A$$hole."])
def test_offensive_words_are_found_in_their_disguises(text: str) -> None:
    assert "profanity" in broken(text)


def test_a_product_may_have_a_rough_name_and_ordinary_words_stay() -> None:
    rough = msgspec.structs.replace(OFFER, product_name="hell sauce")
    assert "profanity" not in broken("Hell sauce for the brave.", offer=rough)
    assert "profanity" not in broken("Low fat milk in a pot, with rum.")


def test_an_offer_that_must_not_be_shown_to_somebody_is_not_written_up_for_them() -> None:
    wine = msgspec.structs.replace(OFFER, safety_tags=["alcohol"])
    assert "brand_safety" in broken("Milk.", offer=wine, tags=("alcohol", "tobacco"))
    assert "brand_safety" not in broken("Milk.", offer=wine, tags=("tobacco",))


def test_a_brand_sets_its_own_numbers() -> None:
    assert broken("Milk! Milk! Milk!") == {"exclamation_marks"}
    assert broken("Milk! Milk! Milk!", max_exclamation_marks=3) == set()
    assert broken("Milk \U0001f95b") == {"emojis"}
    assert broken("Milk \U0001f95b", max_emojis=1) == set()
    assert broken("GET MILK TODAY FROM YOUR SHOP") == {"capitals"}
    assert broken("Milk.", required=("Fresh every day",)) == {"required_words"}
    assert broken("Milk. Fresh every day.", required=("Fresh every day",)) == set()


def test_style_may_be_turned_off_and_safety_may_not() -> None:
    assert "hollow_words" not in broken("Unleash the milk.", off=("hollow_words",))
    assert "shame" in broken("Don't be silly.", off=("shame",))


def test_the_reading_grade_rises_with_long_words_and_sentences() -> None:
    easy = style.reading_grade("The cat sat on the mat. It was warm. The cat slept.")
    hard = style.reading_grade(
        "Notwithstanding considerable organisational complexities, institutional procurement necessitates authorisation."
    )
    assert easy is not None
    assert hard is not None
    assert easy < 3 < 15 < hard
    assert style.reading_grade("Milk") is None
    assert "reading_grade" in broken(
        "Notwithstanding considerable organisational complexities, procurement necessitates authorisation."
    )


def test_right_copy_breaks_no_rule_that_blocks() -> None:
    cases = [case for name in FILES for case in read(name) if case.bad is None]
    known = records(cases)
    wrong = [
        (case.id, result.rule, result.text)
        for case in cases for result in brand_rules.check(case.sections, known[case.id], CopyRules(max_emojis=3, max_capitals=9), [])
        if result.severity == "block" and not result.passed
    ]  # fmt: skip
    assert not wrong


async def test_the_endpoint_reports_claims_and_rules_of_every_draft(settings: Settings) -> None:
    drafts = [
        Sections(headline="Milk"),
        Sections(headline="Milk", body="Save 10%. Don't be silly!"),
        Sections(body="Click here."),
    ]
    body = CheckRequest(material=Material(profile=PERSON, offer=OFFER, brand=BRAND), drafts=drafts, channel="web")
    async with clients_of(settings) as clients, serving(create_app(settings, clients), settings) as room:
        answer = await room.post(
            "/checks", content=msgspec.json.encode(body), headers={"content-type": "application/json"}
        )
        bad: httpx.Response = await room.post("/checks", json={"drafts": []})
    reports = msgspec.json.decode(answer.content, type=CheckAnswer).reports
    assert [report.servable for report in reports] == [True, False, True]
    assert [report.passed == report.tested for report in reports] == [True, False, False]
    assert {claim.text for claim in reports[1].claims} == {"Save", "10%"}
    assert bad.status_code == 422
