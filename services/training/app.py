"""The wiring of training."""

from services.training.assembly import assemble
from services.training.controllers import JobController, ModelController
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender, create_celery
from shared.settings import Settings
from shared.web.app import build_app
from shared.web.database import Database
from shared.web.edge import Edge


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The training app; it reads the log through decisions and hands scorers to it."""
    database = Database(settings)
    training = assemble(settings, database.engine, clients, TaskSender(create_celery(settings.redis_url)))
    return build_app(
        "training",
        settings,
        [JobController, ModelController],
        dependencies={"training": training},
        lifespan=[database.lifespan],
        required={"database": database.check},
    )
