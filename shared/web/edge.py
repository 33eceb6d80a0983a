"""The outermost layer of every app: request id, tenant, internal token, body limit, one span, one metric, one log line.

It wraps the Litestar app from outside because Litestar's own middleware does not see unknown routes, and because one
thin layer costs a tenth of the stock OpenTelemetry and Prometheus middlewares.
"""

import hmac
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
import uuid_utils
from litestar import Litestar
from litestar.types import ASGIApp

from shared import telemetry
from shared.context import (
    INTERNAL_TOKEN_HEADER,
    REQUEST_ID_HEADER,
    TENANT_HEADER,
    TRACEPARENT_HEADER,
    CallContext,
    bound,
)
from shared.errors import AtelierError, TooLargeError, UnauthorizedError
from shared.settings import Settings
from shared.web.problems import problem_response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

OPEN_PATHS = ("/health/live", "/health/ready", "/metrics")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:\-]{1,100}$")
_TENANT = re.compile(r"^[a-z0-9][a-z0-9\-_]{0,62}$")
_WRITE_METHODS = {"POST", "PUT", "PATCH"}

log = structlog.get_logger()


class Edge:
    """An ASGI app around a Litestar app.

    Args:
        app: the service.
        name: the service's name in metrics, spans and logs.
        settings: limits and the internal token.
        public: True for the gateway, which authenticates by API key itself; every other service demands the internal
            token and takes the tenant from the caller.
    """

    def __init__(self, app: Litestar, *, name: str, settings: Settings, public: bool = False) -> None:
        self.litestar = app
        self.name = name
        self._settings = settings
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        headers = {k.lower(): v for k, v in scope["headers"]}
        request_id = self._request_id(headers)
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (REQUEST_ID_HEADER.encode(), request_id.encode()),
                ]
            await send(message)

        parent = headers.get(TRACEPARENT_HEADER.encode(), b"").decode("latin-1")
        with (
            bound(CallContext(tenant="", request_id=request_id)),
            structlog.contextvars.bound_contextvars(service=self.name),
            telemetry.server_span(f"{self.name} {scope['method']}", parent) as span,
        ):
            try:
                await self._serve(scope, headers, request_id, receive, send_with_id)
            finally:
                seconds = time.perf_counter() - started
                route = str(scope.get("path_template") or "unmatched")
                telemetry.observe_request(self.name, scope["method"], route, status, seconds)
                span.set_attribute("http.response.status_code", status)
                span.set_attribute("http.route", route)
                if scope["path"] not in OPEN_PATHS:
                    log.info("web.request", method=scope["method"], route=route, status=status,
                             ms=round(seconds * 1000, 1))  # fmt: skip

    async def _serve(
        self, scope: Scope, headers: dict[bytes, bytes], request_id: str, receive: Receive, send: Send
    ) -> None:
        try:
            tenant = self._admit(scope, headers)
        except AtelierError as error:
            await problem_response(error).to_asgi_response(app=None, request=None)(scope, receive, send)  # type: ignore[arg-type]
            return
        with bound(CallContext(tenant=tenant, request_id=request_id)):
            await self._inner(scope, receive, send)

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self.litestar
        await app(scope, receive, send)  # type: ignore[arg-type]

    def _admit(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """The tenant of an admitted request; "" on the public door, which finds it by the API key."""
        limit = self._settings.max_body_bytes
        length = headers.get(b"content-length", b"")
        chunked_json = scope["method"] in _WRITE_METHODS and _is_json(headers)
        if chunked_json and length.isdigit() and int(length) > limit:
            message = f"The JSON body has {int(length):,} bytes; allowed are {limit:,}."
            raise TooLargeError(message)
        if self._public or scope["path"] in OPEN_PATHS:
            return ""
        token = headers.get(INTERNAL_TOKEN_HEADER.encode(), b"")
        if not self._settings.internal_token or not hmac.compare_digest(token, self._settings.internal_token.encode()):
            raise UnauthorizedError("This service answers only to the suite itself; use the gateway with an API key.")
        tenant = headers.get(TENANT_HEADER.encode(), b"").decode("latin-1")
        if not _TENANT.match(tenant):
            raise UnauthorizedError(f"The header {TENANT_HEADER} must name a tenant.")
        return tenant

    @staticmethod
    def _request_id(headers: dict[bytes, bytes]) -> str:
        given = headers.get(REQUEST_ID_HEADER.encode(), b"").decode("latin-1")
        return given if _REQUEST_ID.match(given) else str(uuid_utils.uuid7())


def _is_json(headers: dict[bytes, bytes]) -> bool:
    return b"json" in headers.get(b"content-type", b"")
