"""One running host for a module of tests: starting it takes longer than most of them. Between tests copy and runs go."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
import redis

from shared.settings import Settings
from tests.conftest import empty
from tests.evaluation.copybook import stock
from tests.journeys.suite import beside, started

_EMPTIED = ("evaluation", "governance", "profiles", "events")


@pytest.fixture(scope="module")
async def house(
    settings: Settings, migrated_services: list[str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """The whole host with an empty database and the test's offers; a judge is configured, each test starts its own."""
    redis.from_url(settings.redis_url).flushdb()
    empty(settings.database_url, tuple(migrated_services))
    folder: Path = tmp_path_factory.mktemp("house")
    own = msgspec.structs.replace(settings, atelier_data=beside(settings, folder), llm_base_url="http://127.0.0.1:9/v1")
    async with started(own) as api:
        await stock(api)
        yield api


@pytest.fixture
async def shop(house: httpx.AsyncClient, settings: Settings) -> httpx.AsyncClient:
    """The host with its offers, without copy, runs, people and judges' answers."""
    # In a thread: the host lives on this loop, and what it has begun in a table must end before that can be emptied.
    await asyncio.to_thread(empty, settings.database_url, _EMPTIED)
    return house
