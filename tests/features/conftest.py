"""The rooms of events and features, running."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.events import Event
from shared.settings import Settings
from tests.features import replay
from tests.features.suite import Suite, running_suite


@pytest.fixture
async def suite(settings: Settings, engine: AsyncEngine) -> AsyncIterator[Suite]:
    async with running_suite(settings, engine) as running:
        yield running


@pytest.fixture
async def quiet_suite(settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Suite]:
    """The same, where nobody counts the stream."""
    monkeypatch.setenv("FEATURES_CONSUME", "false")
    async with running_suite(settings, engine) as running:
        yield running


@pytest.fixture(scope="session")
def journey() -> list[Event]:
    """Real purchases of some households over a year."""
    return replay.journey()
