"""The Celery worker: collects every service's tasks, one queue per service, one event loop per worker process."""

from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from services.batches import tasks as batches_tasks
from services.decisions import tasks as decisions_tasks
from services.evaluation import tasks as evaluation_tasks
from services.events import tasks as events_tasks
from services.features import tasks as features_tasks
from services.governance import tasks as governance_tasks
from services.profiles import tasks as profiles_tasks
from services.retrieval import tasks as retrieval_tasks
from services.training import tasks as training_tasks
from shared.clients.tasks import TaskSender, create_celery
from shared.contracts.tasks import QUEUES
from shared.settings import Settings
from shared.telemetry import configure_tracing
from shared.web.logs import configure_logging
from shared.worker import WorkerRuntime

TASK_MODULES = (
    batches_tasks, decisions_tasks, evaluation_tasks, events_tasks, features_tasks, governance_tasks, profiles_tasks, retrieval_tasks,
    training_tasks,
)  # fmt: skip


def create_worker(settings: Settings) -> tuple[Celery, WorkerRuntime]:
    """The Celery app with every task registered, and the runtime its processes share the code of, not the state."""
    celery = create_celery(settings.redis_url)
    runtime = WorkerRuntime(settings, TaskSender(celery))
    for module in TASK_MODULES:
        module.register(celery, runtime)
    return celery, runtime


def run_worker(settings: Settings, *, concurrency: int) -> None:
    """Run a worker until it is stopped. Pools and loops are made after the fork, one set per process."""
    configure_logging(settings)
    configure_tracing(settings, "worker")
    celery, runtime = create_worker(settings)

    @worker_process_init.connect(weak=False)
    def start_runtime(**_: Any) -> None:
        runtime.start()

    @worker_process_shutdown.connect(weak=False)
    def stop_runtime(**_: Any) -> None:
        runtime.stop()

    celery.worker_main(
        ["worker", "--queues", ",".join(QUEUES), "--concurrency", str(concurrency), "--loglevel", "WARNING",
         "--without-gossip", "--without-mingle", "--hostname", "atelier@%h"]
    )  # fmt: skip
