"""The wiring of profiles."""

from services.profiles.controllers import FactController, ProfileController
from services.profiles.refreshing import FactService
from services.profiles.service import ProfileService
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender, create_celery
from shared.settings import Settings
from shared.web.app import build_app
from shared.web.database import Database
from shared.web.edge import Edge


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The profiles app."""
    database = Database(settings)
    tasks = TaskSender(create_celery(settings.redis_url))
    return build_app(
        "profiles",
        settings,
        [ProfileController, FactController],
        dependencies={
            "profiles": ProfileService(database.engine, clients.events, clients.retrieval, tasks),
            "facts": FactService(database.engine, clients.events),
        },
        lifespan=[database.lifespan],
        required={"database": database.check},
    )
