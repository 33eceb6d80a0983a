"""Approved copy: who may do what when, what the trail says, and that a decision serves nothing else."""

import asyncio
import itertools
from typing import Any, get_args

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.assortment import Assortment, Pinned
from services.governance import approval
from shared.contracts.approval import (
    CopyState,
    GeneratedCopies,
    GeneratedCopy,
    LiveCopy,
    Provenance,
    RequiredFact,
    StoredCopy,
)
from shared.contracts.catalog import Brand, Offer, statement_version
from shared.contracts.generation import Material, Sections, Usage
from shared.contracts.policies import Policy
from shared.contracts.profiles import Fact, ProfileContext
from shared.settings import Settings
from tests.decisions.shop import decide, items, offer, person, policy, put, stock
from tests.journeys.test_one_household import household
from tests.journeys.test_one_household import stock as stock_coupons

GOOD = {"headline": "Milk for your mornings", "body": "Save $2 on milk.", "cta": "See the offer"}
BAD = {**GOOD, "body": "Save $3 on milk, the best in town!"}
MILK = offer("milk", productName="milk", discount={"kind": "amount", "value": "2", "currency": "USD"})


@pytest.fixture
async def shop(suite: httpx.AsyncClient) -> httpx.AsyncClient:
    await stock(suite, MILK)
    await policy(suite, exploration={"kind": "none"}, learn=False)
    await person(suite, "anna")
    return suite


async def write(api: httpx.AsyncClient, status: int = 201, **changes: Any) -> dict[str, Any]:
    body = {"offerId": "milk", "channel": "web", "locale": "en", "sections": GOOD, "by": "ed", **changes}
    answer = await api.post("/v1/copy", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def move(
    api: httpx.AsyncClient, key: str, to: str, status: int = 200, *, by: str = "ida", **more: Any
) -> dict[str, Any]:
    answer = await api.post(f"/v1/copy/{key}/moves", json={"to": to, "by": by, "revision": 1, **more})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def live(api: httpx.AsyncClient, **changes: Any) -> str:
    key = str((await write(api, **changes))["copyId"])
    await move(api, key, "approved")
    await move(api, key, "live")
    return key


async def shown(api: httpx.AsyncClient, *, approved: bool) -> dict[str, Any]:
    """The decision once it has heard of the change: it looks every five seconds."""
    for _ in range(40):
        made = await decide(api, "anna", limit=1)
        if items(made)[0]["data"]["content"]["approved"] is approved:
            return made
        await asyncio.sleep(0.25)
    raise AssertionError(made)


async def test_copy_goes_from_a_draft_to_a_decision_and_back(shop: httpx.AsyncClient) -> None:
    assert items(await decide(shop, "anna"))[0]["data"]["content"]["approved"] is False
    written = await write(shop)
    assert (written["state"], written["report"]["servable"]) == ("checked", True)
    key = written["copyId"]
    await move(shop, key, "approved", reason="fine")
    await move(shop, key, "live")
    content = items(await shown(shop, approved=True))[0]["data"]["content"]
    assert content["sections"] == GOOD
    assert content["variantId"] == key
    assert content["provenance"]["aiGenerated"] is False
    assert content["provenance"]["digitalSourceType"] == "digitalCreation"
    await move(shop, key, "retired", reason="season over")
    assert items(await shown(shop, approved=False))[0]["data"]["content"]["variantId"] is None
    trail = (await shop.get(f"/v1/copy/{key}")).json()["history"]
    assert [(s["number"], s["actor"], s["before"], s["after"], s["reason"]) for s in trail] == [
        (1, "ed", None, "checked", ""), (2, "ida", "checked", "approved", "fine"), (3, "ida", "approved", "live", ""),
        (4, "ida", "live", "retired", "season over"),
    ]  # fmt: skip
    assert all(s["keyId"].startswith("key_") and s["textHash"] for s in trail)
    assert (await shop.get("/v1/copy", params={"state": "retired", "offerId": "milk"})).json()["copies"][0][
        "copyId"
    ] == key


async def test_copy_that_says_what_its_offer_does_not_stays_a_draft_and_cannot_be_approved(
    shop: httpx.AsyncClient,
) -> None:
    written = await write(shop, sections=BAD)
    assert written["state"] == "draft"
    assert {c["text"] for c in written["report"]["claims"] if c["status"] != "supported"} >= {"$3", "best"}
    refused = await move(shop, written["copyId"], "approved", 409)
    assert "draft" in refused["detail"]
    mended = await put(shop, f"/v1/copy/{written['copyId']}", {"sections": GOOD, "by": "ed", "revision": 1})
    assert (mended["state"], mended["revision"]) == ("checked", 2)
    assert (await move(shop, written["copyId"], "approved", revision=2))["state"] == "approved"


async def test_a_rejection_says_why_and_is_not_the_end(shop: httpx.AsyncClient) -> None:
    key = (await write(shop))["copyId"]
    assert (await move(shop, key, "rejected", 422))["errors"][0]["field"] == "reason"
    assert (await move(shop, key, "rejected", reason="too dry"))["state"] == "rejected"
    assert (await move(shop, key, "live", 409))["code"] == "wrong-state"
    assert (await move(shop, key, "approved", reason="on second thought"))["state"] == "approved"


async def test_four_eyes_where_the_brand_wants_them(shop: httpx.AsyncClient) -> None:
    await put(shop, "/v1/brands/default", {"brandId": "default", "name": "Dairy", "copyRules": {"fourEyes": True}})
    key = (await write(shop))["copyId"]
    assert (await move(shop, key, "approved", 403, by=" ED "))["errors"][0]["field"] == "by"
    await put(shop, f"/v1/copy/{key}", {"sections": {**GOOD, "cta": "Look"}, "by": "ida", "revision": 1})
    for author in ("ed", "ida"):
        assert (await move(shop, key, "approved", 403, by=author, revision=2))["code"] == "four-eyes"
    assert (await move(shop, key, "approved", by="uwe", revision=2))["authors"] == ["ed", "ida"]


async def test_an_edit_is_checked_and_takes_the_approval_away(shop: httpx.AsyncClient) -> None:
    key = (await write(shop))["copyId"]
    await move(shop, key, "approved")
    edited = await put(shop, f"/v1/copy/{key}", {"sections": BAD, "by": "uwe", "revision": 1, "reason": "louder"})
    assert (edited["state"], edited["authors"]) == ("draft", ["ed", "uwe"])
    assert edited["history"][-1]["action"] == "edited"
    late = await shop.put(f"/v1/copy/{key}", json={"sections": GOOD, "by": "ed", "revision": 1})
    assert (late.status_code, late.json()["errors"][0]["allowed"]) == (409, "2")
    await put(shop, f"/v1/copy/{key}", {"sections": GOOD, "by": "uwe", "revision": 2})
    await move(shop, key, "approved", revision=3)
    await move(shop, key, "live", revision=3)
    assert (await shop.put(f"/v1/copy/{key}", json={"sections": GOOD, "by": "ed", "revision": 3})).status_code == 409


async def test_live_copy_is_not_served_once_its_offer_says_something_else(shop: httpx.AsyncClient) -> None:
    key = await live(shop)
    await shown(shop, approved=True)
    await stock(shop, {**MILK, "boost": 3})  # nothing that copy says
    await asyncio.sleep(5.2)
    assert items(await decide(shop, "anna"))[0]["data"]["content"]["approved"] is True
    await stock(shop, {**MILK, "discount": {"kind": "amount", "value": "1", "currency": "USD"}})
    made = await shown(shop, approved=False)
    assert any(reason.startswith("copy_outdated: milk") for reason in made["degraded"])
    assert (await shop.post("/v1/copy/recheck", json={})).json() == {"checked": 1, "withdrawn": [key]}
    taken = (await shop.get(f"/v1/copy/{key}")).json()
    assert (taken["state"], taken["history"][-1]["actor"]) == ("draft", "atelier")
    assert "'$2' is contradicted" in taken["history"][-1]["reason"]


async def test_a_change_that_copy_survives_puts_it_back_into_service(shop: httpx.AsyncClient) -> None:
    key = await live(shop)
    await stock(shop, {**MILK, "description": "Milk of this morning."})
    assert (await shop.post("/v1/copy/recheck", json={"offerIds": ["milk"]})).json() == {"checked": 1, "withdrawn": []}
    made = await shown(shop, approved=True)
    assert items(made)[0]["data"]["content"]["variantId"] == key


async def test_publishing_checks_against_what_the_offer_says_now(shop: httpx.AsyncClient) -> None:
    key = (await write(shop))["copyId"]
    await move(shop, key, "approved")
    await stock(shop, {**MILK, "discount": {"kind": "amount", "value": "5", "currency": "USD"}})
    refused = await move(shop, key, "live", 422)
    assert (refused["code"], refused["errors"][0]["given"], refused["errors"][0]["allowed"]) == (
        "failed-checks",
        "$2",
        "5 USD",
    )


async def test_what_generation_wrote_is_kept_with_its_mark_and_goes_with_its_person(
    suite: httpx.AsyncClient,
) -> None:
    await stock_coupons(suite)
    await household(suite)
    body = {"profileId": "hh-1", "offerIds": ["yogurt"], "channel": "email", "keep": True}
    answer = (await suite.post("/v1/generate", json=body)).json()
    key = answer["copies"][0]["variants"][0]["copyId"]
    kept = msgspec.convert((await suite.get(f"/v1/copy/{key}")).json(), StoredCopy)
    assert (kept.state, kept.source, kept.authors, kept.personal) == ("checked", "model", ["generation"], True)
    assert kept.provenance.ai_generated
    assert kept.provenance.prompt_version.startswith("offer_copy@")
    assert {"offer:yogurt", "brand:default"} <= set(kept.provenance.source_ids)
    assert kept.provenance.checker
    assert any("yogurt" in fact.text for fact in kept.required_facts)
    assert kept.material
    assert (kept.material.profile.first_name, kept.material.profile.attributes) == (None, {})
    again = (await suite.post("/v1/generate", json=body)).json()
    assert again["copies"][0]["variants"][0]["copyId"] == key
    assert len((await suite.get("/v1/copy")).json()["copies"]) == 1
    edited = await put(
        suite,
        f"/v1/copy/{key}",
        {"sections": msgspec.to_builtins(kept.sections), "by": "ed", "revision": 1},
    )
    assert edited["provenance"]["aiGenerated"]
    assert edited["provenance"]["digitalSourceType"] == "compositeWithTrainedAlgorithmicMedia"
    receipt = (await suite.delete("/v1/profiles/hh-1")).json()
    assert receipt["rows"]["copy"] == 1
    assert (await suite.get(f"/v1/copy/{key}")).status_code == 404


async def test_copy_written_for_somebody_goes_when_the_consent_goes(suite: httpx.AsyncClient) -> None:
    await stock_coupons(suite)
    await household(suite)
    body = {"profileId": "hh-1", "offerIds": ["yogurt"], "channel": "web", "keep": True}
    key = (await suite.post("/v1/generate", json=body)).json()["copies"][0]["variants"][0]["copyId"]
    await put(suite, "/v1/profiles/hh-1/consents", {"personalize": {"content": {"val": "n"}}})
    assert (await suite.get(f"/v1/copy/{key}")).status_code == 404


async def test_another_tenant_sees_and_moves_nothing(shop: httpx.AsyncClient) -> None:
    key = (await write(shop))["copyId"]
    other = shop.other  # type: ignore[attr-defined]
    assert (await shop.get(f"/v1/copy/{key}", headers=other)).status_code == 404
    body = {"to": "approved", "by": "eve", "revision": 1}
    assert (await shop.post(f"/v1/copy/{key}/moves", json=body, headers=other)).status_code == 404
    assert (await shop.get("/v1/copy", headers=other)).json()["copies"] == []


async def test_two_who_approve_at_once_make_one_step(shop: httpx.AsyncClient) -> None:
    key = (await write(shop))["copyId"]
    bodies = [{"to": "approved", "by": f"ida{n}", "revision": 1} for n in range(8)]
    answers = await asyncio.gather(*(shop.post(f"/v1/copy/{key}/moves", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert len((await shop.get(f"/v1/copy/{key}")).json()["history"]) == 2


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"offerId": "none"}, 404, "offerId"), ({"by": ""}, 422, "by"), ({"channel": "fax"}, 422, "channel"),
        ({"sections": {"title": "x"}}, 422, "sections"), ({"sections": {"body": "a\u0000b"}}, 422, None),
        ({"copyId": "with space"}, 422, "copyId"), ({"locale": "???"}, 422, "locale"),
    ],
)  # fmt: skip
async def test_bad_input_is_told_by_field(
    shop: httpx.AsyncClient, changes: dict[str, Any], status: int, field: str | None
) -> None:
    refused = await write(shop, status, **changes)
    assert field is None or refused["errors"][0]["field"].startswith(field)


async def test_an_id_is_taken_once_and_a_state_that_is_none_is_told(shop: httpx.AsyncClient) -> None:
    await write(shop, copyId="spring")
    assert (await write(shop, 409, copyId="spring"))["code"] == "copy-exists"
    assert (await shop.get("/v1/copy", params={"state": "famous"})).status_code == 422


async def test_a_key_without_the_scope_to_approve_cannot(shop: httpx.AsyncClient, settings: Settings) -> None:
    from services.gateway.service import KeyService
    from services.gateway.settings import GatewaySettings
    from shared.db.engine import create_engine

    engine = create_engine(settings.database_url)
    writer = await KeyService(engine, GatewaySettings()).create("acme", ["copy"])
    await engine.dispose()
    own = {"authorization": f"Bearer {writer}"}
    made = await shop.post(
        "/v1/copy", json={"offerId": "milk", "sections": GOOD, "by": "ed", "channel": "web"}, headers=own
    )
    assert made.status_code == 201
    body = {"to": "approved", "by": "ida", "revision": 1}
    assert (await shop.post(f"/v1/copy/{made.json()['copyId']}/moves", json=body, headers=own)).status_code == 403


def test_the_moves_are_these() -> None:
    states: tuple[CopyState, ...] = get_args(CopyState)
    allowed = {
        (before, to)
        for before, to in itertools.product(states, approval.MOVES)
        if approval.objection(before, to) is None
    }
    assert allowed == {
        ("checked", "approved"), ("rejected", "approved"), ("draft", "rejected"), ("checked", "rejected"),
        ("approved", "rejected"), ("approved", "live"),
        *((state, "retired") for state in ("draft", "checked", "approved", "rejected", "live")),
    }  # fmt: skip


@given(st.lists(st.sampled_from(list(approval.MOVES)), max_size=12))
def test_nothing_becomes_live_that_was_not_approved_just_before(path: list[CopyState]) -> None:
    state: CopyState = "checked"
    for to in path:
        if approval.objection(state, to) is None:
            assert to != "live" or state == "approved"
            state = to


def _live_copy(key: str, *facts: RequiredFact, said: str) -> LiveCopy:
    mark = Provenance(ai_generated=True, digital_source_type="compositeWithTrainedAlgorithmicMedia")
    return LiveCopy(variant_id=key, offer_id="milk", channel="web", locale="en", sections={"body": key}, statement=said,
                    required_facts=list(facts), provenance=mark)  # fmt: skip


def test_copy_that_speaks_of_facts_is_served_to_who_has_them_in_these_words_only() -> None:
    milk = msgspec.convert(MILK, Offer)
    fact = RequiredFact(name="favourite:milk", text="Buys milk often")
    said = statement_version(milk)
    goods = Assortment(Pinned(offers=[milk], rules=[], policy=Policy(),
                              variants=[_live_copy("plain", said=said), _live_copy("personal", fact, said=said),
                                        _live_copy("old", said="something else")]))  # fmt: skip

    def served(facts: dict[str, str], locale: str = "en-GB") -> str | None:
        found = goods.variant("milk", "web", locale, None, facts)
        return found.variant_id if found else None

    assert served({"favourite:milk": "Buys milk often"}) == "personal"
    assert served({"favourite:milk": "Buys milk every day"}) == "plain"
    assert served({}) == "plain"
    assert served({}, "de-DE") is None
    assert goods.outdated == {"milk"}


async def test_generated_copy_is_checked_again_whatever_generation_thought_of_it(shop: httpx.AsyncClient) -> None:
    governance = shop.host._clients.governance  # type: ignore[attr-defined]
    profile = ProfileContext(
        profile_id="anna", known=True, personalize=True, contactable=True, reason=None, locale="en", time_zone="UTC",
        first_name="Anna", attributes={"age": 41}, facts=[
            Fact(name="favourite:milk", kind="category", value=1, text="Buys milk often", explanation=""),
            Fact(name="other", kind="category", value=1, text="Buys wine often", explanation=""),
        ],
    )  # fmt: skip
    material = Material(
        profile=profile, offer=msgspec.convert(MILK, Offer), brand=Brand(brand_id="default", name="Dairy")
    )
    mark = Provenance(
        ai_generated=True, digital_source_type="compositeWithTrainedAlgorithmicMedia", prompt_version="p@1"
    )
    pieces = [
        GeneratedCopy(material=material, channel="web", locale="en", sections=msgspec.convert(sections, Sections), source="model",
                      provenance=mark, usage=Usage(), facts=[RequiredFact(name="favourite:milk", text="Buys milk often")])
        for sections in (GOOD, BAD)
    ]  # fmt: skip
    from shared.context import CallContext, bound

    with bound(CallContext(tenant="acme", request_id="r")):
        page = await governance.keep(GeneratedCopies(copies=pieces))
        good = await governance.copy(page.copies[0].copy_id)
    assert [one.state for one in page.copies] == ["checked", "draft"]
    assert [fact.name for fact in good.material.profile.facts] == ["favourite:milk"]
