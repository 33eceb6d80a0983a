"""A suite whose Valkey a test may stop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from shared.settings import Settings
from shared.stack.valkey import Valkey
from tests.decisions.shop import decide, ids, offer, person, policy, stock
from tests.journeys.suite import beside, started


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    server = Valkey(tmp_path / "valkey")
    yield server
    server.stop()


@pytest.fixture
async def shop(
    settings: Settings, clean_database: str, tmp_path: Path, own_valkey: Valkey
) -> AsyncIterator[httpx.AsyncClient]:
    """A suite whose Valkey the test may stop, with no model server, an offer with a cap and one without."""
    (tmp_path / "data").mkdir()
    own = msgspec.structs.replace(settings, atelier_data=beside(settings, tmp_path / "data"), redis_url=own_valkey.url)
    async with started(own) as api:
        await stock(api, offer("capped", capping=[{"window": "lifetime", "limit": 2}], boost=50), offer("free"))
        await policy(api, exploration={"kind": "none"}, learn=False)
        await person(api, "anna")
        await decide(api, "warm-up")
        await asyncio.sleep(0.3)
        yield api


async def settled(api: httpx.AsyncClient) -> int:
    """How often anna is shown what is capped, until the counters are made again and ten decisions longer."""
    shown: list[str] = []
    for _ in range(400):
        made = await decide(api, "anna", limit=1)
        shown += ids(made)
        if "capped" in shown[:-10] or (len(shown) > 100 and not made["degraded"]):
            return shown.count("capped")
        await asyncio.sleep(0.05)
    raise AssertionError(made["degraded"])
