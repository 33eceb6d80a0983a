"""Celery shells of batches. Whatever is lost here is asked for again: the tables say what is to be done."""

from typing import Any

from celery import Celery

from services.batches.planner import Planner
from services.batches.repository import BatchRepository
from services.batches.runner import Runner, Write
from services.batches.settings import BatchesSettings
from services.batches.writing import Writer
from shared.clients.http import RemoteProblemError
from shared.contracts.batches import BatchErased
from shared.contracts.tasks import ForgetBatchItems, PlanBatch, RunChunks
from shared.db.engine import transaction
from shared.errors import UnavailableError
from shared.settings import read_env
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime, write: Write | None = None) -> None:
    """Register this room's tasks; `write` stands in for generation where the machinery alone is looked at."""
    own = read_env(BatchesSettings)

    async def plan(payload: PlanBatch) -> None:
        try:
            await Planner(runtime.engine, runtime.clients, own).plan(payload.tenant, payload.batch_id)
        except UnavailableError as error:
            await _note(runtime, payload, note=f"waits: {error.detail}"[:300])
        except RemoteProblemError as error:
            await _note(runtime, payload, state="failed", problem=error.detail[:1000])

    async def run(payload: RunChunks) -> int:
        runner = Runner(runtime.engine, own, write or Writer(runtime.clients, own).write)
        return await runner.run(payload.tenant, payload.slot, payload.asked)

    async def forget(payload: ForgetBatchItems) -> BatchErased:
        return await runtime.clients.batches.erase(payload.profile_id)

    @celery.task(name=PlanBatch.task)
    def plan_batch(raw: dict[str, Any]) -> Any:
        return runtime.run(PlanBatch, raw, plan)

    @celery.task(name=RunChunks.task, ignore_result=True)
    def run_chunks(raw: dict[str, Any]) -> Any:
        return runtime.run(RunChunks, raw, run)

    @celery.task(name=ForgetBatchItems.task, autoretry_for=(UnavailableError,), max_retries=20, default_retry_delay=30)
    def forget_items(raw: dict[str, Any]) -> Any:
        return runtime.run(ForgetBatchItems, raw, forget)


async def _note(runtime: WorkerRuntime, payload: PlanBatch, **values: Any) -> None:
    async with transaction(runtime.engine) as connection:
        await BatchRepository(connection).change(payload.tenant, payload.batch_id, **values)
