"""The wiring of events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.events.controllers import EventController
from services.events.publishing import Publisher
from services.events.service import EventService
from services.events.settings import EventsSettings
from shared.clients.bundle import Clients
from shared.clients.stream import event_stream
from shared.clients.tasks import TaskSender, create_celery
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.background import background, every
from shared.web.database import Database
from shared.web.edge import Edge


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The events app; it calls decisions with what became of propositions, and publishes what it accepted."""
    own = read_env(EventsSettings)
    database = Database(settings)
    tasks = TaskSender(create_celery(settings.redis_url))
    stream = event_stream(settings.features_broker_url or settings.redis_url, own.events_stream_waiting)
    publisher = Publisher(database.engine, stream, tasks)

    @asynccontextmanager
    async def publishing(_: Litestar) -> AsyncIterator[None]:
        await stream.open()
        async with background(every(own.events_sweep_seconds, publisher.sweep, "events.sweep_failed")):
            yield
        await stream.close()

    return build_app(
        "events",
        settings,
        [EventController],
        dependencies={
            "events": EventService(database.engine, clients.decisions, tasks, publisher),
            "settings": settings,
        },
        lifespan=[database.lifespan, publishing],
        required={"database": database.check},
    )
