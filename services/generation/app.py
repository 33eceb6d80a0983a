"""The wiring of generation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from litestar import Litestar

from services.generation.controllers import WriteController
from services.generation.errors import ModelError
from services.generation.llm import ChatModel
from services.generation.prompts import Library
from services.generation.service import CopyWriter
from services.generation.settings import GenerationSettings
from shared.clients.bundle import Clients
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.edge import Edge

_WARM_SECONDS = 60.0
_POLL_SECONDS = 2.0

log = structlog.get_logger()


async def _warm(model: ChatModel, library: Library) -> None:
    """Once the server is up, have it compile the answer's schema, which takes seconds at its first use."""
    while True:
        with suppress(Exception):
            if await model.listed() == "ok":
                break
        await asyncio.sleep(_POLL_SECONDS)
    with suppress(ModelError):
        schema = library.prompts["offer_copy"].schema("coffee")
        await model.complete("Write one line about milk as JSON.", schema, seed=0, candidates=1, seconds=_WARM_SECONDS)
        log.info("generation.schema_warm")


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The generation app; it calls the model server, and governance for the checks."""
    own = read_env(GenerationSettings)
    library = Library(own.prompts_dir)
    model = ChatModel(settings, own)

    @asynccontextmanager
    async def live(_: Litestar) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm(model, library)) if settings.llm_base_url else None
        try:
            yield
        finally:
            if warming:
                warming.cancel()
            await model.close()

    return build_app(
        "generation",
        settings,
        [WriteController],
        dependencies={"writer": CopyWriter(model, library, own, clients.governance)},
        lifespan=[live],
        optional={"llm": model.listed},
    )
