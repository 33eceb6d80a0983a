"""Celery shells of training."""

from typing import Any

from celery import Celery

from services.training.assembly import assemble
from services.training.rolling import RolloutService
from shared.contracts.tasks import LookAtRollouts, RunTraining
from shared.contracts.training import TrainingJob
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks."""

    async def run(payload: RunTraining) -> TrainingJob:
        service = assemble(runtime.settings, runtime.engine, runtime.clients, runtime.tasks)
        return await service.run(payload.tenant, payload.job_id)

    async def look(payload: LookAtRollouts) -> int:
        service = RolloutService(runtime.engine, runtime.clients)
        return await (service.look(payload.tenant) if payload.tenant else service.look_everywhere())

    @celery.task(name=RunTraining.task)
    def run_training(raw: dict[str, Any]) -> Any:
        return runtime.run(RunTraining, raw, run)

    @celery.task(name=LookAtRollouts.task)
    def look_at_rollouts(raw: dict[str, Any]) -> Any:
        return runtime.run(LookAtRollouts, raw, look)
