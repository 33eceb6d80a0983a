"""Rules and models read features of people who allow it; without the features a decision still comes, and says so."""

import datetime as dt
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.features.materialising import Materialiser
from services.features.online import OnlineStore
from services.features.settings import FeaturesSettings
from shared.clients.features import FeaturesClient
from shared.context import CallContext, bound
from shared.errors import UnavailableError
from shared.settings import Settings
from tests.decisions.shop import decide, ids, offer, person, policy, put, stock
from tests.features.suite import until

LOYAL = {"ruleId": "loyal", "when": {"field": "profile.features.buys_7d", "op": ">=", "value": 3}}
VIEWS = {"views": [{"name": "buys", "where": {"type": "commerce.purchases"}, "windows": ["7d"]}]}


async def buy(api: httpx.AsyncClient, who: str, count: int, start: int = 0) -> None:
    now = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
    events = [{"eventId": f"{who}-{n}", "profileId": who, "type": "commerce.purchases", "time": now.isoformat()}
              for n in range(start, start + count)]  # fmt: skip
    assert (await api.post("/v1/events", json=events)).status_code == 200


async def compute(api: httpx.AsyncClient, settings: Settings, engine: AsyncEngine) -> None:
    """What a worker would do."""
    host: Any = api.host  # type: ignore[attr-defined]
    store = OnlineStore(settings.redis_url)
    with bound(CallContext(tenant="acme", request_id="test")):
        work = Materialiser(engine, host._clients.events, store, FeaturesSettings(), _data(host))
        await work.run("acme", "run", 1e12)
    await store.close()


def _data(host: Any) -> Any:
    return host._clients._settings.atelier_data


@pytest.fixture
async def shop(suite: httpx.AsyncClient, settings: Settings, engine: AsyncEngine) -> httpx.AsyncClient:
    await put(suite, "/v1/features/views", VIEWS)
    await put(suite, "/v1/rules/loyal", LOYAL)
    await stock(suite, offer("thanks", boost=50, ruleIds=["loyal"]), offer("plain"))
    await policy(suite, exploration={"kind": "none"}, learn=False)
    await person(suite, "anna")
    await buy(suite, "anna", 2)
    await compute(suite, settings, engine)
    return suite


async def test_a_rule_reads_what_happened_a_moment_ago_and_erasure_takes_it(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    first = await decide(shop, "anna", limit=1)
    assert ids(first) == ["plain"]
    assert first["degraded"] == []
    await buy(shop, "anna", 1, start=2)

    async def loyal() -> bool:
        return ids(await decide(shop, "anna", limit=1)) == ["thanks"]

    await until(loyal)
    record = await decide(shop, "anna", limit=1)
    replay = (await shop.post(f"/v1/decisions/{record['id']}/replay")).json()
    assert replay["identical"]  # the log keeps what the features were
    await policy(shop, exploration={"kind": "none"}, learn=False,
                 features=[{"field": "profile.features.buys_7d", "mean": 1, "scale": 2}])  # fmt: skip
    assert (await decide(shop, "anna", limit=1))["degraded"] == []  # the model's inputs may be features too
    receipt = (await shop.delete("/v1/profiles/anna")).json()
    assert (receipt["rows"]["feature"], receipt["rows"]["event"]) == (1, 3)
    store = OnlineStore(settings.redis_url)
    assert not [key async for key in store.redis.scan_iter(match="atelier:acme:features:*:p:anna")]
    await store.close()


async def test_features_are_read_with_consent_only_and_missing_ones_are_said(
    shop: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    real = FeaturesClient.online

    async def online(self: FeaturesClient, query: Any) -> Any:
        asked.append(query)
        return await real(self, query)

    async def down(*_: Any) -> Any:
        raise UnavailableError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(FeaturesClient, "online", down)
        found = await decide(shop, "anna", limit=1)
    assert ids(found) == ["plain"]
    assert any(reason.startswith("features_unavailable") for reason in found["degraded"])
    await put(shop, "/v1/rules/loyal", {**LOYAL, "when": {**LOYAL["when"], "field": "profile.features.gone_1h"}})
    found = await decide(shop, "anna", limit=1)
    assert any("profile.features.gone_1h" in reason for reason in found["degraded"])
    monkeypatch.setattr(FeaturesClient, "online", online)
    await decide(shop, "anna", limit=1)
    assert len(asked) == 1
    await put(shop, "/v1/profiles/anna/consents", {"personalize": {"content": {"val": "n"}}})
    assert ids(await decide(shop, "anna", limit=1)) == ["plain"]
    await decide(shop, "nobody", limit=1)
    assert len(asked) == 1
