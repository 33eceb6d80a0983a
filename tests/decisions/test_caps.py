"""Caps and rests over the public API where they are hard to hold: fallbacks, arms, lost answers, a person nobody knows."""

import asyncio
import datetime as dt
from typing import Any

import httpx
import pytest
import redis

from services.decisions import contact
from services.decisions.service import DecisionService
from shared.context import CallContext, bound
from tests.decisions.shop import CONSENTS, decide, ids, items, offer, outcome, person, policy, put, stock

GREEDY = {"exploration": {"kind": "none"}, "learn": False}
NEVER = {"ruleId": "never", "when": {"field": "profile.attributes.zz", "op": "exists"}}


def deciding(api: httpx.AsyncClient) -> DecisionService:
    found: DecisionService = api.host.apps["decisions"].litestar.dependencies["decisions"].dependency()  # type: ignore[attr-defined]
    return found


async def counted(api: httpx.AsyncClient) -> None:
    """The first decision with caps has the counters made."""
    for _ in range(100):
        made = await decide(api, "warm-up")
        if not any("counters" in reason for reason in made["degraded"]):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(made["degraded"])


async def logged(api: httpx.AsyncClient, made: dict[str, Any]) -> list[str]:
    answer = await api.get(f"/v1/decisions/{made['id']}")
    assert answer.status_code == 200, answer.text
    return [pick["offerId"] for pick in answer.json()["picks"]]


async def test_a_fallback_that_a_rule_removed_first_is_capped_all_the_same(suite: httpx.AsyncClient) -> None:
    await put(suite, "/v1/rules/never", NEVER)
    await stock(suite, offer("a", ruleIds=["never"], capping=[{"window": "lifetime", "limit": 1}]),
                offer("b", ruleIds=["never"], collections=["s"]), offer("c", ruleIds=["never"], collections=["s"]))  # fmt: skip
    await policy(suite, **GREEDY, fallbackOfferIds=["a", "b", "c"],
                 contact={"caps": [{"scope": "collection", "window": "day", "limit": 1}]})  # fmt: skip
    await person(suite, "anna")
    await counted(suite)
    made = [await decide(suite, "anna") for _ in range(3)]
    assert [ids(one) for one in made] == [["a", "b"], [], []]
    assert [await logged(suite, one) for one in made] == [ids(one) for one in made]
    assert made[1]["reason"]


async def test_a_fallback_rests_after_a_dismissal_and_keeps_the_quiet_hours(suite: httpx.AsyncClient) -> None:
    await put(suite, "/v1/rules/never", NEVER)
    await stock(suite, offer("a", ruleIds=["never"]))
    quiet = [{"channels": ["email"], "start": "00:00", "end": "23:59"}]
    await policy(suite, **GREEDY, fallbackOfferIds=["a"],
                 contact={"suppressions": [{"after": "dismiss", "days": 2}], "quietHours": quiet})  # fmt: skip
    await person(suite, "anna")
    await counted(suite)
    noon = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}T12:00:00Z"
    assert ids(await decide(suite, "anna", channel="email", at=noon)) == []
    item = items(await decide(suite, "anna"))[0]
    await outcome(suite, item["characteristics"]["tokens"][0], "dismiss", "no")
    assert ids(await decide(suite, "anna")) == []


@pytest.mark.parametrize("known_by", ["identity", "profile id"])
async def test_a_cap_holds_while_nobody_knows_who_it_is_or_what_day_it_is_for_them(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, known_by: str
) -> None:
    await stock(suite, offer("capped", capping=[{"window": "day", "limit": 1}], boost=50), offer("free"))
    await policy(suite, **GREEDY)
    identities = {"email": [{"id": "a@x.y"}]}
    await put(suite, "/v1/profiles/anna", {"profileId": "anna", "consents": CONSENTS, "identityMap": identities,
                                           "timeZone": "Asia/Tokyo"})  # fmt: skip
    await counted(suite)
    # In Tokyo it is the next day already.
    asked: dict[str, Any] = {"channel": "web", "limit": 1, "at": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}T20:00:00Z"}
    asked |= {"identityMap": identities} if known_by == "identity" else {"profileId": "anna"}

    async def shown() -> list[dict[str, Any]]:
        return [dict((await suite.post("/v1/decisions", json=asked)).json()) for _ in range(2)]

    before = await shown()

    async def stuck(*_: Any) -> None:
        await asyncio.sleep(60)

    people = deciding(suite)._people
    monkeypatch.setattr(people, "_seconds", 0.05)
    monkeypatch.setattr(people._profiles, "context", stuck)
    during = await shown()
    assert [ids(one) for one in before + during] == [["capped"], ["free"], ["free"], ["free"]]
    assert any(reason.startswith("counters_unattributable: offers with a cap") for reason in during[0]["degraded"])


async def test_an_attempt_whose_answer_was_lost_is_not_answered_under_its_id(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(suite, offer("capped", capping=[{"window": "lifetime", "limit": 5}], boost=50), offer("free"))
    await policy(suite, **GREEDY)
    await person(suite, "anna")
    await counted(suite)
    store = deciding(suite)._counters._redis
    run, lost = store.evalsha, []

    async def late(*args: Any) -> Any:
        found = await run(*args)
        if not lost:
            lost.append(found)
            raise redis.TimeoutError("the answer came too late")
        return found

    monkeypatch.setattr(store, "evalsha", late)
    made = await decide(suite, "anna", limit=1)
    assert lost == [b""]  # the counters moved, and something was logged
    assert ids(made) == await logged(suite, made) == ["free"]


async def test_arms_that_cap_otherwise_cap_their_people_and_nobody_else(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("a", boost=9), offer("b"))
    await policy(suite, **GREEDY, contact={"caps": [{"scope": "offer", "window": "day", "limit": 4}]})
    strict = {"contact": {"caps": [{"scope": "collection", "window": "week", "limit": 9},
                                   {"scope": "offer", "window": "lifetime", "limit": 2}]}}  # fmt: skip
    await put(
        suite, "/v1/experiments/e", {"experimentKey": "e", "variants": [{"key": "c"}, {"key": "t", "config": strict}]}
    )
    assert (await suite.post("/v1/experiments/e/start")).status_code == 200
    for n in range(6):
        await person(suite, f"p{n}")
    await counted(suite)
    shown: dict[str, list[int]] = {"c": [], "t": []}
    for n in range(6):
        made = [await decide(suite, f"p{n}", limit=1) for _ in range(6)]
        assert not any("counters" in reason for one in made for reason in one["degraded"])
        shown[made[0]["experiments"][0]["arm"]].append(sum("a" in ids(one) for one in made))
    assert set(shown["c"]) == {4}
    assert set(shown["t"]) == {2}


async def test_counters_that_somebody_slow_makes_do_not_overwrite_those_of_who_took_over(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(suite, offer("capped", capping=[{"window": "lifetime", "limit": 3}], boost=50), offer("free"))
    await policy(suite, **GREEDY)
    await person(suite, "anna")
    await counted(suite)
    service = deciding(suite)
    counting, counters = service._reserving._counting, service._counters
    refill, slow, go = counters.refill, asyncio.Event(), asyncio.Event()

    async def late(*args: Any) -> bool:
        monkeypatch.setattr(counters, "refill", refill)
        slow.set()
        await go.wait()
        return bool(await refill(*args))

    monkeypatch.setattr(counters, "refill", late)
    with bound(CallContext(tenant="acme", request_id="making")):
        first = asyncio.create_task(counting.make("acme"))
        await slow.wait()
        await counters._redis.delete(counters._lock("acme"))  # it held its lock for too long
        assert await counting.make("acme")
        counting.forget("acme")
        assert ids(await decide(suite, "anna", limit=1)) == ["capped"]
        go.set()
        assert not await first
    assert [ids(await decide(suite, "anna", limit=1)) for _ in range(3)] == [["capped"], ["capped"], ["free"]]


async def test_making_the_counters_fails_and_is_tried_again_whatever_went_wrong(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(suite, offer("capped", capping=[{"window": "lifetime", "limit": 3}], boost=50), offer("free"))
    await policy(suite, **GREEDY)
    await person(suite, "anna")
    journal, tries = deciding(suite)._journal, []
    drain = journal.drain

    async def broken() -> int:
        tries.append(1)
        raise ValueError("a row that nobody thought of")

    monkeypatch.setattr(journal, "drain", broken)
    assert ids(await decide(suite, "anna", limit=1)) == ["free"]
    await asyncio.sleep(0.1)
    assert tries
    monkeypatch.setattr(journal, "drain", drain)
    await counted(suite)
    assert ids(await decide(suite, "anna", limit=1)) == ["capped"]


async def test_counters_of_days_long_gone_are_dropped_when_a_person_comes_again(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("capped", capping=[{"window": w, "limit": 9} for w in ("day", "week", "lifetime")]))
    await policy(suite, **GREEDY)
    await person(suite, "anna")
    await counted(suite)
    counters = deciding(suite)._counters
    old = {"d20250101|o|capped": "1", "w202501|o|capped": "2", "l|o|capped": "2"}
    await counters._redis.hset(counters._person("acme", "anna"), mapping=old)  # type: ignore[misc]
    await decide(suite, "anna")
    left = await counters.read("acme", "anna")
    assert left["l|o|capped"] == 3
    assert len(left) == 3
    assert not set(left) & {"d20250101|o|capped", "w202501|o|capped"}


def test_only_periods_that_ended_long_ago_are_stale() -> None:
    at = dt.datetime(2026, 1, 20, tzinfo=dt.UTC)
    fields = ["d20260104|o|a", "d20260105|o|a", "w202552|o|a", "w202601|o|a", "w202602|o|a", "l|o|a", "s|o|a"]
    assert contact.stale(fields, at) == ["d20260104|o|a", "w202552|o|a", "w202601|o|a"]


async def test_a_redis_that_forgot_its_scripts_is_a_redis_that_restarted(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("capped", capping=[{"window": "lifetime", "limit": 2}], boost=50), offer("free"))
    await policy(suite, **GREEDY)
    await person(suite, "anna")
    await counted(suite)
    counters = deciding(suite)._counters
    life = await counters.life()
    await counters._redis.script_flush()
    assert ids(await decide(suite, "anna", limit=1)) == ["capped"]  # the same run: asked again, and trusted
    assert await counters.life() == life
    # Another run, whose counters may have lost their last second: nothing capped until they are made again.
    await counters._redis.hset(counters._state("acme"), "mark", "another-run:x")  # type: ignore[misc]
    assert ids(await decide(suite, "anna", limit=1)) == ["free"]
    await counted(suite)
    assert [ids(await decide(suite, "anna", limit=1)) for _ in range(2)] == [["capped"], ["free"]]
