"""Building rooms for tests: one service over the in-process transport, as the tenant of the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from shared.clients.bundle import Clients
from shared.context import INTERNAL_TOKEN_HEADER, TENANT_HEADER
from shared.settings import Settings
from shared.web.edge import Edge

TENANT = "acme"


@asynccontextmanager
async def serving(app: Edge, settings: Settings, tenant: str = TENANT) -> AsyncIterator[httpx.AsyncClient]:
    """A client to a running app that shows the suite's token and names the tenant."""
    headers = {INTERNAL_TOKEN_HEADER: settings.internal_token, TENANT_HEADER: tenant}
    transport: Any = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url="http://room.test", headers=headers, timeout=60) as client,
    ):
        yield client


@asynccontextmanager
async def running(app: Edge) -> AsyncIterator[None]:
    """The app between start and stop. Both happen in one task, as in a server: fixtures enter and leave in two."""
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.litestar.lifespan():
            started.set()
            await stop.wait()

    task = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        await task
    try:
        yield
    finally:
        stop.set()
        await task


def clients_of(settings: Settings, *names: str) -> Clients:
    """Clients whose named services run in this process (attach the apps); the others are unreachable."""
    return Clients(settings, dict.fromkeys(names))
