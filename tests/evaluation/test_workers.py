"""A real Celery worker over real HTTP: it takes runs from the queue, and one that is killed is followed by another."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from granian.constants import Interfaces
from granian.server.embed import Server

from shared.settings import Settings
from shared.stack.valkey import free_port
from tests.conftest import ROOT
from tests.evaluation.copybook import many, results, stock
from tests.evaluation.judge_server import JudgeServer, perfect

pytestmark = pytest.mark.timeout(900)
STALE = "2"


@asynccontextmanager
async def over_http(api: httpx.AsyncClient) -> AsyncIterator[str]:
    """The test's host on a real port, for processes beside this one."""
    port = free_port()
    server = Server(api.host, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await asyncio.wait_for(task, 10)


@contextmanager
def worker(settings: Settings, url: str, judge: str, folder: Path, log: Path) -> Any:
    """A worker process of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_URL")} | {
        "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url, "INTERNAL_TOKEN": settings.internal_token,
        "PUBLIC_URL": url, "ATELIER_DATA": str(folder), "EVALUATION_JUDGE_BASE_URL": judge, "EVALUATION_JUDGE_MODEL": "m",
        "EVALUATION_JUDGE_CONCURRENCY": "4", "EVALUATION_CALIBRATION_ITEMS": "6", "EVALUATION_STALE_SECONDS": STALE,
        "EVALUATION_SLICE_SECONDS": "2",
    }  # fmt: skip
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-m", "services", "worker", "--concurrency", "1"], cwd=ROOT, env=environment,
                                   stdout=out, stderr=out, start_new_session=True)  # fmt: skip
    try:
        yield process
    finally:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """kill -9 of a worker and its children: nothing of theirs gets to say goodbye."""
    if process.poll() is None:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in family:
            one.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)
        process.wait(10)


async def until(api: httpx.AsyncClient, run: str, true: Callable[[dict[str, Any]], bool], log: Path) -> dict[str, Any]:
    for _ in range(900):
        found: dict[str, Any] = (await api.get(f"/v1/evaluations/{run}")).json()
        if true(found):
            return found
        assert found["state"] in {"queued", "running"}, (found["state"], found["problem"], log.read_text()[-3000:])
        await asyncio.sleep(0.1)
    raise AssertionError(f"it did not come true in time: {found}\n{log.read_text()[-3000:]}")


@pytest.fixture
def tending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALUATION_STALE_SECONDS", STALE)


async def test_a_worker_that_is_killed_is_followed_by_another_that_asks_nothing_twice(
    tending: None, suite: httpx.AsyncClient, settings: Settings, tmp_path: Path
) -> None:
    await stock(suite)
    await many(suite, 60)
    log = tmp_path / "worker.log"
    async with JudgeServer(perfect, seconds=0.2).running() as judge, over_http(suite) as url:
        body = {"judge": True, "metrics": ["claim_support", "rouge_score", "verdict", "diversity"]}
        with worker(settings, url, judge.url, tmp_path, log) as first:
            run = (await suite.post("/v1/evaluations", json=body)).json()["runId"]
            seen = await until(
                suite,
                run,
                lambda found: found["progress"]["stage"] == "judge" and found["progress"]["stageDone"] >= 8,
                log,
            )
            assert (seen["state"], seen["progress"]["total"]) == ("running", 240)
            assert seen["progress"]["rate"]
            assert seen["progress"]["secondsLeft"]
            kill(first)
            stored = len(await results(suite, run, metric="verdict"))
            calls = judge.calls
        assert 8 <= stored < 60
        with worker(settings, url, judge.url, tmp_path, log):
            done = await until(suite, run, lambda found: found["state"] == "done", log)
    assert done["progress"]["done"] == 240
    assert [one["n"] for one in done["summaries"]] == [60] * 4
    # What was in flight when it was killed is asked again, at most one question for each of its slots.
    asked_anew = judge.calls - calls
    assert 60 - stored <= asked_anew <= 60 - stored + 4
    assert done["cost"]["calls"] >= 60
