"""The use cases of events."""

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.events.acceptance import refusal
from services.events.activity import assemble
from services.events.attribution import outcomes
from services.events.cursors import decode_cursor, encode_cursor
from services.events.exporting import export
from services.events.formats import native
from services.events.publishing import Publisher
from services.events.repository import EventRepository
from shared.clients.decisions import DecisionsClient
from shared.clients.tasks import TaskSender
from shared.contracts.base import FieldError
from shared.contracts.events import (
    ActivityAnswer,
    ActivityRequest,
    Event,
    EventPage,
    EventsErased,
    EventsExport,
    EventsIngested,
    EventsStored,
)
from shared.contracts.policies import OutcomeBatch
from shared.contracts.tasks import RecordOutcomes
from shared.db.engine import transaction
from shared.errors import AtelierError, InvalidInputError, UnavailableError
from shared.fields import field_error

_PRODUCTS = 50
_MAX_ITEMS = 1000


class EventService:
    """What happened, stored once."""

    def __init__(
        self, engine: AsyncEngine, decisions: DecisionsClient | None = None, tasks: TaskSender | None = None,
        publisher: Publisher | None = None,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._decisions = decisions
        self._tasks = tasks
        self._publisher = publisher

    async def store(self, tenant: str, events: list[Event]) -> EventsStored:
        """Store events in one transaction.

        Raises:
            InvalidInputError: one of them is refused; none is stored.
        """
        now = dt.datetime.now(dt.UTC)
        errors = []
        for index, event in enumerate(events):
            if (found := refusal(event, now)) is not None:
                errors.append(msgspec.structs.replace(found, field=f"events[{index}].{found.field}"))
        if errors:
            raise InvalidInputError("; ".join(f"{e.field} {e.message}" for e in errors[:5]), errors=errors)
        async with transaction(self._engine) as connection:
            repository = EventRepository(connection)
            stored = await repository.copy(tenant, events)
            announced = await repository.announce(tenant) if stored and self._publisher else None
        if announced and self._publisher:
            await self._publisher.publish(tenant, *announced, stored)
        return EventsStored(stored=len(stored), duplicates=len(events) - len(stored))

    async def ingest(self, tenant: str, payload: Any) -> EventsIngested:
        """Store CloudEvents, XDM or native events, one or many; the bad ones are named, the good ones stored.

        Raises:
            InvalidInputError: not an object or a list of at most 1,000.
        """
        items = payload if isinstance(payload, list) else [payload]
        if not 1 <= len(items) <= _MAX_ITEMS:
            message = f"expected 1 to {_MAX_ITEMS} events, got {len(items)}"
            raise InvalidInputError(message)
        good: list[Event] = []
        errors: list[FieldError] = []
        now = dt.datetime.now(dt.UTC)
        for index, item in enumerate(items):
            try:
                events = native(item)
                found = next((f for event in events if (f := refusal(event, now))), None)
            except msgspec.ValidationError as error:
                events, found = [], field_error(str(error), item)
            except (AtelierError, AttributeError, TypeError) as error:
                events, found = [], FieldError(field="", message=str(error))
            if found is not None:
                errors.append(msgspec.structs.replace(found, field=f"[{index}].{found.field}".rstrip(".")))
            else:
                good += events
        result = await self.store(tenant, good) if good else EventsStored(stored=0, duplicates=0)
        attributed, unknown = await self._attribute(tenant, good)
        return EventsIngested(
            stored=result.stored, duplicates=result.duplicates, rejected=len(errors), errors=[*errors, *unknown],
            attributed=attributed,
        )  # fmt: skip

    async def _attribute(self, tenant: str, events: list[Event]) -> tuple[int, list[FieldError]]:
        """Pass on what carries tokens; events that came before are passed on too, decisions counts them once."""
        found = outcomes(events)
        if not found or self._decisions is None:
            return 0, []
        count, errors = 0, []
        for start in range(0, len(found), _MAX_ITEMS):
            part = found[start : start + _MAX_ITEMS]
            try:
                stored = await self._decisions.outcomes(OutcomeBatch(outcomes=part))
            except UnavailableError:
                if self._tasks is None:
                    raise
                self._tasks.send(RecordOutcomes(tenant=tenant, outcomes=part))
                continue
            count += stored.stored + stored.duplicates
            errors += stored.errors
        return count, errors

    async def history(self, tenant: str, profile_id: str, cursor: str | None, limit: int) -> EventPage:
        """A page of a profile's events, newest first."""
        before = decode_cursor(cursor)
        async with transaction(self._engine) as connection:
            events = await EventRepository(connection).history(tenant, profile_id, before, limit)
        more = encode_cursor(events[-1].time, events[-1].event_id) if len(events) == limit else None
        return EventPage(events=events, cursor=more)

    async def activity(self, tenant: str, request: ActivityRequest) -> ActivityAnswer:
        """Purchase activity of profiles as known at a time, computed in the database."""
        as_of = request.as_of or dt.datetime.now(dt.UTC)
        async with transaction(self._engine) as connection:
            repository = EventRepository(connection)
            found = await repository.activity(tenant, request.profile_ids, as_of, _PRODUCTS)
            newest = await repository.newest(tenant)
        return ActivityAnswer(activities=assemble(found), newest=newest)

    async def export(self, tenant: str, folder: Path) -> EventsExport:
        """All events of a tenant as a Parquet file for who computes over them; they remove it when they are done."""
        return await export(self._engine, tenant, folder)

    async def erase(self, tenant: str, profile_id: str) -> EventsErased:
        """Erase all events of a profile."""
        async with transaction(self._engine) as connection:
            return EventsErased(rows=await EventRepository(connection).erase(tenant, profile_id))
