"""Calling a service that runs in this process: the same ASGI app, the same messages, without an HTTP client in between.

httpx over its ASGI transport costs about half a millisecond a call, more than many of the services called; this is a
tenth of that. The body is passed whole, so streams go over a socket (see `Clients`).
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlencode

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """An answer: what `httpx.Response` would say, as far as it is used."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class LateApp:
    """An ASGI app looked up at call time."""

    def __init__(self, apps: dict[str, Any], name: str) -> None:
        self._apps = apps
        self._name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand the connection to the app."""
        await self._apps[self._name](scope, receive, send)

    def takes(self, path: str) -> bool:
        """Has the app an express route (see `shared.web.express`) of this path?"""
        app = self._apps[self._name]
        return hasattr(app, "takes") and bool(app.takes(path))

    async def ask(self, path: str, body: Any) -> tuple[int, Any]:
        """Ask an express route: (200, the answer), else (status, problem document)."""
        answer: tuple[int, Any] = await self._apps[self._name].ask(path, body)
        return answer

    async def request(
        self, method: str, path: str, *, content: bytes, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Reply:
        """One request; `path` is quoted as on the wire."""
        query = urlencode({key: _text(value) for key, value in params.items()}).encode() if params else b""
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
            "path": unquote(path), "raw_path": path.encode(), "query_string": query, "root_path": "",
            "headers": [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
            + [(b"host", b"internal"), (b"content-length", str(len(content)).encode())],
            "client": ("127.0.0.1", 0), "server": ("internal", 80), "state": {},
        }  # fmt: skip
        status, found, parts, sent = 500, {}, [], False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, found
            if message["type"] == "http.response.start":
                status = message["status"]
                found = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in message["headers"]}
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self(scope, receive, send)
        return Reply(status, found, b"".join(parts))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
