"""Sending Celery tasks: a typed payload in, the current tenant's request id and trace along."""

import msgspec
from celery import Celery

from shared import telemetry
from shared.context import current
from shared.contracts.tasks import TaskPayload


def create_celery(redis_url: str) -> Celery:
    """The Celery app: late acknowledgement, one task at a time per process, JSON only."""
    app = Celery("atelier", broker=redis_url, backend=redis_url)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_expires=86_400,
        task_track_started=True,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 3600},
        task_default_queue="atelier",
    )
    return app


class TaskSender:
    """Sends tasks after the transaction that they follow from."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    def send(self, payload: TaskPayload) -> str:
        """Queue a task; returns its id."""
        context = current()
        stamped = msgspec.structs.replace(
            payload,
            request_id=payload.request_id or (context.request_id if context else None),
            traceparent=payload.traceparent or telemetry.traceparent(),
        )
        body = msgspec.to_builtins(stamped)
        result = self._celery.send_task(payload.task, args=[body], queue=payload.queue)
        return str(result.id)

    def state(self, task_id: str) -> tuple[str, object]:
        """Celery's state of a task ("PENDING", "STARTED", "SUCCESS", "FAILURE", ...) and its result or error."""
        result = self._celery.AsyncResult(task_id)
        return str(result.state), result.result
