"""The wiring of evaluation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.evaluation.controllers import EvaluationController, RunController
from services.evaluation.run_service import RunService
from services.evaluation.service import EvaluationService
from services.evaluation.settings import EvaluationSettings
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender, create_celery
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.background import background, every
from shared.web.database import Database
from shared.web.edge import Edge


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The evaluation app: policies are valued here, from decisions' log; runs over stored copy are the worker's."""
    own = read_env(EvaluationSettings)
    database = Database(settings)
    tasks = TaskSender(create_celery(settings.redis_url))
    runs = RunService(database.engine, clients.governance, tasks, settings, own)

    @asynccontextmanager
    async def tending(_: Litestar) -> AsyncIterator[None]:
        async with background(
            every(own.evaluation_stale_seconds / 4, runs.tend, "evaluation.tending_failed"),
            every(own.evaluation_sweep_seconds, runs.sweep, "evaluation.sweep_failed"),
        ):
            yield

    return build_app(
        "evaluation",
        settings,
        [EvaluationController, RunController],
        dependencies={"evaluation": EvaluationService(clients.decisions), "runs": runs},
        lifespan=[database.lifespan, tending],
        required={"database": database.check},
    )
