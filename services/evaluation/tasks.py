"""Celery shells of evaluation."""

from typing import Any

from celery import Celery

from services.evaluation.runner import Runner
from services.evaluation.settings import EvaluationSettings
from shared.contracts.tasks import RunEvaluation
from shared.settings import read_env
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks."""

    async def run(payload: RunEvaluation) -> None:
        runner = Runner(runtime.engine, runtime.clients, runtime.settings, read_env(EvaluationSettings))
        turn = await runner.work(payload.tenant, payload.run_id, payload.turn)
        if turn is not None:
            runtime.tasks.send(RunEvaluation(tenant=payload.tenant, run_id=payload.run_id, turn=turn))

    @celery.task(name=RunEvaluation.task)
    def run_evaluation(raw: dict[str, Any]) -> Any:
        return runtime.run(RunEvaluation, raw, run)
