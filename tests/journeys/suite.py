"""The whole suite in one process, with a scripted model server, for tests of the public API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from services.gateway.keys import SCOPES
from services.gateway.service import KeyService
from services.gateway.settings import GatewaySettings
from services.host import Host
from shared.db.engine import create_engine
from shared.settings import Settings
from tests.generation.bad_server import BadServer

WORDS = {"headline": "Fresh yogurt for your mornings", "hook": "You will enjoy this creamy yogurt with your breakfast."}


@pytest.fixture
async def model() -> AsyncIterator[BadServer]:
    async with BadServer().running() as running:
        running.texts = [json.dumps(WORDS)]
        yield running


@asynccontextmanager
async def started(own: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A host with these settings, and a client of the tenant `acme`; `client.other` are the headers of `globex`."""
    host = Host(own)
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(host({"type": "lifespan"}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    engine = create_engine(own.database_url)
    keys = {name: await KeyService(engine, GatewaySettings()).create(name, list(SCOPES)) for name in ("acme", "globex")}
    transport: Any = httpx.ASGITransport(app=host)  # type: ignore[arg-type]
    headers = {"authorization": f"Bearer {keys['acme']}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://atelier.test", headers=headers, timeout=60
    ) as client:
        client.other = {"authorization": f"Bearer {keys['globex']}"}  # type: ignore[attr-defined]
        client.host = host  # type: ignore[attr-defined]
        yield client
    await engine.dispose()
    await inbox.put({"type": "lifespan.shutdown"})
    await life


def beside(settings: Settings, folder: Path) -> Path:
    """A data folder of its own that shares the session's models."""
    (settings.atelier_data / "models").mkdir(exist_ok=True)
    (folder / "models").symlink_to((settings.atelier_data / "models").resolve())
    return folder


@pytest.fixture
async def suite(
    settings: Settings, clean_database: str, tmp_path: Path, model: BadServer
) -> AsyncIterator[httpx.AsyncClient]:
    """The whole host. Its token streams, which need a real socket, are tested where a real server runs."""
    assert clean_database == settings.database_url
    own = msgspec.structs.replace(settings, atelier_data=beside(settings, tmp_path), llm_base_url=model.url)
    async with started(own) as client:
        yield client
