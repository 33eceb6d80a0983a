"""Reading a raw body that is larger than a JSON document may be."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from litestar import Request

from shared.errors import TooLargeError


async def read_body(request: Request[Any, Any, Any], limit: int) -> bytes:
    """The whole body. The handler needs `request_max_body_size=None`: Litestar's own limit is the one for JSON.

    Raises:
        TooLargeError: more than `limit` bytes; reading stops there.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            message = f"The body is larger than {limit:,} bytes."
            raise TooLargeError(message)
    return bytes(body)


async def write_body(chunks: AsyncIterator[bytes], path: Path, limit: int) -> None:
    """A body as it comes into a file; nothing is left of one that breaks off.

    Raises:
        TooLargeError: more than `limit` bytes; reading stops there.
    """
    taken = 0
    try:
        with path.open("wb") as file:
            async for chunk in chunks:
                taken += len(chunk)
                if taken > limit:
                    message = f"The file is larger than {limit:,} bytes; split it."
                    raise TooLargeError(message)
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)  # noqa: ASYNC240  (one system call, and we are leaving)
        raise
