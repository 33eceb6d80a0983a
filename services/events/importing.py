"""The sink of event imports."""

import datetime as dt
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from services.events.acceptance import refusal
from services.events.repository import EventRepository
from shared.contracts.events import Event
from shared.contracts.imports import ImportKind
from shared.db.engine import transaction
from shared.ingest.importer import Written
from shared.settings import Settings


class EventSink:
    """Stores batches of events by COPY."""

    contract = Event

    def __init__(self, engine: AsyncEngine, tenant: str) -> None:
        self._engine = engine
        self._tenant = tenant

    async def write(self, rows: list[Event]) -> Written:
        """One batch, one transaction; refused rows are named, the others stored."""
        now = dt.datetime.now(dt.UTC)
        refused = [
            (i, found.field, f"{found.message} ({found.given})" if found.given else found.message)
            for i, row in enumerate(rows)
            if (found := refusal(row, now))
        ]
        skipped = {index for index, _, _ in refused}
        good = [row for i, row in enumerate(rows) if i not in skipped] if skipped else rows
        async with transaction(self._engine) as connection:
            stored = len(await EventRepository(connection).copy(self._tenant, good))
        return Written(stored=stored, duplicates=len(good) - stored, rejected=refused)


def create_sink(
    kind: ImportKind, engine: AsyncEngine, settings: Settings, tenant: str, images: Path | None = None
) -> EventSink:
    """The sink for `kind` events; settings and images are not needed here, every room's function takes the same."""
    del kind, settings, images
    return EventSink(engine, tenant)
