"""Task payloads: every one has a task in the worker and a queue it listens to, and goes through JSON unharmed."""

import datetime as dt

import msgspec
import pytest

from services.worker import create_worker
from shared.contracts.policies import Outcome
from shared.contracts.tasks import PAYLOADS, QUEUES, RecordOutcomes, TaskPayload
from shared.settings import Settings


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.__name__)
def test_the_worker_has_a_task_for_every_payload(payload: type[TaskPayload], settings: Settings) -> None:
    celery, _ = create_worker(settings)
    assert payload.task in celery.tasks
    assert payload.queue in QUEUES


def test_outcomes_that_wait_in_the_queue_come_out_as_they_went_in() -> None:
    outcome = Outcome(token="t" * 39, kind="convert", idempotency_key="k", time=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    sent = RecordOutcomes(tenant="acme", outcomes=[outcome])
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(sent)), RecordOutcomes) == sent
