"""Deciding over the public API: the funnel, the log, replay, why, caps, outcomes, what happens when parts are down."""

import asyncio
import math
from typing import Any

import httpx
import pytest

from services.decisions import presenting
from services.decisions.assortment import Assortment
from tests.decisions.shop import decide, ids, items, offer, outcome, person, policy, publish, put, stock


async def test_probabilities_of_every_candidate_are_logged_and_add_up(suite: httpx.AsyncClient) -> None:
    await stock(suite, *(offer(f"o{n}") for n in range(6)), offer("old", endDate="2020-02-01T00:00:00Z"))
    await person(suite, "anna")
    for kind in ("epsilon", "squarecb", "thompson", "uniform", "none"):
        await policy(suite, exploration={"kind": kind})
        made = await decide(suite, "anna", limit=3)
        assert len(set(ids(made))) == 3
        record = (await suite.get(f"/v1/decisions/{made['id']}")).json()
        eligible = [c for c in record["candidates"] if c["removedBy"] is None]
        assert len(eligible) == 6
        assert abs(sum(c["probability"] for c in eligible) - 1) < 1e-6
        assert all(item["probability"] > 0 for item in items(made))
        assert {c["offerId"]: c["removedBy"] for c in record["candidates"]}["old"] == "expired"
        assert record["funnel"] == {"offers": 7, "expired": 6}
        replay = (await suite.post(f"/v1/decisions/{made['id']}/replay")).json()
        assert replay["identical"], replay


async def test_a_replay_makes_copy_and_reasons_again_from_what_was_logged(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(suite, offer("a", category="tea"), offer("b"))
    await publish(suite, "a", "v1", "Tea for your quiet hours")
    await policy(suite, exploration={"kind": "none"}, learn=False)
    await person(suite, "anna")
    made = await decide(suite, "anna", limit=2)
    assert [item["data"]["content"]["approved"] for item in items(made)].count(True) == 1

    async def differs() -> list[str]:
        return list((await suite.post(f"/v1/decisions/{made['id']}/replay")).json()["differs"])

    assert await differs() == []
    with monkeypatch.context() as changed:
        changed.setattr(Assortment, "variant", lambda *_: None)
        assert await differs() == ["items"]
    with monkeypatch.context() as changed:
        changed.setattr(presenting, "_reasons", lambda *_: ["because"])
        assert await differs() == ["items"]


async def test_why_names_the_stage_or_adds_up_the_terms(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("dear", value={"amount": "9", "currency": "USD"}), offer("plain"),
                offer("vip", ruleIds=["grown-up"]))  # fmt: skip
    rule = {"ruleId": "grown-up", "when": {"field": "profile.attributes.age", "op": ">=", "value": 18}}
    await put(suite, "/v1/rules/grown-up", rule)
    await policy(suite, exploration={"kind": "none"})
    await person(suite, "kid", age=12)
    made = await decide(suite, "kid", limit=1)
    assert ids(made) == ["dear"]
    why = (await suite.get(f"/v1/decisions/{made['id']}/why", params={"offer": "vip"})).json()
    assert (why["removedBy"], why["details"]) == ("rule", ["rule grown-up: it does not hold"])
    trail = (await suite.get(f"/v1/decisions/{made['id']}/why", params={"offer": "plain"})).json()
    assert trail["verdict"] == "outranked"
    assert abs(trail["lead"]["value"] - math.log(9)) < 1e-9
    assert abs(trail["residual"]) < 1e-6
    assert (await suite.get(f"/v1/decisions/{made['id']}/why", params={"offer": "gone"})).status_code == 404


async def test_a_cap_holds_under_64_requests_at_once(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("capped", capping=[{"window": "day", "limit": 3}], boost=50), offer("free"))
    await policy(suite, exploration={"kind": "none"})
    await person(suite, "anna")
    await decide(suite, "warm-up")
    await asyncio.sleep(0.3)
    made = await asyncio.gather(*(decide(suite, "anna", limit=1) for _ in range(64)))
    shown = [key for one in made for key in ids(one)]
    assert shown.count("capped") == 3
    assert shown.count("free") == 61
    replays = [(await suite.post(f"/v1/decisions/{one['id']}/replay")).json()["identical"] for one in made[:10]]
    assert all(replays)


async def test_outcomes_count_once_and_teach(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("a"), offer("b"))
    await policy(suite, exploration={"kind": "uniform"}, reward={"waitSeconds": 60})
    await person(suite, "anna")
    tokens: dict[str, list[str]] = {"a": [], "b": []}
    for _ in range(30):
        item = items(await decide(suite, "anna", limit=1))[0]
        tokens[item["id"]].append(item["characteristics"]["tokens"][0])
    for n, token in enumerate(tokens["a"]):
        stored = await outcome(suite, token, "interact", f"click-{n}")
        again = await outcome(suite, token, "interact", f"click-{n}")
        assert (stored["stored"], again["duplicates"]) == (1, 1)
    settled = (await suite.post("/v1/outcomes/settle", json={"asOf": "2099-01-01T00:00:00Z"})).json()
    assert settled["items"] == len(tokens["b"])
    await policy(suite, exploration={"kind": "none"})
    made = await decide(suite, "anna", limit=2)
    found = {item["id"]: item["propensity"] for item in items(made)}
    assert found["a"] > 0.5 > found["b"]
    assert (await suite.post(f"/v1/decisions/{made['id']}/replay")).json()["identical"]
    # A success that comes late corrects the default reward.
    before = found["b"]
    await outcome(suite, tokens["b"][0], "interact", "late")
    found = {item["id"]: item["propensity"] for item in items(await decide(suite, "anna", limit=2))}
    assert found["b"] > before
    assert (await suite.post(f"/v1/decisions/{made['id']}/replay")).json()["identical"]


async def test_tokens_that_are_not_ours_change_nothing(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("a"))
    await person(suite, "anna")
    token = items(await decide(suite, "anna"))[0]["characteristics"]["tokens"][0]
    forged = ("A" if token[0] != "A" else "B") + token[1:]
    for bad in (forged, "x" * 40, token + "AA"):
        answer = await outcome(suite, bad, "interact", f"bad-{bad[:5]}")
        assert (answer["stored"], answer["rejected"]) == (0, 1)
        assert answer["errors"][0]["field"] == "outcomes[0].token"
    other = suite.other  # type: ignore[attr-defined]
    body = {"outcomes": [{"token": token, "kind": "convert", "idempotencyKey": "x"}]}
    stolen = (await suite.post("/v1/outcomes", json=body, headers=other)).json()
    assert (stolen["stored"], stolen["rejected"]) == (0, 1)
    for value in (
        {"amount": "-3", "currency": "USD"},
        {"amount": "3", "currency": "CHF"},
        {"amount": "NaN", "currency": "USD"},
    ):
        answer = await outcome(suite, token, "convert", "money", value=value)
        assert (answer["stored"], answer["rejected"]) == (0, 1), value


async def test_dismissed_offers_rest(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("a", boost=9), offer("b"))
    await policy(suite, exploration={"kind": "none"}, contact={"suppressions": [{"after": "dismiss", "days": 2}]})
    await person(suite, "anna")
    first = items(await decide(suite, "anna", limit=1))[0]
    assert first["id"] == "a"
    await outcome(suite, first["characteristics"]["tokens"][0], "dismiss", "no")
    made = await decide(suite, "anna", limit=1)
    assert ids(made) == ["b"]
    why = (await suite.get(f"/v1/decisions/{made['id']}/why", params={"offer": "a"})).json()
    assert why["removedBy"] == "suppressed"


@pytest.mark.parametrize(
    ("when", "where"),
    [
        ({"field": "profile.shoeSize", "op": "==", "value": 1}, "when.field"),
        ({"field": "context.hour", "op": "~", "value": 1}, "when.op"),
        ({"field": "context.hour", "op": ">", "value": "ten"}, "when.value"),
        ({"all": []}, "when.all"),
        ({"all": [{"rule": "loop"}]}, "when.all[0].rule"),
        ({"rule": "nobody"}, "when.rule"),
        ({"field": "context.hour", "op": "in", "value": [1], "extra": 2}, "when.extra"),
        ({}, "when"),
    ],
)
async def test_a_rule_that_cannot_work_is_refused_by_place(
    suite: httpx.AsyncClient, when: dict[str, Any], where: str
) -> None:
    answer = await suite.put("/v1/rules/loop", json={"ruleId": "loop", "when": when})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == where
