"""Reading a raw body that is larger than a JSON document may be."""

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
