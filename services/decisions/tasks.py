"""Celery shells of decisions."""

from typing import Any

from celery import Celery

from shared.contracts.policies import OutcomeBatch, OutcomesStored
from shared.contracts.tasks import ForgetDecisions, RecordOutcomes
from shared.errors import UnavailableError
from shared.worker import WorkerRuntime

_RETRIES = 20
_RETRY_SECONDS = 30


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks; they are tried again while the service does not answer."""

    async def forget(payload: ForgetDecisions) -> dict[str, int]:
        erased = await runtime.clients.decisions.erase(payload.profile_id)
        return {"decisions": erased.rows, "observations": await runtime.clients.experiments.erase(payload.profile_id)}

    async def outcomes(payload: RecordOutcomes) -> OutcomesStored:
        return await runtime.clients.decisions.outcomes(OutcomeBatch(outcomes=payload.outcomes))

    again = {"autoretry_for": (UnavailableError,), "max_retries": _RETRIES, "default_retry_delay": _RETRY_SECONDS}

    @celery.task(name=ForgetDecisions.task, **again)
    def forget_decisions(raw: dict[str, Any]) -> Any:
        return runtime.run(ForgetDecisions, raw, forget)

    @celery.task(name=RecordOutcomes.task, **again)
    def record_outcomes(raw: dict[str, Any]) -> Any:
        return runtime.run(RecordOutcomes, raw, outcomes)
