"""Workers are killed and the broker forgets: no item is lost, none is doubled, and hardly any work is done twice."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.batches.errors import ModelDownError
from services.batches.leases import Chunk, Outcome
from services.batches.runner import Runner
from services.batches.service import BatchService
from services.batches.settings import BatchesSettings
from services.batches.writing import Written
from shared.clients.tasks import TaskSender, create_celery
from shared.contracts.batches import BatchMove
from shared.contracts.generation import Sections, Usage
from shared.settings import Settings
from shared.stack.valkey import Valkey
from tests.batches.ready import planned

ROOT = Path(__file__).resolve().parents[2]
# Twice the shipped lease: two cores that test in two processes may starve a living worker for three seconds, and what it was at
# would count as recomputed without a kill.
OWN = BatchesSettings(batches_lease_seconds=6.0)


class Workers:
    """Real Celery workers in processes of their own."""

    def __init__(self, settings: Settings, redis_url: str, folder: Path, ms: int) -> None:
        self._environment = {**os.environ, "DATABASE_URL": settings.database_url, "REDIS_URL": redis_url, "INTERNAL_TOKEN": "x",
                             "BATCHES_LEASE_SECONDS": str(OWN.batches_lease_seconds)}  # fmt: skip
        self._ms, self._log, self._count = ms, folder / "worker.log", 0
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._count += 1
        command = [sys.executable, "-m", "tests.batches.noop_worker", str(self._ms), f"w{self._count}"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self.running.append(process)

    def kill(self) -> None:
        """The oldest worker and its children, without a word."""
        process = self.running.pop(0)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        while self.running:
            self.kill()


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    server = Valkey(tmp_path / "valkey")
    yield server
    server.stop()


@pytest.mark.timeout(900)  # seven workers start, one after the other
async def test_five_workers_and_the_broker_die_and_every_item_is_there_once(
    engine: AsyncEngine, settings: Settings, own_valkey: Valkey, tmp_path: Path
) -> None:
    service = BatchService(engine, TaskSender(create_celery(own_valkey.url)), OWN)
    batch_id = await planned(engine, "acme", 10_000, chunk=100)
    workers = Workers(settings, own_valkey.url, tmp_path, ms=60)
    replaced: Valkey | None = None
    try:
        workers.start()
        workers.start()
        kills, done = 0, 0
        for _ in range(2500):
            with contextlib.suppress(Exception):  # the broker is away for a moment
                await service.wake()
            batch = await service.get("acme", batch_id)
            done = batch.counts.items - batch.counts.open
            if kills < 5 and done > 1200 * (kills + 1):
                workers.kill()
                workers.start()
                kills += 1
            if replaced is None and done > 4000:
                own_valkey.stop()
                replaced = Valkey(tmp_path / "empty", port=own_valkey.port)  # it remembers nothing
            if batch.state == "done":
                break
            await asyncio.sleep(0.1)
        assert (batch.state, kills, replaced is not None) == ("done", 5, True)
    finally:
        workers.stop()
        if replaced:
            replaced.stop()
    counts = batch.counts
    assert counts.written == counts.items == 10_000
    assert counts.open == 0
    items = [item async for item in service._exporter.items("acme", batch_id, batch.request)]
    assert [item.item for item in items] == list(range(1, 10_001))
    assert all(item.sections and item.sections.body == item.text_id for item in items)
    # A worker has one chunk at a time. The broker's loss costs none: it is no more than a bell.
    assert counts.recomputed <= kills
    assert counts.calls == 10_000


class Script:
    """Stands in for the writer; with a fault it writes nothing."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.began = asyncio.Event()
        self.chunks: list[tuple[str, int]] = []
        self.hold: asyncio.Event | None = None
        self.dropped = 0

    async def write(self, chunk: Chunk) -> Written:
        self.chunks.append((chunk.batch_id, chunk.number))
        self.began.set()
        if self.fault:
            raise self.fault
        if self.hold:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.dropped += 1
                raise
        return Written([Outcome(w.text_key, "written", None, Sections(body="x"), None) for w in chunk.works], Usage())


class Bell:
    """Stands in for the broker: remembers who was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def send(self, payload: Any) -> str:
        self.asked.append(payload)
        return "id"


async def turn(engine: AsyncEngine, service: BatchService, bell: Bell, script: Script) -> list[str]:
    """Wake once and do what was asked for; the tenants that were served, in order."""
    bell.asked.clear()
    await service.wake()
    asked = list(bell.asked)
    for payload in asked:
        await Runner(engine, OWN, script.write).run(payload.tenant, payload.slot, payload.asked)
    return [payload.tenant for payload in asked]


@pytest.mark.parametrize("to", ["paused", "cancelled"])
async def test_pausing_and_cancelling_stop_the_work_within_a_second(engine: AsyncEngine, to: Any) -> None:
    bell, script = Bell(), Script()
    script.hold = asyncio.Event()
    service = BatchService(engine, bell, OWN)  # type: ignore[arg-type]
    batch_id = await planned(engine, "acme", 300, chunk=100)
    working = asyncio.create_task(turn(engine, service, bell, script))
    await script.began.wait()
    began = asyncio.get_running_loop().time()
    moved = await service.move("acme", batch_id, BatchMove(to=to))
    await asyncio.wait_for(working, 5)
    assert asyncio.get_running_loop().time() - began < 5.0  # well below one chunk; a second on a quiet machine
    assert (moved.state, script.dropped) == (to, 1)
    script.hold = None
    assert await turn(engine, service, bell, script) == []
    if to == "paused":
        await service.move("acme", batch_id, BatchMove(to="running"))
        while await turn(engine, service, bell, script):
            pass
        done = await service.get("acme", batch_id)
        assert (done.state, done.counts.written, done.counts.recomputed) == ("done", 300, 0)


async def test_a_worker_that_lost_its_lease_stores_nothing(engine: AsyncEngine) -> None:
    bell, script = Bell(), Script()
    service = BatchService(engine, bell, OWN)  # type: ignore[arg-type]
    batch_id = await planned(engine, "acme", 10, chunk=10)
    await service.wake()
    (asked,) = bell.asked
    slow = Script()
    slow.hold = asyncio.Event()
    runner = Runner(engine, OWN, slow.write)
    runner._beat = lambda *_: asyncio.Event().wait()  # type: ignore[assignment, method-assign, return-value]  # a machine that hangs
    hanging = asyncio.create_task(runner.run("acme", asked.slot, asked.asked))
    await slow.began.wait()
    await asyncio.sleep(OWN.batches_lease_seconds + 0.2)
    assert await turn(engine, service, bell, script) == ["acme"]
    first = await service.get("acme", batch_id)
    slow.hold.set()
    assert await hanging == 0
    again = await service.get("acme", batch_id)
    assert (first.state, first.counts) == (again.state, again.counts)
    assert (again.state, again.counts.written, again.counts.recomputed) == ("done", 10, 1)


async def test_tenants_take_turns_and_within_one_the_higher_priority_goes_first(engine: AsyncEngine) -> None:
    bell, script = Bell(), Script()
    own = BatchesSettings(batches_in_flight=1)
    service = BatchService(engine, bell, own)  # type: ignore[arg-type]
    low = await planned(engine, "acme", 4, chunk=1, priority=1)
    high = await planned(engine, "acme", 2, chunk=1, priority=9)
    other = await planned(engine, "globex", 3, chunk=1, priority=0)
    served: list[str] = []
    for _ in range(9):
        bell.asked.clear()
        await service.wake()
        for payload in bell.asked:
            served.append(payload.tenant)
            await Runner(engine, own, script.write, turn=0).run(payload.tenant, payload.slot, payload.asked)
    assert served == ["acme", "globex", "acme", "globex", "acme", "globex", "acme", "acme", "acme"]
    assert [batch for batch, _ in script.chunks if batch != other] == [high, high, low, low, low, low]
    assert (await service.get("globex", other)).state == "done"


async def test_a_model_that_is_down_for_long_costs_no_item(engine: AsyncEngine) -> None:
    bell, script = Bell(), Script(ModelDownError("llm_unavailable: APIConnectionError"))
    service = BatchService(engine, bell, OWN)  # type: ignore[arg-type]
    batch_id = await planned(engine, "acme", 3, chunk=3)
    for _ in range(12):
        assert await turn(engine, service, bell, script) == ["acme"]
        async with engine.begin() as connection:  # the seconds until it is tried again
            await connection.execute(text("UPDATE batches.chunk SET not_before = now()"))
    waiting = await service.get("acme", batch_id)
    assert (waiting.state, waiting.counts.open) == ("running", 3)
    assert waiting.note == "waits for the model: llm_unavailable: APIConnectionError"
    script.fault = None
    assert await turn(engine, service, bell, script) == ["acme"]
    done = await service.get("acme", batch_id)
    assert (done.state, done.counts.written, done.counts.recomputed) == ("done", 3, 0)


async def test_a_chunk_that_never_succeeds_is_given_up_with_its_reason(engine: AsyncEngine) -> None:
    bell, script = Bell(), Script(RuntimeError("a fault of ours"))
    service = BatchService(engine, bell, OWN)  # type: ignore[arg-type]
    batch_id = await planned(engine, "acme", 3, chunk=3)
    for _ in range(12):
        with contextlib.suppress(RuntimeError, ExceptionGroup):
            await turn(engine, service, bell, script)
    batch = await service.get("acme", batch_id)
    assert (batch.state, batch.counts.failed, batch.counts.open) == ("done", {"given up after 8 attempts": 3}, 0)
