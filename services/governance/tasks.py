"""Celery shells of governance."""

from typing import Any

from celery import Celery

from shared.contracts.approval import CopyErased
from shared.contracts.tasks import ForgetCopy
from shared.errors import UnavailableError
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks."""

    async def forget(payload: ForgetCopy) -> CopyErased:
        return await runtime.clients.governance.erase(payload.profile_id)

    @celery.task(name=ForgetCopy.task, autoretry_for=(UnavailableError,), max_retries=20, default_retry_delay=30)
    def forget_copy(raw: dict[str, Any]) -> Any:
        return runtime.run(ForgetCopy, raw, forget)
