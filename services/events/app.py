"""The wiring of events."""

from services.events.controllers import EventController
from services.events.service import EventService
from shared.clients.bundle import Clients
from shared.settings import Settings
from shared.web.app import build_app
from shared.web.database import Database
from shared.web.edge import Edge


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The events app; it calls no other service."""
    del clients
    database = Database(settings)
    return build_app(
        "events",
        settings,
        [EventController],
        dependencies={"events": EventService(database.engine)},
        lifespan=[database.lifespan],
        required={"database": database.check},
    )
