"""What follows from outcomes: once each, under the terms of their decision, whatever was down when they came."""

import asyncio
from typing import Any

import httpx
import pytest

from services.decisions.counters import CountersDownError
from services.decisions.effects import Effects
from services.decisions.tending import Tending
from shared.errors import UnavailableError
from tests.decisions.shop import decide, ids, items, offer, outcome, person, policy, put, stock

GREEDY = {"exploration": {"kind": "none"}, "learn": False}
REST = {"contact": {"suppressions": [{"after": "dismiss", "days": 2}]}}
ALWAYS = {"start": "2020-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}


def room(api: httpx.AsyncClient, name: str, dependency: str) -> Any:
    return api.host.apps[name].litestar.dependencies[dependency].dependency()  # type: ignore[attr-defined]


def token(made: dict[str, Any]) -> str:
    return str(items(made)[0]["characteristics"]["tokens"][0])


async def start(api: httpx.AsyncClient, **config: Any) -> None:
    """An experiment whose arms are alike."""
    variants = [{"key": "c", "config": config}, {"key": "t", "config": config}]
    await put(api, "/v1/experiments/e", {"experimentKey": "e", "variants": variants})
    assert (await api.post("/v1/experiments/e/start")).status_code == 200


async def metrics(api: httpx.AsyncClient) -> dict[str, float]:
    arms = (await api.get("/v1/experiments/e/readout")).json()["arms"]
    return {arm["metric"]: arm["mean"] for arm in arms if arm["units"] and arm["mean"]}


async def until(true: Any) -> None:
    for _ in range(200):
        if await true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come true in time")


async def test_a_rest_and_a_metric_that_could_not_be_passed_on_are_passed_on_later_and_once(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(suite, offer("a", boost=9), offer("b"))
    await policy(suite, **GREEDY, **REST)
    await person(suite, "anna")
    await start(suite)
    await decide(suite, "anna", limit=1)
    await asyncio.sleep(0.3)
    made = await decide(suite, "anna", limit=1)
    effects: Effects = room(suite, "decisions", "rewarding")._effects
    rest, observe = effects._counters.rest, effects._observer._experiments.observe

    async def no_redis(*_: Any) -> None:
        raise CountersDownError("gone for a moment")

    async def no_experiments(*_: Any) -> None:
        raise UnavailableError("gone for a moment")

    monkeypatch.setattr(effects._counters, "rest", no_redis)
    monkeypatch.setattr(effects._observer._experiments, "observe", no_experiments)
    assert (await outcome(suite, token(made), "dismiss", "no"))["stored"] == 1
    assert ids(await decide(suite, "anna", limit=1)) == ["a"]
    monkeypatch.setattr(effects._counters, "rest", rest)
    monkeypatch.setattr(effects._observer._experiments, "observe", observe)
    assert (await outcome(suite, token(made), "dismiss", "no"))["duplicates"] == 1

    async def rests() -> bool:
        return ids(await decide(suite, "anna", limit=1)) == ["b"]

    await until(rests)
    await effects.again()
    await effects.again()
    assert (await metrics(suite))["dismiss"] == 1.0


async def test_an_item_converts_once_and_once_more_for_every_order_that_says_which(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("a"))
    await person(suite, "anna")
    await start(suite)
    await policy(suite, reward={"objective": "convert"})
    made = await decide(suite, "anna")
    money = {"value": {"amount": "10", "currency": "USD"}}
    answers = [await outcome(suite, token(made), "convert", f"k{n}", **money) for n in range(3)]
    assert [a["stored"] for a in answers] == [1, 0, 0]
    assert [e["field"] for a in answers for e in a["errors"]] == ["outcomes[0].orderId"] * 2
    orders = [
        await outcome(suite, token(made), "convert", f"o{n}", orderId=f"order-{n % 2}", **money) for n in range(4)
    ]
    assert [a["stored"] for a in orders] == [1, 1, 0, 0]
    for n in range(3):  # seen and clicked again: counted once an item
        await outcome(suite, token(made), "interact", f"again-{n}")
    rows = (await suite.post("/v1/decisions/log", json=ALWAYS)).json()["rows"]
    assert (rows[0]["reward"], rows[0]["value"]) == (1.0, 30.0)

    async def exposed() -> bool:
        return "convert" in await metrics(suite)

    await until(exposed)
    assert await metrics(suite) == {"convert": 3.0, "value": 30.0, "reward": 1.0, "interact": 1.0}


@pytest.mark.parametrize("other", ["token", "kind", "value", "order"])
async def test_an_idempotency_key_used_for_something_else_is_a_conflict_that_names_it(
    suite: httpx.AsyncClient, other: str
) -> None:
    await stock(suite, offer("a"), offer("b"))
    await person(suite, "anna")
    one, two = (item["characteristics"]["tokens"][0] for item in items(await decide(suite, "anna", limit=2)))
    first: dict[str, Any] = {"token": one, "kind": "convert", "idempotencyKey": "k", "orderId": "1",
                             "value": {"amount": "1", "currency": "USD"}}  # fmt: skip
    change = {"token": {"token": two}, "kind": {"kind": "interact", "orderId": None},
              "value": {"value": {"amount": "2", "currency": "USD"}}, "order": {"orderId": "2"}}[other]  # fmt: skip
    body = {"outcomes": [first, first, {**first, **change}]}
    for stored in (1, 0):  # in one request, and again later
        answer = (await suite.post("/v1/outcomes", json=body)).json()
        assert (answer["stored"], answer["duplicates"], answer["rejected"]) == (stored, 2 - stored, 1)
        assert answer["errors"][0]["field"] == "outcomes[2].idempotencyKey"
        assert "used before" in answer["errors"][0]["message"]


async def test_outcomes_count_by_the_policy_their_decision_was_made_under(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("a", boost=9), offer("b"))
    await policy(suite, **GREEDY)
    await start(suite, **REST, reward={"objective": "convert", "waitSeconds": 1000, "rates": {"EUR": 2.0}})
    await person(suite, "anna")
    await decide(suite, "anna")
    await asyncio.sleep(0.3)
    made = await decide(suite, "anna", limit=1)
    assert ids(made) == ["a"]
    await policy(suite, **GREEDY, reward={"objective": "interact"})  # what is live by now is no matter
    await outcome(suite, token(made), "interact", "click")
    await outcome(suite, token(made), "convert", "buy", value={"amount": "3", "currency": "EUR"})
    await outcome(suite, token(made), "dismiss", "no")
    rows = (await suite.post("/v1/decisions/log", json=ALWAYS)).json()["rows"]
    mine = next(row for row in rows if row["decisionId"] == made["id"])
    assert (mine["reward"], mine["value"]) == (1.0, 6.0)
    assert ids(await decide(suite, "anna", limit=1)) == ["b"]


async def test_default_rewards_are_due_when_the_policy_of_the_decision_said(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("a"))
    await person(suite, "anna")
    await policy(suite, reward={"waitSeconds": 86_400 * 30})
    at = "2026-01-01T00:00:00Z"
    await decide(suite, "anna", limit=1, at=at)
    await policy(suite, reward={"waitSeconds": 60})
    await decide(suite, "anna", limit=1, at=at)
    settled = [
        (await suite.post("/v1/outcomes/settle", json={"asOf": f"2026-{day}T00:00:00Z"})).json()["items"]
        for day in ("01-02", "01-30", "02-02")
    ]
    assert settled == [1, 0, 1]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z"])
async def test_an_outcome_outside_of_the_calendar_is_refused(suite: httpx.AsyncClient, time: str) -> None:
    await stock(suite, offer("a"))
    await policy(suite, **GREEDY, **REST)
    made = await decide(suite, "anna", limit=1)
    answer = await outcome(suite, token(made), "dismiss", "k", time=time)
    assert (answer["stored"], answer["errors"][0]["field"]) == (0, "outcomes[0].time")


async def test_one_tenants_failing_rewards_leave_no_other_tenant_without(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewarding, settled = room(suite, "decisions", "rewarding"), []
    other = suite.other  # type: ignore[attr-defined]
    for headers in (None, other):
        await suite.put("/v1/offers/a", json=offer("a"), headers=headers)
        await suite.post("/v1/decisions", json={"profileId": "x", "channel": "web"}, headers=headers)
    await room(suite, "decisions", "decisions").flush()

    async def settle(tenant: str, _: Any) -> None:
        settled.append(tenant)
        raise RuntimeError(tenant)

    monkeypatch.setattr(rewarding, "settle", settle)
    journal = room(suite, "decisions", "decisions")._journal
    tending = Tending(journal, None, rewarding, None, rewarding._engine, None)  # type: ignore[arg-type]
    await tending._settle()
    assert sorted(settled) == ["acme", "globex"]
