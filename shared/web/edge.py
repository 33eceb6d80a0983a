"""The outermost layer of every app: request id, tenant, internal token, body limit, one span, one metric, one log line.

It wraps the Litestar app from outside because Litestar's own middleware does not see unknown routes, and because one
thin layer costs a tenth of the stock OpenTelemetry and Prometheus middlewares.
"""

import hmac
import re
import time
from collections.abc import Mapping
from typing import Any

import structlog
import uuid_utils
from litestar import Litestar
from litestar.types import ASGIApp
from opentelemetry.trace import Span

from shared import telemetry
from shared.context import (
    INTERNAL_TOKEN_HEADER,
    KEY_ID_HEADER,
    REQUEST_ID_HEADER,
    TENANT_HEADER,
    TRACEPARENT_HEADER,
    CallContext,
    bound,
    current,
)
from shared.errors import AtelierError, TooLargeError, UnauthorizedError
from shared.settings import Settings
from shared.web.express import Express, Message, Receive, Scope, Send, refusal, suits
from shared.web.problems import problem_response

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
        express: path -> route that is answered here.
    """

    def __init__(
        self, app: Litestar, *, name: str, settings: Settings, public: bool = False,
        express: Mapping[str, Express] | None = None,
    ) -> None:  # fmt: skip
        self._express = express or {}
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
            bound(CallContext(tenant="", request_id=request_id, service=self.name)),
            telemetry.server_span(f"{self.name} {scope['method']}", parent) as span,
        ):
            try:
                await self._serve(scope, headers, request_id, receive, send_with_id)
            finally:
                route = str(scope.get("path_template") or "unmatched")
                span.set_attribute("http.route", route)
                self._served(span, scope["method"], route, status, started, quiet=scope["path"] in OPEN_PATHS)

    def _served(self, span: Span, method: str, route: str, status: int, started: float, *, quiet: bool = False) -> None:
        seconds = time.perf_counter() - started
        telemetry.observe_request(self.name, method, route, status, seconds)
        span.set_attribute("http.response.status_code", status)
        if not quiet:
            log.info("web.request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))

    def takes(self, path: str) -> bool:
        """Is there an express route?"""
        return path in self._express

    async def ask(self, path: str, body: Any) -> tuple[int, Any]:
        """Ask an express route from inside this process, without encoding anything: (200, the answer), else (status,
        problem document in JSON). The request is the caller's: tenant, request id and trace stay.
        """
        context = current()
        if context is None or not context.tenant:
            raise RuntimeError(f"call to {self.name} outside of a tenant's request")
        started, status = time.perf_counter(), 200
        with (
            bound(CallContext(context.tenant, context.request_id, self.name, context.key_id)),
            telemetry.inner_span(f"{self.name} {path}") as span,
        ):
            try:
                return status, await self._express[path].handle(body)
            except Exception as error:
                status, content, _, _ = refusal(error)
                return status, content
            finally:
                self._served(span, "POST", path, status, started)

    async def _serve(
        self, scope: Scope, headers: dict[bytes, bytes], request_id: str, receive: Receive, send: Send
    ) -> None:
        try:
            tenant = self._admit(scope, headers)
        except AtelierError as error:
            await problem_response(error).to_asgi_response(app=None, request=None)(scope, receive, send)  # type: ignore[arg-type]
            return
        # On the public door the key is not known yet; behind it, the caller says which one asked.
        key_id = "" if self._public else headers.get(KEY_ID_HEADER.encode(), b"").decode("latin-1")
        with bound(CallContext(tenant=tenant, request_id=request_id, service=self.name, key_id=key_id)):
            route = self._express.get(scope["path"])
            if route is not None and suits(scope, headers):
                scope["path_template"] = scope["path"]
                await route.serve(scope, receive, send, self._settings.max_body_bytes, self._inner)
            else:
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
