"""No cap is ever exceeded: any caps, 64 requests at once, fallbacks, arms, profiles that do not answer, a Redis that lost all."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
import redis.asyncio as redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.decisions import contact
from services.decisions.patches import patched
from services.decisions.people import Met, anonymous
from services.decisions.service import DecisionService
from shared.context import CallContext, bound
from shared.contracts.catalog import Eligibility, Offer
from shared.contracts.decisions import Decision, DecisionRequest
from shared.contracts.experiments import Experiment
from shared.contracts.policies import OfferCap, Policy
from shared.contracts.profiles import ProfileUpsert
from shared.settings import Settings
from tests.decisions.shop import CONSENTS

ZONE = "Asia/Tokyo"
NOW = dt.datetime.now(dt.UTC).replace(hour=20)
TIMES = [NOW, NOW + dt.timedelta(days=1), NOW + dt.timedelta(days=8)]
WINDOWS = st.sampled_from(["day", "week", "lifetime"])
LIMITS = st.integers(0, 5)
CAPS = st.lists(
    st.builds(lambda scope, window, limit, named: {"scope": scope[0], "window": window, "limit": limit,
                                                    "name": scope[1] if named else None},
              st.sampled_from([("offer", "o0"), ("collection", "c0"), ("channel", "web")]), WINDOWS, LIMITS, st.booleans()),
    max_size=3,
)  # fmt: skip
SHOPS = st.fixed_dictionaries({
    "offers": st.lists(st.tuples(st.lists(st.sampled_from(["c0", "c1"]), unique=True, max_size=2),
                                 st.lists(st.tuples(WINDOWS, LIMITS), max_size=2), st.booleans()), min_size=2, max_size=5),
    "caps": CAPS, "arm": st.none() | CAPS, "kind": st.sampled_from(["none", "uniform"]),
})  # fmt: skip
ROUNDS = st.lists(
    st.tuples(st.sampled_from(TIMES), st.sampled_from([1, 8, 64]), st.integers(1, 3),
              st.sampled_from(["", "", "", "profiles down", "counters lost"])),
    min_size=1, max_size=4,
)  # fmt: skip
_tenants: Iterator[str] = (f"caps{n}" for n in range(10_000))


def offers(shop: dict[str, Any]) -> list[Offer]:
    """Some of them nobody is eligible for: they can only come as fallbacks."""
    return [
        Offer(offer_id=f"o{n}", name=f"o{n}", start_date=NOW - dt.timedelta(days=9), end_date=NOW + dt.timedelta(days=99),
              collections=collections, capping=[OfferCap(window=window, limit=limit) for window, limit in capping],
              eligibility=Eligibility(segments=["nobody"] if only_fallback else []))
        for n, (collections, capping, only_fallback) in enumerate(shop["offers"])
    ]  # fmt: skip


async def stocked(clients: Any, shop: dict[str, Any]) -> Policy:
    for offer in offers(shop):
        await clients.retrieval.put_offer(offer)
    policy = msgspec.convert({
        "relevance": False, "learn": False, "exploration": {"kind": shop["kind"]}, "contact": {"caps": shop["caps"]},
        "fallbackOfferIds": [f"o{n}" for n in range(len(shop["offers"]))],
    }, Policy)  # fmt: skip
    await clients.decisions.put_policy(policy)
    person = {"profileId": "anna", "consents": CONSENTS, "timeZone": ZONE}
    await clients.profiles.upsert(msgspec.convert(person, ProfileUpsert))
    if shop["arm"] is not None:
        arm = {"contact": {"caps": shop["arm"]}}
        body = {
            "experimentKey": "e",
            "variants": [{"key": "c", "weight": 0.001}, {"key": "t", "weight": 999, "config": arm}],
        }
        await clients.experiments.put(msgspec.convert(body, Experiment))
        await clients.experiments.start("e")
    return policy


async def played(
    service: DecisionService, tenant: str, store: Any, rounds: list[Any]
) -> list[tuple[dt.datetime, Decision]]:
    meet, made = service._people.meet, []

    async def nobody(profile_id: str, *_: Any) -> Met:
        return Met(anonymous(profile_id, "profiles unavailable", "web"), ["profiles_unavailable: x"], local_time=False)

    for at, count, limit, trouble in rounds:
        if trouble == "counters lost":  # what is logged is written; all else goes
            await service.flush()
            keys = await store.keys(f"atelier:{tenant}:*")
            await store.delete(*keys, "nothing")
        service._people.meet = nobody if trouble == "profiles down" else meet  # type: ignore[method-assign]
        asked = DecisionRequest(profile_id="anna", channel="web", limit=limit, at=at)
        try:
            answers = await asyncio.gather(*(service.decide(tenant, asked) for _ in range(count)))
        finally:
            service._people.meet = meet  # type: ignore[method-assign]
        made += [(at, answer) for answer in answers]
        await asyncio.sleep(0.05)
    return made


def served(shop: dict[str, Any], made: list[tuple[dt.datetime, Decision]]) -> Counter[tuple[str, str, str, str]]:
    """(window, period, scope, name) -> how often, counted from the answers alone."""
    collections = {f"o{n}": names for n, (names, _, _) in enumerate(shop["offers"])}
    found: Counter[tuple[str, str, str, str]] = Counter()
    for at, decision in made:
        local = at.astimezone(ZoneInfo(ZONE))
        periods = {"day": str(local.date()), "week": str(local.isocalendar()[:2]), "lifetime": ""}
        names = [("h", "web")] if decision.items else []
        for item in decision.items:
            names += [("o", item.id), *(("c", name) for name in collections[item.id])]
        found.update((window, period, *name) for window, period in periods.items() for name in names)
    return found


@given(shop=SHOPS, rounds=ROUNDS)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck),
          phases=[Phase.explicit, Phase.generate])  # fmt: skip
@pytest.mark.timeout(900)
async def test_no_cap_is_ever_exceeded(suite: httpx.AsyncClient, settings_: Settings, shop: Any, rounds: Any) -> None:
    host = suite.host  # type: ignore[attr-defined]
    service: DecisionService = host.apps["decisions"].litestar.dependencies["decisions"].dependency()
    tenant, store = next(_tenants), redis.from_url(settings_.redis_url)
    with bound(CallContext(tenant=tenant, request_id="caps")):
        policy = await stocked(host._clients, shop)
        await service.decide(tenant, DecisionRequest(profile_id="bob", channel="web"))  # has the counters made
        await asyncio.sleep(0.2)
        made = await played(service, tenant, store, rounds)
        for _, decision in made[:: max(1, len(made) // 6)]:
            assert (await host._clients.decisions.replay(decision.id)).identical
    await store.aclose()
    assert all(decision.items or decision.reason for _, decision in made)
    arm = {"contact": {"caps": shop["arm"]}} if shop["arm"] is not None else {}
    limits = contact.limits(offers(shop), patched(policy, arm).contact)
    for (window, _, scope, name), count in served(shop, made).items():
        assert count <= limits.by_name.get((window, scope, name), count), (window, scope, name)


@pytest.fixture
def settings_(settings: Settings) -> Settings:
    return settings
