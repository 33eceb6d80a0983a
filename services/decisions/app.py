"""The wiring of decisions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from sqlalchemy import text

from services.decisions.catalog import CatalogReader
from services.decisions.controllers import CopyController, DecisionController
from services.decisions.copywriting import CopyService
from services.decisions.people import People
from services.decisions.service import DecisionService
from services.decisions.settings import DecisionsSettings
from shared.clients.bundle import Clients
from shared.db.engine import create_engine
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.edge import Edge


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The decisions app."""
    own = read_env(DecisionsSettings)
    engine = create_engine(settings.database_url, pool_size=settings.database_pool_size)
    people = People(clients.profiles, own.decisions_leaf_ms / 1000)
    catalog = CatalogReader(clients.retrieval, own)
    decisions = DecisionService(engine, clients.retrieval, people, catalog, own)
    copywriting = CopyService(decisions, people, catalog, clients.generation)

    @asynccontextmanager
    async def close_engine(_: Litestar) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    async def database() -> str:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return "ok"

    return build_app(
        "decisions",
        settings,
        [DecisionController, CopyController],
        dependencies={"decisions": decisions, "copywriting": copywriting},
        lifespan=[close_engine],
        required={"database": database},
    )
