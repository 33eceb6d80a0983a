"""The wiring of batches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.batches.controllers import BatchController
from services.batches.service import BatchService
from services.batches.settings import BatchesSettings
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender, create_celery
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.background import background, every
from shared.web.database import Database
from shared.web.edge import Edge

_WAKE_SECONDS = 0.5


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The batches app. It calls no other service: workers do, who work off what its tables say."""
    del clients
    database = Database(settings)
    batches = BatchService(database.engine, TaskSender(create_celery(settings.redis_url)), read_env(BatchesSettings))

    @asynccontextmanager
    async def waking(_: Litestar) -> AsyncIterator[None]:
        async with background(every(_WAKE_SECONDS, batches.wake, "batches.wake_failed")):
            yield

    return build_app(
        "batches",
        settings,
        [BatchController],
        dependencies={"batches": batches},
        lifespan=[database.lifespan, waking],
        required={"database": database.check},
    )
