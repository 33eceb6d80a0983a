"""Routes that the edge answers itself, past the framework: for the few calls that are made thousands of times a second.

The framework's routing, injection and response classes cost a third of a millisecond a service, more than most of what
is asked for. An express route decodes its contract, calls one method of the service and encodes what that answers. Each
has a handler of the framework beside it, which serves every request that is out of the ordinary (an idempotency key, a
query, a body that does not decode) and so words the errors; both call the same method.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from shared.context import CallContext, bound
from shared.errors import TooLargeError
from shared.web.problems import problem_to

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]
Admission = Callable[[Scope], Awaitable[tuple[CallContext, RawHeaders]]]

_encoder = msgspec.json.Encoder()
_OK = 200


class Express:
    """One route, asked by POST.

    Args:
        body: the contract of the request.
        handle: answers it.
        admit: for the public door: who asks, and headers for the answer; raises what refuses the request.
    """

    def __init__(
        self, body: type[Any], handle: Callable[[Any], Awaitable[Any]], admit: Admission | None = None
    ) -> None:
        self.handle = handle
        self._admit = admit
        self._decode = msgspec.json.Decoder(body).decode

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, limit: int, inner: Callable[..., Awaitable[None]]
    ) -> None:
        """Answer one request; `inner` is the framework, for a body that does not decode."""
        extra: RawHeaders = []
        try:
            if self._admit is None:
                body, asked = await self._read(receive, limit)
            else:
                context, extra = await self._admit(scope)
                body, asked = await self._read(receive, limit)
            if asked is None:
                await inner(scope, _again(body), send)
                return
            if self._admit is None:
                answer = await self.handle(asked)
            else:
                with bound(context):
                    answer = await self.handle(asked)
            status, content, kind = _OK, _encoder.encode(answer), b"application/json"
        except Exception as error:
            status, content, kind, more = refusal(error)
            extra = extra + more
        head = [(b"content-type", kind), (b"content-length", str(len(content)).encode()), *extra]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    async def _read(self, receive: Receive, limit: int) -> tuple[bytes, Any]:
        """The body, and what it says; None for one that the contract does not take."""
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
            if len(body) > limit:
                raise TooLargeError("The request body is larger than this endpoint accepts.")
        try:
            return body, self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return body, None


def suits(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Is this request an ordinary one?"""
    return (
        scope["method"] == "POST"
        and not scope.get("query_string")
        and b"json" in headers.get(b"content-type", b"")
        and b"idempotency-key" not in headers
        and b"content-encoding" not in headers
    )


def refusal(error: Exception) -> tuple[int, bytes, bytes, RawHeaders]:
    """(status, body, media type, headers) that an error is told by, the same as the framework's handlers tell it."""
    response = problem_to(error)
    more = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    return response.status_code or 500, response.content, str(response.media_type).encode(), more


def _again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
