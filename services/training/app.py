"""The wiring of training."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.training.assembly import assemble, watch
from services.training.controllers import JobController, ModelController
from services.training.monitor_controllers import MonitorController
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender, create_celery
from shared.settings import Settings
from shared.web.app import build_app
from shared.web.background import background, every
from shared.web.database import Database
from shared.web.edge import Edge

_COUNT_SECONDS = 15.0


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The training app; it reads the log through decisions and hands scorers to it."""
    database = Database(settings)
    tasks = TaskSender(create_celery(settings.redis_url))
    training = assemble(settings, database.engine, clients, tasks)
    monitors = watch(training, database.engine, clients, tasks)

    @asynccontextmanager
    async def counting(_: Litestar) -> AsyncIterator[None]:
        async with background(every(_COUNT_SECONDS, monitors.count, "training.count_failed")):
            yield

    return build_app(
        "training",
        settings,
        [JobController, ModelController, MonitorController],
        dependencies={"training": training, "monitors": monitors},
        lifespan=[database.lifespan, counting],
        required={"database": database.check},
    )
