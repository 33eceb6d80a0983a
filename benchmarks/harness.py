"""Interleaved rounds, ratios with intervals, peers in their own environment, results as JSON."""

import json
import math
import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shared import cpu

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    return {"cpu": model, "cores": os.cpu_count(), "bf16": cpu.has_bf16(), "python": platform.python_version(),
            "load_1m": round(os.getloadavg()[0], 2), "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}  # fmt: skip


def interleave(
    ours: Callable[[], float], peer: Callable[[], float], rounds: int = 7, *, warm: bool = True
) -> dict[str, Any]:
    """Seconds of both sides in turn, and how many times faster ours is (geometric mean, 95 % bootstrap interval)."""
    if warm:  # else the caller has run both sides before
        ours(), peer()
    pairs = [(ours(), peer()) for _ in range(rounds)]
    return {
        "ours_seconds": [round(mine, 5) for mine, _ in pairs],
        "peer_seconds": [round(theirs, 5) for _, theirs in pairs],
        **ratio([theirs / mine for mine, theirs in pairs]),
    }


def ratio(quotients: Sequence[float]) -> dict[str, Any]:
    """The geometric mean of the rounds' quotients with its 95 % bootstrap interval."""
    logs = [math.log(quotient) for quotient in quotients]
    draw = random.Random(7)
    means = sorted(statistics.fmean(draw.choices(logs, k=len(logs))) for _ in range(2000))
    return {
        "ratio": round(math.exp(statistics.fmean(logs)), 2),
        "ratio_95": [round(math.exp(means[50]), 2), round(math.exp(means[1949]), 2)],
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p90, p99 in milliseconds."""
    ordered = sorted(seconds)
    return {
        f"p{p}_ms": round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))], 3) for p in (50, 90, 99)
    }


def timed(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write(name: str, result: dict[str, Any]) -> Path:
    """Keep a result."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"benchmark": name, "machine": machine(), **result}, indent=2) + "\n")
    return path


class Peer:
    """A process in the peers' environment that answers one JSON line with one JSON line."""

    def __init__(self, task: str, script_name: str = "peer.py") -> None:
        script = ROOT / "benchmarks" / script_name
        self._process = subprocess.Popen([str(PEER_PYTHON), str(script), task], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})  # fmt: skip

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request, one answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
