"""HTTP in, contract out."""

from collections.abc import AsyncIterator

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import ServerSentEvent, ServerSentEventMessage

from services.generation.service import CopyWriter
from shared.contracts.generation import (
    Copy,
    LessonRequest,
    Lessons,
    Relevance,
    RelevanceRequest,
    TemplateList,
    WriteRequest,
)


class WriteController(Controller):
    """Writing."""

    @post("/write", status_code=200)
    async def write(self, data: JSONBody[WriteRequest], writer: NamedDependency[CopyWriter]) -> Copy:
        """Checked copy for one offer."""
        return await writer.write(data)

    @post("/write/stream", status_code=200)
    async def stream(self, data: JSONBody[WriteRequest], writer: NamedDependency[CopyWriter]) -> ServerSentEvent:
        """The draft as it comes, then the checked copy."""

        async def events() -> AsyncIterator[ServerSentEventMessage]:
            async for event, content in writer.stream(data):
                yield ServerSentEventMessage(event=event, data=content)

        return ServerSentEvent(events())

    @post("/relevance", status_code=200)
    async def relevance(self, data: JSONBody[RelevanceRequest], writer: NamedDependency[CopyWriter]) -> Relevance:
        """Which facts would matter."""
        return writer.relevance(data)

    @post("/lessons", status_code=200)
    async def lessons(self, data: JSONBody[LessonRequest], writer: NamedDependency[CopyWriter]) -> Lessons:
        """Finished copy as examples to learn from."""
        return writer.lessons(data)

    @get("/templates")
    async def templates(self, writer: NamedDependency[CopyWriter]) -> TemplateList:
        """The approved templates."""
        return writer.templates()
