"""Where the time of a decision goes: each layer asked by itself, and the server's stacks sampled under load."""

import asyncio
import os
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("PEOPLE", "2000")

import psutil

from benchmarks import deciding, load
from benchmarks.harness import PEER_PYTHON, percentiles

_SHOWN = 16
_PARTS = (
    ("litestar", "Litestar"), ("redis/", "redis-py"), ("structlog", "structlog"),
    ("services/decisions/engine", "engine: funnel, scores, draw"), ("services/decisions/rules", "engine: funnel, scores, draw"),
    ("services/decisions/features", "engine: funnel, scores, draw"), ("services/decisions/exploration", "engine: funnel, scores, draw"),
    ("numpy", "engine: funnel, scores, draw"), ("services/decisions/journal", "journal"),
    ("services/decisions/repository", "journal"), ("psycopg", "journal"), ("sqlalchemy", "journal"),
    ("services/decisions", "decisions: inputs, record, answer"), ("services/profiles", "profiles"),
    ("services/gateway", "gateway"), ("shared/", "shared: edge, context, clients"), ("asyncio", "asyncio, uvloop, granian"),
    ("uvloop", "asyncio, uvloop, granian"), ("granian", "asyncio, uvloop, granian"),
)  # fmt: skip


def part_of(frames: list[str]) -> str:
    """The innermost frame that belongs to a named part."""
    for frame in reversed(frames):
        for needle, name in _PARTS:
            if needle in frame:
                return name
    return "other"


def sampled(pid: int, work: Any) -> dict[str, dict[str, float]]:
    """Percent of the samples of the serving thread, by part and by innermost function, while work is done."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "stacks.txt"
        command = [str(PEER_PYTHON.with_name("py-spy")), "record", "-p", str(pid), "-d", "10", "-r", "400", "-f", "raw",
                   "-o", str(raw), "--threads"]  # fmt: skip
        sampler = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        work()
        sampler.wait(30)
        parts: Counter[str] = Counter()
        functions: Counter[str] = Counter()
        for line in raw.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            frames = stack.split(";")
            if "MainThread" in frames[0]:
                parts[part_of(frames)] += int(count)
                functions[frames[-1].rpartition(":")[0]] += int(count)
    total = sum(parts.values()) or 1
    return {name: {key: round(100 * count / total, 1) for key, count in counts.most_common(_SHOWN)}
            for name, counts in (("by_part", parts), ("by_innermost_function", functions))}  # fmt: skip


def run() -> dict[str, Any]:
    """Milliseconds of each layer at one connection; shares of the sampled time at 16."""
    os.sched_setaffinity(0, {1})
    with deciding.servers() as made:
        key = asyncio.run(deciding.fill(made))
        inner = {"x-atelier-internal-token": "benchmark", "x-atelier-tenant": "bench"}
        mix = deciding.requests(key, 4000, 1)
        asyncio.run(load.closed(made.port, mix, 16, 60))
        body = {"profileId": "p1", "channel": "web", "limit": 3}
        asked = {
            "whole decision over the public API": mix[:1500],
            "decisions service alone (with profiles and Redis)": [load.post("/_internal/decisions/decide", body, inner)] * 1500,
            "profiles service alone (with Redis)": [load.post("/_internal/profiles/context", {"profileId": "p1", "channel": "web"}, inner)] * 1500,
        }  # fmt: skip
        layers = {name: percentiles(asyncio.run(load.closed(made.port, requests, 1, 20)).seconds)["p50_ms"]
                  for name, requests in asked.items()}  # fmt: skip
        worker = psutil.Process(made.process.pid).children()[-1].pid  # granian serves from a child
        shares = sampled(worker, lambda: asyncio.run(load.closed(made.port, mix * 10, 16, 11)))
        return {"p50_ms_at_one_connection": layers, "percent_of_samples": shares}
