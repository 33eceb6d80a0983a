"""Celery shells of training."""

from typing import Any

from celery import Celery

from services.training.assembly import assemble, watch
from services.training.monitoring.service import MonitorService
from services.training.rolling import RolloutService
from services.training.service import TrainingService
from shared.contracts.monitoring import DriftReport
from shared.contracts.tasks import CheckMonitor, LookAtRollouts, RunTraining, SweepMonitors
from shared.contracts.training import TrainingJob
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks."""

    def training() -> TrainingService:
        return assemble(runtime.settings, runtime.engine, runtime.clients, runtime.tasks)

    def monitors() -> MonitorService:
        return watch(training(), runtime.engine, runtime.clients, runtime.tasks)

    async def run(payload: RunTraining) -> TrainingJob:
        done = await training().run(payload.tenant, payload.job_id)
        runtime.tasks.send(CheckMonitor(tenant=payload.tenant, model_key=done.model_key))  # if a monitor waits for it
        return done

    async def sweep(_: SweepMonitors) -> int:
        return await monitors().sweep()

    async def check(payload: CheckMonitor) -> DriftReport | None:
        return await monitors().look(payload.tenant, payload.model_key, asked=payload.asked)

    async def look(payload: LookAtRollouts) -> int:
        service = RolloutService(runtime.engine, runtime.clients)
        return await (service.look(payload.tenant) if payload.tenant else service.look_everywhere())

    @celery.task(name=RunTraining.task)
    def run_training(raw: dict[str, Any]) -> Any:
        return runtime.run(RunTraining, raw, run)

    @celery.task(name=LookAtRollouts.task)
    def look_at_rollouts(raw: dict[str, Any]) -> Any:
        return runtime.run(LookAtRollouts, raw, look)

    @celery.task(name=SweepMonitors.task)
    def sweep_monitors(raw: dict[str, Any]) -> Any:
        return runtime.run(SweepMonitors, raw, sweep)

    @celery.task(name=CheckMonitor.task)
    def check_monitor(raw: dict[str, Any]) -> Any:
        return runtime.run(CheckMonitor, raw, check)
