"""The whole suite in one process, with a scripted model server, for tests of the public API."""

import asyncio
import json
from collections.abc import AsyncIterator
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


@pytest.fixture
async def suite(
    settings: Settings, clean_database: str, tmp_path: Path, model: BadServer
) -> AsyncIterator[httpx.AsyncClient]:
    """The whole host. Its token streams, which need a real socket, are tested where a real server runs."""
    own = msgspec.structs.replace(settings, atelier_data=tmp_path, llm_base_url=model.url)
    (settings.atelier_data / "models").mkdir(exist_ok=True)
    (tmp_path / "models").symlink_to((settings.atelier_data / "models").resolve())
    host = Host(own)
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(host({"type": "lifespan"}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    engine = create_engine(clean_database)
    keys = {name: await KeyService(engine, GatewaySettings()).create(name, list(SCOPES)) for name in ("acme", "globex")}
    transport: Any = httpx.ASGITransport(app=host)  # type: ignore[arg-type]
    headers = {"authorization": f"Bearer {keys['acme']}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://atelier.test", headers=headers, timeout=60
    ) as client:
        client.other = {"authorization": f"Bearer {keys['globex']}"}  # type: ignore[attr-defined]
        yield client
    await engine.dispose()
    await inbox.put({"type": "lifespan.shutdown"})
    await life
