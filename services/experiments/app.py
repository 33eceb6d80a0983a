"""The wiring of experiments."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.experiments.controllers import ExperimentController
from services.experiments.service import ExperimentService
from services.experiments.settings import ExperimentsSettings
from shared.clients.bundle import Clients
from shared.contracts.experiments import AssignRequest
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.background import background, every
from shared.web.database import Database
from shared.web.edge import Edge
from shared.web.express import Express


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The experiments app; it calls no other service."""
    del clients
    own = read_env(ExperimentsSettings)
    database = Database(settings)
    experiments = ExperimentService(database.engine, own)

    @asynccontextmanager
    async def guarding(_: Litestar) -> AsyncIterator[None]:
        lock = asyncio.Lock()
        check = every(own.experiments_check_seconds, experiments.check_all, "experiments.check_failed", lock)
        async with background(check, quiet=[lock]):
            yield

    return build_app(
        "experiments",
        settings,
        [ExperimentController],
        dependencies={"experiments": experiments},
        lifespan=[database.lifespan, guarding],
        required={"database": database.check},
        express={"/assignments": Express(AssignRequest, experiments.asked)},
    )
