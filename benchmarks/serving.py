"""Features of 1, 10 and 100 people x 50 features out of Redis, against Feast's online store on the same Redis.

Both are asked in process, as a model server would. Ours answers as of now; what nothing changed since the last read comes
as it was kept, and `after_an_event` is the other case: everybody got an event since, and all values are computed anew.
"""

import asyncio
import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import Peer, percentiles, ratio
from services.features import packing
from services.features.online import OnlineStore
from services.features.plan import compile_plan
from services.features.service import FeatureService
from services.features.settings import FeaturesSettings
from shared.contracts.features import FeatureView, OnlineQuery
from shared.stack.valkey import Valkey

PEOPLE, FEATURES, EVENTS_EACH = 20_000, 50, 40
SIZES, CALLS, ROUNDS = (1, 10, 100), 60, 7
TENANT = "bench"
DAY = 86_400_000_000


def views() -> list[FeatureView]:
    """Fifty features of a person: counts and sums of five kinds of events over five windows."""
    windows = ["24h", "7d", "28d", "365d", "lifetime"]
    found = []
    for kind in range(5):
        where = {"type": f"t{kind}"}
        found += [FeatureView(name=f"n{kind}", where=where, windows=windows),
                  FeatureView(name=f"s{kind}", where=where, aggregate="sum", of="value", windows=windows)]  # fmt: skip
    return found


class Ours:
    """The online store, filled."""

    def __init__(self, url: str) -> None:
        self.plan = compile_plan(views())
        assert len(self.plan.of("profile").features) == FEATURES
        self.store = OnlineStore(url)
        self.service = FeatureService(None, self.store, None, None, FeaturesSettings(), Path())  # type: ignore[arg-type]

    async def fill(self) -> None:
        """Random events of everybody."""
        part = self.plan.of("profile")
        draw = np.random.default_rng(2)
        at = int(time.time() * 1e6) - draw.integers(0, 400 * DAY, (PEOPLE, EVENTS_EACH))
        rows = np.zeros((PEOPLE, EVENTS_EACH), part.record)
        rows["at"], rows["value"] = at, np.round(draw.normal(10, 5, at.shape), 2)
        rows["mask"] = 1 << draw.integers(0, 5, at.shape)
        state = {"live": 1, "token": "1", "views": msgspec.json.encode(views()), "version": self.plan.version}
        await self.store.redis.hset(self.store.key(TENANT, "state"), mapping=state)  # type: ignore[misc]
        empty = bytes(packing.head_size(part))
        async with self.store.redis.pipeline(transaction=False) as pipe:
            for n in range(PEOPLE):
                pipe.set(self.store.entity(TENANT, 1, "profile", f"p{n}"), empty + rows[n].tobytes())
            await pipe.execute()
        for start in range(0, PEOPLE, 500):  # read once, as a materialisation or the first reader does
            await self.read([f"p{n}" for n in range(start, start + 500)])

    async def read(self, ids: list[str], at: dt.datetime | None = None) -> list[list[float]]:
        """Their features as of now, or a moment."""
        return (await self.service.online(TENANT, OnlineQuery(ids=ids, at=at))).values

    async def touch(self, ids: list[str]) -> None:
        """As if an event had come in for each: the kept values do not hold any more."""
        async with self.store.redis.pipeline(transaction=False) as pipe:
            for name in ids:
                pipe.setrange(self.store.entity(TENANT, 1, "profile", name), 0, bytes(8))
            await pipe.execute()


def people(size: int, seed: int) -> list[list[str]]:
    """Whom to ask for, call by call."""
    draw = np.random.default_rng(seed)
    return [[f"p{n}" for n in draw.choice(PEOPLE, size, replace=False)] for _ in range(CALLS)]


async def _timed(mine: Ours, calls: list[list[str]]) -> list[float]:
    seconds = []
    for ids in calls:
        began = time.perf_counter()
        await mine.read(ids)
        seconds.append(time.perf_counter() - began)
    return seconds


def run() -> dict[str, Any]:
    """Latencies of both, in turn."""
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="atl-") as name, Peer("online", "peer_features.py") as peer:
        server = Valkey(Path(name) / "valkey")
        try:
            mine = Ours(server.url)
            await mine.fill()
            at = dt.datetime.now(dt.UTC)
            parts = [[f"p{n}" for n in range(start, start + 500)] for start in range(0, PEOPLE, 500)]
            values = [await mine.read(part, at) for part in parts]
            await asyncio.to_thread(_load, peer, np.vstack(values), Path(name), server.url)
            found: dict[str, Any] = {"goal": "5x Feast's p50 for 1 person, 10x for 100", "features": FEATURES,
                                     "people": PEOPLE, "events_a_person": EVENTS_EACH}  # fmt: skip
            for size in SIZES:
                found[f"{size}_people"] = await _compared(mine, peer, size, at)
            found["bytes_a_person"] = await mine.store.redis.memory_usage(mine.store.entity(TENANT, 1, "profile", "p1"))
            await mine.store.close()
        finally:
            server.stop()
    return found


def _load(peer: Peer, numbers: Any, folder: Path, url: str) -> None:
    """The same numbers into Feast's store on the same Redis."""
    names = [f"f{i}" for i in range(FEATURES)]
    table = pa.table({"entity": [f"p{n}" for n in range(PEOPLE)], **dict(zip(names, numbers.T.copy(), strict=True))})
    now = pa.array([int(time.time() * 1e6)] * PEOPLE, pa.timestamp("us", "UTC"))
    pq.write_table(table.append_column("time", now), folder / "numbers.parquet")
    address = url.removeprefix("redis://").partition("/")[0]
    peer.ask(load=str(folder), redis=address, fields=names)


async def _compared(mine: Ours, peer: Peer, size: int, at: dt.datetime) -> dict[str, Any]:
    checked = people(size, 1)[:5]
    theirs = (await asyncio.to_thread(peer.ask, ids=checked, check=True))["values"]
    np.testing.assert_allclose([await mine.read(ids, at) for ids in checked], theirs, rtol=1e-12, atol=1e-9)
    ours_all: list[float] = []
    peers_all: list[float] = []
    cold_all: list[float] = []
    quotients = []
    for number in range(ROUNDS):
        calls = people(size, 10 + number)
        ours = await _timed(mine, calls)
        other = (await asyncio.to_thread(peer.ask, ids=calls))["seconds"]
        for ids in calls:
            await mine.touch(ids)
        cold_all += await _timed(mine, calls)
        quotients.append(float(np.median(other) / np.median(ours)))
        ours_all += ours
        peers_all += other
    return {"ours": percentiles(ours_all), "feast": percentiles(peers_all), "ours_after_an_event": percentiles(cold_all),
            **ratio(quotients)}  # fmt: skip
