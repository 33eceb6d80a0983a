"""The events service."""

from typing import Any

from shared.clients.http import ServiceClient, segment
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


class EventsClient(ServiceClient):
    """What happened."""

    async def store(self, batch: EventBatch) -> EventsStored:
        """Store events; the same id twice is stored once."""
        return await self.call("POST", "/events", EventsStored, body=batch)

    async def ingest(self, payload: Any) -> EventsIngested:
        """Store CloudEvents, XDM or native events, one or a list."""
        return await self.call("POST", "/events/ingest", EventsIngested, body=payload)

    async def history(self, profile_id: str, cursor: str | None = None, limit: int = 50) -> EventPage:
        """Events of one profile, newest first."""
        return await self.call("GET", f"/profiles/{segment(profile_id)}/events", EventPage,
                               params={"cursor": cursor, "limit": limit})  # fmt: skip

    async def activity(self, request: ActivityRequest) -> ActivityAnswer:
        """Purchase activity of up to 500 profiles."""
        return await self.call("POST", "/activity", ActivityAnswer, body=request, timeout=120.0)

    async def export(self) -> EventsExport:
        """All events as a Parquet file on the disk that services share; the caller removes it."""
        return await self.call("POST", "/export", EventsExport, body={}, timeout=1800.0)

    async def erase(self, profile_id: str) -> EventsErased:
        """Erase all events of one profile."""
        return await self.call("DELETE", f"/profiles/{segment(profile_id)}/events", EventsErased)
