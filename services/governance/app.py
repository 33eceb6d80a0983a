"""The wiring of governance."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.governance import wordlists
from services.governance.controllers import CheckController, CopyController
from services.governance.copy_service import CopyService
from services.governance.service import CheckService
from services.governance.settings import GovernanceSettings
from shared.clients.bundle import Clients
from shared.contracts.governance import CheckRequest
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.background import background, every
from shared.web.database import Database
from shared.web.edge import Edge
from shared.web.express import Express


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The governance app; it asks retrieval what offers say, and tells evaluation what was erased."""
    own = read_env(GovernanceSettings)
    database = Database(settings)
    checking = CheckService()
    copies = CopyService(database.engine, clients.retrieval, clients.evaluation)

    @asynccontextmanager
    async def watching(_: Litestar) -> AsyncIterator[None]:
        await asyncio.to_thread(wordlists.warm)
        async with background(every(own.governance_recheck_seconds, copies.recheck_all, "governance.recheck_failed")):
            yield

    return build_app(
        "governance",
        settings,
        [CheckController, CopyController],
        dependencies={"checking": checking, "copies": copies},
        lifespan=[database.lifespan, watching],
        optional={"database": database.check},
        express={"/checks": Express(CheckRequest, checking.check)},
    )
