"""The wiring of profiles."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.profiles.controllers import ContextController, FactController, ProfileController
from services.profiles.online import OnlineProfiles
from services.profiles.refreshing import FactService
from services.profiles.service import ProfileService
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender, create_celery
from shared.contracts.profiles import ContextQuery
from shared.settings import Settings
from shared.web.app import build_app
from shared.web.database import Database
from shared.web.edge import Edge
from shared.web.express import Express


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The profiles app."""
    database = Database(settings)
    tasks = TaskSender(create_celery(settings.redis_url))
    online = OnlineProfiles(settings.redis_url, settings.redis_seconds)

    @asynccontextmanager
    async def closing(_: Litestar) -> AsyncIterator[None]:
        yield
        await online.close()

    profiles = ProfileService(database.engine, clients, tasks, online)
    return build_app(
        "profiles",
        settings,
        [ProfileController, ContextController, FactController],
        dependencies={
            "profiles": profiles,
            "facts": FactService(database.engine, clients.events, online),
        },
        lifespan=[database.lifespan, closing],
        required={"database": database.check},
        express={"/context": Express(ContextQuery, profiles.asked)},
    )
