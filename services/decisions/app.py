"""The wiring of decisions."""

from services.decisions.catalog import CatalogReader
from services.decisions.controllers import CopyController, DecisionController
from services.decisions.copywriting import CopyService
from services.decisions.people import People
from services.decisions.service import DecisionService
from services.decisions.settings import DecisionsSettings
from shared.clients.bundle import Clients
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.database import Database
from shared.web.edge import Edge


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The decisions app."""
    own = read_env(DecisionsSettings)
    database = Database(settings)
    people = People(clients.profiles, own.decisions_leaf_ms / 1000)
    catalog = CatalogReader(clients.retrieval, own)
    decisions = DecisionService(database.engine, clients.retrieval, people, catalog, own)
    copywriting = CopyService(decisions, people, catalog, clients.generation)

    return build_app(
        "decisions",
        settings,
        [DecisionController, CopyController],
        dependencies={"decisions": decisions, "copywriting": copywriting},
        lifespan=[database.lifespan],
        required={"database": database.check},
    )
