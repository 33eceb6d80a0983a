"""The demo on an empty folder and again: every step's seconds, and the time to the first offer."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT
from shared.stack.valkey import free_port

_STEP = re.compile(r"^  (?P<name>\S.*?)  (?P<seconds>\d+\.\d) s$", re.MULTILINE)
_FIRST = re.compile(r"first offer (\d+) s after the start, all after (\d+) s")
_WRITTEN = re.compile(r"(\d+) offers written, (\d+) by the model")


def run() -> dict[str, Any]:
    """First and later run. The virtual environments are there already; the README says what making them took."""
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        return {"goal": "first run <= 600 s with set-up, first offer of a later run <= 60 s",
                "first_run": _demo(Path(name)), "later_run": _demo(Path(name))}  # fmt: skip


def _demo(folder: Path) -> dict[str, Any]:
    environment = {**os.environ, "ATELIER_DATA": str(folder), "PORT": str(free_port()), "COLUMNS": "130"}
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "services", "demo", "--once"], cwd=ROOT, env=environment, check=True,
                          capture_output=True, text=True)  # fmt: skip
    first, written = _FIRST.search(done.stdout), _WRITTEN.search(" ".join(done.stdout.split()))
    assert first
    assert written
    return {
        "steps_seconds": {m["name"]: float(m["seconds"]) for m in _STEP.finditer(done.stdout)},
        "first_offer_seconds": int(first[1]), "all_offers_seconds": int(first[2]),
        "offers": int(written[1]), "by_the_model": int(written[2]),
        "from_start_to_everything_stopped_seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
