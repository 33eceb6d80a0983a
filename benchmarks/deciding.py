"""Decisions: workload D1 over the public API, beside what a user would assemble.

100,000 people with 40 numbers each in Redis, 500 offers, 20 predicates, caps on 10 offers, SquareCB over contextual
linear models, top 3, every decision logged. The server has one core, the load generator the other.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import psutil
import redis

from benchmarks import load
from benchmarks.harness import PEER_PYTHON, ROOT, percentiles, ratio
from services.commands.serving import migrate_all
from services.decisions.bandit import Bandit, Lesson
from services.gateway.keys import SCOPES
from services.gateway.service import KeyService
from services.gateway.settings import GatewaySettings
from services.profiles.importing import create_sink
from shared.contracts.profiles import ProfileUpsert
from shared.db.engine import create_engine
from shared.settings import Settings
from shared.stack.postgres import Postgres
from shared.stack.valkey import Valkey, free_port

PEOPLE, OFFERS, FEATURES, PREDICATES, CAPPED = int(os.environ.get("PEOPLE", "100000")), 500, 40, 20, 10
YEAR = {"startDate": "2020-01-01T00:00:00Z", "endDate": "2099-01-01T00:00:00Z"}
CONSENTS = {"personalize": {"content": {"val": "y"}}, "marketing": {"any": {"val": "y"}}}
SECONDS, PAIRS, PAIR_SECONDS, LESSONS = 8.0, 7, 3.0, 20_000
RATE, RATE_SECONDS = 500, float(os.environ.get("RATE_SECONDS", "60"))
SOAK_RATE = 300
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))


def person(n: int) -> dict[str, Any]:
    """The n-th person's attributes."""
    draw = random.Random(n)
    return {f"f{i}": round(draw.gauss(0, 1), 4) for i in range(FEATURES)}


def offer(n: int) -> dict[str, Any]:
    """The n-th offer: two of the predicates each, the first ten with caps."""
    caps = [{"window": w, "limit": k} for w, k in (("day", 2), ("week", 5), ("lifetime", 20))] if n < CAPPED else []
    rules = [f"r{n % PREDICATES}", f"r{(n * 7 + 3) % PREDICATES}"]
    return {
        "offerId": f"o{n:03}",
        "name": f"Offer {n}",
        "category": f"c{n % 50}",
        "ruleIds": rules,
        "capping": caps,
        **YEAR,
    }


def rules() -> list[dict[str, Any]]:
    """20 predicates that most people pass."""
    return [{"ruleId": f"r{n}", "when": {"field": f"profile.attributes.f{n}", "op": ">", "value": -1.0}}
            for n in range(PREDICATES)]  # fmt: skip


POLICY: dict[str, Any] = {
    "relevance": False,
    "maxPerCategory": None,
    "exploration": {"kind": "squarecb", "gamma": 50},
    "features": [{"field": f"profile.attributes.f{n}"} for n in range(FEATURES)],
}


class Servers:
    """Postgres, Valkey and our services on loopback, the services pinned to the first core."""

    def __init__(self, folder: Path) -> None:
        self.postgres = Postgres(folder / "pg")
        self.valkey = Valkey(folder / "valkey")
        self.port = free_port()
        migrate_all(self.postgres.url)
        self.settings = Settings(atelier_data=folder / "data", database_url=self.postgres.url, redis_url=self.valkey.url,
                                 internal_token="benchmark",  # noqa: S106
                                 port=self.port)  # fmt: skip
        environ = {**os.environ, "DATABASE_URL": self.postgres.url, "REDIS_URL": self.valkey.url, "INTERNAL_TOKEN": "benchmark",
                   "ATELIER_DATA": str(folder / "data"), "LOG_LEVEL": "warning", "OMP_NUM_THREADS": "1",
                   "GATEWAY_REQUESTS_PER_MINUTE": "100000000"}  # fmt: skip
        command = ["taskset", "-c", "0", sys.executable, "-m", "services", "serve", "all", "--port", str(self.port)]
        self.log = (folder / "serve.log").open("wb")
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=self.log, stderr=self.log)
        load.wait_for(self.port, "/health/live", 120)

    def stop(self) -> None:
        """Stop all."""
        self.process.terminate()
        self.process.wait(30)
        self.valkey.stop()
        self.postgres.stop()


@contextmanager
def servers() -> Iterator[Servers]:
    """Everything that D1 needs, filled."""
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        made = Servers(Path(name))
        try:
            yield made
        finally:
            made.stop()


async def fill(made: Servers) -> str:
    """People, offers, rules, policy; the API key."""
    engine = create_engine(made.postgres.url)
    key = await KeyService(engine, GatewaySettings()).create("bench", list(SCOPES))
    sink = create_sink("profiles", engine, made.settings, "bench")
    for start in range(0, PEOPLE, 2000):
        rows = [
            {"profileId": f"p{n}", "consents": CONSENTS, "attributes": {k: {"value": v} for k, v in person(n).items()}}
            for n in range(start, start + 2000)
        ]
        await sink.write([msgspec.convert(row, ProfileUpsert) for row in rows])
    await engine.dispose()
    redis.Redis.from_url(made.valkey.url).flushdb()  # the tombstones of the import: people are read as after a while
    url = f"http://127.0.0.1:{made.port}"
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60) as api:
        for rule in rules():
            (await api.put(f"/v1/rules/{rule['ruleId']}", json=rule)).raise_for_status()
        (await api.put("/v1/policy", json=POLICY)).raise_for_status()
        for n in range(OFFERS):
            (await api.put(f"/v1/offers/o{n:03}", json=offer(n))).raise_for_status()
    return key


def requests(key: str, count: int, seed: int) -> list[bytes]:
    """Requests of random people."""
    draw = random.Random(seed)
    head = {"authorization": f"Bearer {key}"}
    return [
        load.post("/v1/decisions", {"profileId": f"p{draw.randrange(PEOPLE)}", "channel": "web", "limit": 3}, head)
        for _ in range(count)
    ]


class Peer:
    """A peer's server on the same core and the same Redis."""

    def __init__(self, kind: str, made: Servers, offers: int) -> None:
        self.port = free_port()
        listed = [offer(n) for n in range(offers)]
        setup = {"features": FEATURES, "rules": [[f"f{n}", -1.0] for n in range(PREDICATES)], "lessons": LESSONS,
                 "offers": [{"rules": [int(r[1:]) for r in o["ruleIds"]], "caps": o["capping"]} for o in listed]}  # fmt: skip
        script = ROOT / "benchmarks" / "peer_deciding.py"
        command = [
            "taskset",
            "-c",
            "0",
            str(PEER_PYTHON),
            str(script),
            kind,
            str(self.port),
            made.valkey.url,
            json.dumps(setup),
        ]
        self.process = subprocess.Popen(
            command, env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        )
        load.wait_for(self.port, "/health", 180)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def expectations_agree(peer: Peer) -> float:
    """The same lessons in our models and MABWiser's: the largest difference of expected rewards over 50 contexts."""
    draw = np.random.default_rng(0)
    x = np.column_stack([np.ones(LESSONS), draw.normal(size=(LESSONS, FEATURES))])
    arms, rewards = draw.integers(0, OFFERS, LESSONS), (draw.random(LESSONS) < 0.1).astype(float)
    ours = Bandit("check", FEATURES + 1)
    ours.fold(Lesson(n + 1, f"o{arms[n]:03}", True, rewards[n], 0.0, x[n].tobytes()) for n in range(LESSONS))
    contexts = draw.normal(size=(50, FEATURES))
    answer = httpx.post(
        f"http://127.0.0.1:{peer.port}/expectations", json={"contexts": contexts.tolist()}, timeout=120
    ).json()
    theta = np.array([ours.theta[ours.row[f"o{n:03}"]] if f"o{n:03}" in ours.row else np.zeros(FEATURES + 1)
                      for n in range(OFFERS)])  # fmt: skip
    mine = np.column_stack([np.ones(50), contexts]) @ theta.T
    return float(np.abs(mine - np.array(answer)).max())


def paired(ours: list[bytes], port: int, theirs: list[bytes], peer: Peer) -> dict[str, Any]:
    """Decisions a second at 16 connections, in turn."""

    def rate(target: int, mix: list[bytes]) -> float:
        return asyncio.run(load.closed(target, mix, 16, PAIR_SECONDS)).rate

    rate(port, ours), rate(peer.port, theirs)
    pairs = [(rate(port, ours), rate(peer.port, theirs)) for _ in range(PAIRS)]
    return {
        "ours_per_second": [round(mine) for mine, _ in pairs], "peer_per_second": [round(other, 1) for _, other in pairs],
        **ratio([mine / other for mine, other in pairs]),
    }  # fmt: skip


def memory(pid: int) -> float:
    """MiB of a process and its children."""
    root = psutil.Process(pid)
    return round(sum(p.memory_info().rss for p in [root, *root.children(recursive=True)]) / 2**20, 1)


def run() -> dict[str, Any]:
    """Ours alone, closed and open loop; then beside the peers; then for minutes at one rate, watching the memory."""
    os.sched_setaffinity(0, {1})
    with servers() as made:
        key = asyncio.run(fill(made))
        head = {"authorization": f"Bearer {key}"}
        everybody = [load.post("/v1/decisions", {"profileId": f"p{n}", "channel": "web", "limit": 3}, head)
                     for n in range(PEOPLE)]  # fmt: skip
        asyncio.run(load.closed(made.port, everybody, 16, 600))  # everybody is in Redis, as after a day
        mix = requests(key, 20_000, 1)
        result: dict[str, Any] = {"workload": f"D1: {PEOPLE:,} people x {FEATURES} features, {OFFERS} offers, {PREDICATES} "
                                  f"predicates, caps on {CAPPED}, SquareCB, top 3, logged; server on one core"}  # fmt: skip
        # What this machine takes for a request that does nothing: times of two machines are compared by it.
        floor = asyncio.run(load.closed(made.port, [load.get("/health/live")] * 20_000, 1, SECONDS))
        result["floor_closed_1"] = {"per_second": round(floor.rate), **percentiles(floor.seconds)}
        for connections in (1, 16, 64):
            found = asyncio.run(load.closed(made.port, mix, connections, SECONDS))
            result[f"closed_{connections}"] = {"per_second": round(found.rate), **percentiles(found.seconds)}
        for rate in (200, RATE):
            found = asyncio.run(load.opened(made.port, mix, rate, RATE_SECONDS))
            result[f"open_{rate}"] = {"per_second": round(found.rate), **percentiles(found.seconds)}
        result["peers"] = beside_peers(made, mix, key)
        before, samples = memory(made.process.pid), []
        for _ in range(int(SOAK_SECONDS // 30)):
            asyncio.run(load.opened(made.port, mix, SOAK_RATE, 30))
            samples.append(memory(made.process.pid))
        result["soak"] = {"seconds": SOAK_SECONDS, "per_second": SOAK_RATE, "mib_before": before, "mib": samples}
        return result


def beside_peers(made: Servers, mix: list[bytes], key: str) -> dict[str, Any]:
    """MABWiser with 500 offers, Vowpal Wabbit with 100, each in turn with ours."""
    store = redis.Redis.from_url(made.valkey.url)
    with store.pipeline(transaction=False) as pipe:
        for n in range(PEOPLE):
            pipe.set(f"features:p{n}", json.dumps(person(n)))
            if n % 5000 == 0:
                pipe.execute()
        pipe.execute()
    draw = random.Random(1)
    theirs = [load.post("/decide", {"profileId": f"p{draw.randrange(PEOPLE)}"}) for _ in range(20_000)]
    found = {}
    for kind, note in (
        ("lints", "Thompson sampling, as D1 asks"),
        ("linucb", "no probabilities"),
        ("lingreedy", "no exploration"),
    ):
        peer = Peer(kind, made, OFFERS)
        check = {"largest_difference_of_expectations": expectations_agree(peer)} if kind == "lingreedy" else {}
        found[f"fastapi_mabwiser_{kind}_500_offers"] = {"note": note, **check, **paired(mix, made.port, theirs, peer)}
        peer.stop()
    few = [f"o{n:03}" for n in range(100)]
    ours = [load.post("/v1/decisions", {"profileId": f"p{draw.randrange(PEOPLE)}", "channel": "web", "limit": 3,
                                        "candidateIds": few}, {"authorization": f"Bearer {key}"}) for _ in range(20_000)]  # fmt: skip
    peer = Peer("vw", made, 100)
    found["fastapi_vowpal_wabbit_100_offers"] = {"goal": ">= 3x", **paired(ours, made.port, theirs, peer)}
    peer.stop()
    return found


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
