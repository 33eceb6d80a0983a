"""The stream of accepted events: events/s through a consumer, against counters as a user would write them, and freshness.

Throughput: messages of 500 packed events into the stream, until a consumer in a process of its own has counted and
acknowledged all of them. Freshness: 5,000 events/s by POST to events (Postgres, announcement, stream), and polling the
features service until a probe among them counts; from before the POST to the answer that has it.
"""

import asyncio
import contextlib
import datetime as dt
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np

from benchmarks import load
from benchmarks.harness import ROOT, Peer, percentiles, ratio
from services.commands.serving import migrate_all
from services.features.online import OnlineStore
from services.features.plan import compile_plan
from shared.clients.stream import event_stream
from shared.context import INTERNAL_TOKEN_HEADER, TENANT_HEADER
from shared.contracts.features import FeatureView
from shared.contracts.stream import STREAM, PackedEvents, encode
from shared.stack.postgres import Postgres
from shared.stack.valkey import Valkey, free_port

# Bytewax gets fewer events: it would take minutes a round.
PEOPLE, EVENTS, FEW, ROUNDS = 20_000, 100_000, 10_000, int(os.environ.get("ROUNDS", "5"))
RATE, SECONDS, BATCH = 5000, float(os.environ.get("RATE_SECONDS", "30")), 250
TENANT = "bench"
HOUR = 3_600_000_000
END = int(time.time() // (7 * 86_400) * 7 * 86_400 * 1_000_000)  # a boundary of all tumbling windows, in the past
BUY = "commerce.purchases"
COUNTED = [
    FeatureView(name="n", where={"type": BUY}, windows=["1h", "24h", "7d", "lifetime"]),
    FeatureView(name="s", where={"type": BUY}, aggregate="sum", of="value", windows=["1h", "24h", "7d", "lifetime"]),
]  # fmt: skip


def events() -> list[tuple[str, int, float]]:
    """(person, microseconds, value) of random purchases in the 21 days before the boundary."""
    draw = random.Random(4)
    return [(f"p{draw.randrange(PEOPLE)}", END - draw.randrange(1, 21 * 24 * HOUR), round(draw.uniform(1, 20), 2))
            for _ in range(EVENTS)]  # fmt: skip


def messages(rows: list[tuple[str, int, float]], first: int) -> list[bytes]:
    """The same as the events service packs them."""
    found = []
    for number, start in enumerate(range(0, len(rows), 500)):
        part = rows[start : start + 500]
        packed = PackedEvents(
            tenant=TENANT, transaction=first + number, part=0, stored_at=int(time.time() * 1000),
            profile_id=[row[0] for row in part], time=np.array([row[1] for row in part], "<i8").tobytes(),
            type=[BUY] * len(part), value=np.array([row[2] for row in part], "<f8").tobytes(),
            session_id=[f"s{start}"] * len(part), category=["milk"] * len(part),
        )  # fmt: skip
        found.append(encode(packed))
    return found


@contextlib.contextmanager
def process(*command: str, **environ: str) -> Iterator[None]:
    """A process of ours."""
    running = subprocess.Popen([sys.executable, *command], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **environ},
                               stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        yield
    finally:
        running.terminate()
        running.wait(30)


async def begin(store: OnlineStore) -> None:
    """An epoch without a single event serves."""
    async for key in store.redis.scan_iter(match=f"atelier:{TENANT}:*", count=5000):
        await store.redis.unlink(key)
    state = {"live": 1, "token": "1", "views": msgspec.json.encode(COUNTED), "version": compile_plan(COUNTED).version}
    await store.redis.hset(store.key(TENANT, "state"), mapping=state)  # type: ignore[misc]


async def counted(store: OnlineStore, rows: list[tuple[str, int, float]], first: int) -> float:
    """Seconds until all is counted."""
    raw = messages(rows, first)
    began = time.perf_counter()
    async with store.redis.pipeline(transaction=False) as pipe:
        for message in raw:
            pipe.xadd(STREAM, {"__data__": message})
        await pipe.execute()
    while await store.redis.xlen(STREAM):  # noqa: ASYNC110  (another process empties it)
        await asyncio.sleep(0.002)
    return time.perf_counter() - began


async def throughput(url: str, folder: Path) -> dict[str, Any]:
    """Events a second of ours and of both peers, in turn; what was counted is compared."""
    rows = events()
    many, few = folder / "many.json", folder / "few.json"
    many.write_text(json.dumps(rows))
    few.write_text(json.dumps(rows[:FEW]))
    asked = sorted({row[0] for row in rows[:300]})
    store = OnlineStore(url, seconds=60)
    stream = event_stream(url)
    await stream.open()
    seconds: dict[str, list[float]] = {"ours": [], "counters": [], "bytewax": []}
    with (
        Peer("counters", "peer_streaming.py") as counters,
        Peer("bytewax", "peer_streaming.py") as bytewax,
        process("-m", "tests.features.consumer", url, "bench"),
    ):
        for number in range(ROUNDS + 1):
            await begin(store)
            ours = await counted(store, rows if number else rows[:FEW], 10**12 + number * 10**6)
            one = await asyncio.to_thread(counters.ask, redis=url, events=str(many if number else few), people=asked)
            other = await asyncio.to_thread(bytewax.ask, events=str(few), people=asked)
            if number == 0:  # both sides warm, and equal
                await compare(store, asked, one["totals"], other["windows"])
                continue
            for name, taken in (
                ("ours", ours),
                ("counters", one["seconds"]),
                ("bytewax", other["seconds"] * EVENTS / FEW),
            ):
                seconds[name].append(taken)
    await stream.close()
    await store.close()
    result: dict[str, Any] = {f"{name}_events_per_second": round(EVENTS / float(np.median(taken)))
                              for name, taken in seconds.items()}  # fmt: skip
    for name in ("counters", "bytewax"):
        result[f"against_{name}"] = ratio([b / a for a, b in zip(seconds["ours"], seconds[name], strict=True)])
    return result


async def compare(store: OnlineStore, asked: list[str], totals: list[list[float]], windows: list[list[Any]]) -> None:
    """Lifetime counts and sums of the counters; bytewax's windows at their ends, some hundreds of them."""
    _, values = await store.read(TENANT, "profile", asked, None)
    np.testing.assert_allclose(values[:, [3, 7]], totals, rtol=1e-9)
    place = {"h": 0, "d": 1, "w": 2}
    width = {"h": HOUR, "d": 24 * HOUR, "w": 168 * HOUR}
    for letter, who, window, count, total in random.Random(1).sample(windows, min(len(windows), 600)):
        ends = dt.datetime.fromtimestamp((window + 1) * width[letter] / 1e6, dt.UTC)
        _, found = await store.read(TENANT, "profile", [who], ends)
        np.testing.assert_allclose(found[0, [place[letter], 4 + place[letter]]], [count, total], rtol=1e-9)


async def freshness(postgres: str, url: str, folder: Path) -> dict[str, Any]:
    """Milliseconds from before the POST of an event to the first answer that counts it."""
    migrate_all(postgres)
    ports = {name: free_port() for name in ("events", "features")}
    environ = {"DATABASE_URL": postgres, "REDIS_URL": url, "INTERNAL_TOKEN": "benchmark", "LOG_LEVEL": "warning",
               "ATELIER_DATA": str(folder)}  # fmt: skip
    store = OnlineStore(url, seconds=60)
    await begin(store)
    with contextlib.ExitStack() as stack:
        for name, port in ports.items():
            stack.enter_context(process("-m", "services", "serve", name, "--port", str(port), **environ))
        for port in ports.values():
            load.wait_for(port, "/health/live", 120)
        headers = {INTERNAL_TOKEN_HEADER: "benchmark", TENANT_HEADER: TENANT}
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports['events']}", headers=headers, timeout=30) as door,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports['features']}", headers=headers, timeout=30) as shelf,
        ):
            await posted(door, "warm", {}, {})
            sent: dict[str, float] = {}
            accepted: dict[str, float] = {}
            began = time.perf_counter()
            watching = asyncio.create_task(watched(shelf, sent, int(RATE * SECONDS / BATCH)))
            tasks = []
            for number in range(int(RATE * SECONDS / BATCH)):
                await asyncio.sleep(max(0.0, began + number * BATCH / RATE - time.perf_counter()))
                tasks.append(asyncio.create_task(posted(door, f"probe{number}", sent, accepted)))
            await asyncio.gather(*tasks)
            seconds = time.perf_counter() - began
            taken = await watching
    await store.close()
    answered = [accepted[who] - sent[who] for who in taken]
    return {"events_per_second": round(len(taken) * BATCH / seconds), "probes": len(taken),
            **percentiles([at - sent[who] for who, at in taken.items()]),
            "after_the_answer": percentiles([max(0.0, at - accepted[who]) for who, at in taken.items()]),
            "post": percentiles(answered)}  # fmt: skip


async def posted(door: httpx.AsyncClient, who: str, sent: dict[str, float], accepted: dict[str, float]) -> None:
    """One POST of events with the probe among them."""
    draw = random.Random(who)
    now = dt.datetime.now(dt.UTC).isoformat()
    rows = [{"eventId": f"{who}-{n}", "profileId": who if n == 0 else f"p{draw.randrange(PEOPLE)}", "type": BUY,
             "time": now, "value": "2.50", "category": "milk", "sessionId": who} for n in range(BATCH)]  # fmt: skip
    body = msgspec.json.encode({"events": rows})
    sent[who] = time.perf_counter()
    answer = await door.post("/events", content=body, headers={"content-type": "application/json"})
    accepted[who] = time.perf_counter()
    assert answer.status_code == 200, answer.text


async def watched(shelf: httpx.AsyncClient, sent: dict[str, float], count: int) -> dict[str, float]:
    """When each probe counted first: all that are on their way are asked for together, again and again."""
    found: dict[str, float] = {}
    while len(found) < count:
        await asyncio.sleep(0.01)
        waiting = [who for who in sent if who not in found][:1000]
        if not waiting:
            continue
        question = msgspec.json.encode({"ids": waiting, "features": ["n_1h"]})
        answer = await shelf.post("/online", content=question, headers={"content-type": "application/json"})
        now = time.perf_counter()
        found |= {who: now for who, values in zip(waiting, answer.json()["values"], strict=True) if values == [1.0]}
    return found


def run() -> dict[str, Any]:
    """Both."""
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        folder = Path(name)
        postgres, valkey = Postgres(folder / "pg"), Valkey(folder / "valkey")
        try:
            return {
                "goal": "30,000 events/s on 2 cores; p99 250 ms at 5,000/s", "events": EVENTS, "people": PEOPLE,
                **asyncio.run(throughput(valkey.url, folder)),
                "freshness_at_5000": asyncio.run(freshness(postgres.url, valkey.url, folder)),
            }  # fmt: skip
        finally:
            valkey.stop()
            postgres.stop()
