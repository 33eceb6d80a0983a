"""The generation service."""

from collections.abc import AsyncIterator

import httpx
import msgspec

from shared.clients.http import ServiceClient
from shared.contracts.generation import (
    Copy,
    LessonRequest,
    Lessons,
    Relevance,
    RelevanceRequest,
    TemplateList,
    WriteRequest,
)
from shared.errors import UnavailableError


class GenerationClient(ServiceClient):
    """Words. Streams go over a real socket, because the in-process transport would buffer them whole."""

    async def write(self, request: WriteRequest) -> Copy:
        """Checked copy for one offer."""
        return await self.call("POST", "/write", Copy, body=request, timeout=request.deadline_ms / 1000 + 5.0)

    async def relevance(self, request: RelevanceRequest) -> Relevance:
        """Which facts copy about an offer would be written from."""
        return await self.call("POST", "/relevance", Relevance, body=request, timeout=30.0)

    async def lessons(self, request: LessonRequest) -> Lessons:
        """What the model would have been asked, and have had to answer, for finished copy."""
        return await self.call("POST", "/lessons", Lessons, body=request, timeout=30.0)

    async def templates(self) -> TemplateList:
        """The approved fallback templates."""
        return await self.call("GET", "/templates", TemplateList)

    async def stream(self, request: WriteRequest) -> AsyncIterator[bytes]:
        """Server-sent events as they come: `token` (draft text), then `copy` (the checked answer) or `error`."""
        content = msgspec.json.encode(request)
        timeout = httpx.Timeout(request.deadline_ms / 1000 + 5.0)
        try:
            async with self._http.stream(
                "POST", "/write/stream", content=content, headers=self.headers(), timeout=timeout
            ) as response:
                if response.is_error:
                    await response.aread()
                    self._raise_for(response)
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx.HTTPError as error:
            raise UnavailableError("The generation service does not answer.", retry_after=2) from error
