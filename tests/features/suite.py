"""Events and features as they run: both apps over real Postgres and Valkey, what a worker would do on the spot."""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from services.events.app import create_app as create_events
from services.features.app import create_app as create_features
from services.features.materialising import Materialiser
from services.features.online import OnlineStore
from services.features.settings import FeaturesSettings
from shared.clients.bundle import Clients
from shared.context import CallContext, bound
from shared.contracts.features import FeatureRun, FeatureView, FeatureViews
from shared.settings import Settings
from tests.rooms import TENANT, clients_of, serving


class Suite:
    """What a test works with."""

    def __init__(self, settings: Settings, clients: Clients, events: httpx.AsyncClient, features: httpx.AsyncClient,
                 store: OnlineStore, engine: Any) -> None:  # fmt: skip
        self.settings, self.clients, self.events, self.features = settings, clients, events, features
        self.store, self.engine = store, engine

    async def send(self, *events: dict[str, Any]) -> None:
        for start in range(0, len(events), 500):
            answer = await self.events.post("/events", json={"events": list(events[start : start + 500])})
            assert answer.status_code == 200, answer.text

    async def put_views(self, views: list[FeatureView]) -> None:
        with self.as_tenant():
            await self.clients.features.put_views(FeatureViews(views=views))

    async def compute(self, *, top: bool = False, asked_at: float | None = None) -> FeatureRun:
        with self.as_tenant():
            work = Materialiser(
                self.engine, self.clients.events, self.store, FeaturesSettings(), self.settings.atelier_data
            )
            return await work.run(TENANT, f"run-{time.monotonic_ns()}", asked_at or time.time() + 1, top=top)

    async def online(self, *ids: str, at: dt.datetime | None = None, entity: str = "profile") -> list[dict[str, float]]:
        query = {"entity": entity, "ids": list(ids), "at": at.isoformat() if at else None}
        answer = await self.features.post("/online", json=query)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        return [dict(zip(found["names"], values, strict=True)) for values in found["values"]]

    def as_tenant(self) -> Any:
        return bound(CallContext(tenant=TENANT, request_id="test"))


@asynccontextmanager
async def running_suite(settings: Settings, engine: Any) -> AsyncIterator[Suite]:
    clients = clients_of(settings, "events", "features")
    events, features = create_events(settings, clients), create_features(settings, clients)
    clients.attach("events", events)
    clients.attach("features", features)
    store = OnlineStore(settings.redis_url)
    async with serving(events, settings) as one, serving(features, settings) as two:
        yield Suite(settings, clients, one, two, store, engine)
    await store.close()
    await clients.__aexit__(None, None, None)


async def until(check: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
    """Wait for something to become true."""
    ends = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(0.02)
