"""The batches service."""

from collections.abc import AsyncIterator, Sequence

import httpx

from shared.clients.http import ServiceClient, segment
from shared.contracts.batches import (
    Batch,
    BatchAudience,
    BatchErased,
    BatchMove,
    BatchPage,
    BatchRequest,
    Manifest,
    ResultFormat,
)
from shared.errors import UnavailableError

_SECONDS = 600.0
_PART = 4000  # ids of 200 characters stay below the size of a JSON body


class BatchesClient(ServiceClient):
    """Copy for audiences. Results are streamed over a real socket."""

    async def create(self, request: BatchRequest) -> Batch:
        """Begin a batch."""
        return await self.call("POST", "/batches", Batch, body=request, timeout=30.0)

    async def audience(self, batch_id: str, profile_ids: Sequence[str]) -> Batch:
        """The people of a batch that waits for them, sent in parts."""
        starts = range(0, len(profile_ids), _PART) if profile_ids else range(1)
        for first in starts:
            last = first + _PART >= len(profile_ids)
            body = BatchAudience(profile_ids=list(profile_ids[first : first + _PART]), first=first, last=last)
            found = await self.call("POST", f"/batches/{segment(batch_id)}/audience", Batch, body=body, timeout=60.0)
        return found

    async def get(self, batch_id: str) -> Batch:
        """How far it is."""
        return await self.call("GET", f"/batches/{segment(batch_id)}", Batch)

    async def page(self, cursor: str | None, limit: int) -> BatchPage:
        """Batches, newest first."""
        return await self.call("GET", "/batches", BatchPage, params={"cursor": cursor, "limit": limit})

    async def move(self, batch_id: str, move: BatchMove) -> Batch:
        """Pause, resume, cancel, or change the priority."""
        return await self.call("POST", f"/batches/{segment(batch_id)}/moves", Batch, body=move)

    async def manifest(self, batch_id: str) -> Manifest:
        """What it made."""
        return await self.call("GET", f"/batches/{segment(batch_id)}/manifest", Manifest, timeout=120.0)

    async def results(self, batch_id: str, form: ResultFormat) -> AsyncIterator[bytes]:
        """The items, as they come."""
        path, timeout = f"/batches/{segment(batch_id)}/results", httpx.Timeout(_SECONDS)
        try:
            async with self._http.stream(
                "GET", path, params={"format": form}, headers=self.headers(), timeout=timeout
            ) as response:
                if response.is_error:
                    await response.aread()
                    self._raise_for(response)
                async for part in response.aiter_bytes():
                    yield part
        except httpx.HTTPError as error:
            raise UnavailableError("The batches service does not answer.", retry_after=2) from error

    async def erase(self, profile_id: str) -> BatchErased:
        """Erase a person's items."""
        return await self.call("DELETE", f"/profiles/{segment(profile_id)}/items", BatchErased)
