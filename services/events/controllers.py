"""HTTP in, contract out."""

from typing import Annotated, Any

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter

from services.events.service import EventService
from shared.context import tenant
from shared.contracts.events import (
    ActivityAnswer,
    ActivityRequest,
    EventBatch,
    EventPage,
    EventsErased,
    EventsExport,
    EventsIngested,
    EventsStored,
)
from shared.settings import Settings


class EventController(Controller):
    """What happened."""

    @post("/events", status_code=200)
    async def store(self, data: JSONBody[EventBatch], events: NamedDependency[EventService]) -> EventsStored:
        """Store native events."""
        return await events.store(tenant(), data.events)

    @post("/events/ingest", status_code=200)
    async def ingest(self, data: JSONBody[Any], events: NamedDependency[EventService]) -> EventsIngested:
        """Store CloudEvents, XDM experience events or native events."""
        return await events.ingest(tenant(), data)

    @get("/profiles/{profile_id:str}/events")
    async def history(
        self,
        profile_id: FromPath[str],
        events: NamedDependency[EventService],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=500)] = 50,
    ) -> EventPage:
        """A profile's events, newest first."""
        return await events.history(tenant(), profile_id, cursor, limit)

    @post("/activity", status_code=200)
    async def activity(self, data: JSONBody[ActivityRequest], events: NamedDependency[EventService]) -> ActivityAnswer:
        """What facts are computed from."""
        return await events.activity(tenant(), data)

    @post("/export", status_code=200)
    async def export(self, events: NamedDependency[EventService], settings: NamedDependency[Settings]) -> EventsExport:
        """Write all events to a file."""
        return await events.export(tenant(), settings.atelier_data)

    @delete("/profiles/{profile_id:str}/events", status_code=200)
    async def erase(self, profile_id: FromPath[str], events: NamedDependency[EventService]) -> EventsErased:
        """Erase a profile's events."""
        return await events.erase(tenant(), profile_id)
