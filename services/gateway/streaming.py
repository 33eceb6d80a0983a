"""Passing on a stream of server-sent events so that a failure is always said."""

from collections.abc import AsyncIterator

import msgspec

from shared.errors import AtelierError
from shared.web.problems import problem_of


async def begun(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same stream, its first piece fetched already: what prevents it from starting is raised here, as a problem.

    What breaks it later ends it with an `error` event that holds the problem.
    """
    first = await anext(stream, b"")

    async def pieces() -> AsyncIterator[bytes]:
        yield first
        try:
            async for piece in stream:
                yield piece
        except AtelierError as error:
            yield b"event: error\ndata: " + msgspec.json.encode(problem_of(error)) + b"\n\n"

    return pieces()
