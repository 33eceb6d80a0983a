"""What every public request passes: key and scope, limit, idempotency. The tenant is bound for all that follows."""

from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.middleware.base import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from redis.exceptions import RedisError

from services.gateway.service import IdempotencyService, KeyService, LimitService, StoredAnswer
from shared.context import CallContext, bound, current
from shared.errors import TooLargeError
from shared.web.express import RawHeaders

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
_SERVER_ERROR = 500
_ADMITTED = "atelier_admitted"

log = structlog.get_logger()


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name), None)


def _method(scope: Scope) -> str:
    return str(scope.get("method", ""))


def api_key_of(scope: Scope) -> str | None:
    """The key of a request: a bearer token, else `X-API-Key`."""
    kind, _, token = (_header(scope, b"authorization") or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else _header(scope, b"x-api-key")


class Door(ASGIMiddleware):
    """Runs for handlers that name a `scope` in their options; the docs page and health are open."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, keys: KeyService, limits: LimitService, idempotency: IdempotencyService, max_body: int) -> None:
        self._keys = keys
        self._limits = limits
        self._idempotency = idempotency
        self._max_body = max_body

    async def admit(self, scope: Any, wanted: str) -> tuple[CallContext, RawHeaders]:
        """Whose request this is, and the headers of its answer; counted once, whoever asks again.

        Raises:
            InvalidKeyError, MissingScopeError, RateLimitedError: it is refused.
        """
        state = scope.setdefault("state", {})
        known: tuple[CallContext, RawHeaders] | None = state.get(_ADMITTED)
        if known is None:
            key = await self._keys.authenticate(api_key_of(scope), wanted)
            limits = await self._limits.take(key.key_id)
            outer = current() or CallContext("", "")
            context = CallContext(key.tenant, outer.request_id, outer.service, key.key_id)
            headers = [*((name.encode(), value.encode()) for name, value in limits.items()),
                       (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]  # fmt: skip
            known = state[_ADMITTED] = (context, headers)
        return known

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Serve one request."""
        wanted = scope["route_handler"].opt.get("scope")
        if wanted is None:
            await next_app(scope, receive, send)
            return
        context, headers = await self.admit(scope, wanted)

        async def send_limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        with bound(context):
            token = _header(scope, b"idempotency-key")
            if token is None or _method(scope) not in WRITES or scope["route_handler"].opt.get("streams"):
                await next_app(scope, receive, send_limited)
            else:
                await self._once(context.tenant, token, scope, receive, send_limited, next_app)

    async def _once(
        self, tenant: str, token: str, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp
    ) -> None:
        body = await self._read(receive)
        path = scope["path"] + "?" + scope.get("query_string", b"").decode("latin-1")
        fingerprint = self._idempotency.fingerprint(_method(scope), path, body)
        kept = await self._idempotency.begin(tenant, token, fingerprint)
        if kept is not None:
            await _replay(kept, send)
            return
        answer = StoredAnswer(fingerprint, _SERVER_ERROR, "", b"")

        async def receive_again() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send_and_keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                names = dict(message.get("headers", []))
                answer.content_type = names.get(b"content-type", b"application/json").decode("latin-1")
            elif message["type"] == "http.response.body":
                answer.body += message.get("body", b"")
            await send(message)

        done = False
        try:
            await next_app(scope, receive_again, send_and_keep)
            done = answer.status < _SERVER_ERROR
        finally:
            try:
                if done:
                    await self._idempotency.finish(tenant, token, answer)
                else:
                    await self._idempotency.forget(tenant, token)
            except RedisError:
                log.warning("gateway.idempotency_lost", status=answer.status)

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message: Any = await receive()
            body += message.get("body", b"")
            if len(body) > self._max_body:
                message_text = f"The body is larger than {self._max_body:,} bytes."
                raise TooLargeError(message_text)
            if not message.get("more_body"):
                return bytes(body)


async def _replay(kept: StoredAnswer, send: Send) -> None:
    headers = [(b"content-type", kept.content_type.encode()), (b"idempotency-replayed", b"true")]
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body, "more_body": False})
