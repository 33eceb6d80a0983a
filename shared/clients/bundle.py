"""All service clients of one process, in-process or by URL, behind one object."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import httpx

from shared.clients.decisions import DecisionsClient
from shared.clients.events import EventsClient
from shared.clients.generation import GenerationClient
from shared.clients.profiles import ProfilesClient
from shared.clients.retrieval import RetrievalClient
from shared.settings import Settings

INTERNAL_PREFIX = "/_internal"
SERVICES = ("events", "profiles", "retrieval", "generation", "decisions")
_LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50)


class Clients:
    """Clients of every service; `apps` maps a service's name to its ASGI app when it runs in this process.

    A service without an app is reached at its URL from the settings, else at this process's own public URL, where the
    host mounts the services under `/_internal/NAME`.
    """

    def __init__(self, settings: Settings, apps: Mapping[str, Any] | None = None) -> None:
        self._stack = AsyncExitStack()
        self._settings = settings
        self._apps = dict(apps or {})
        token = settings.internal_token
        self.profiles = ProfilesClient("profiles", self._http("profiles"), token)
        self.events = EventsClient("events", self._http("events"), token)
        self.retrieval = RetrievalClient("retrieval", self._http("retrieval"), token)
        self.generation = GenerationClient(
            "generation", self._http("generation"), token, streams=self._remote("generation")
        )
        self.decisions = DecisionsClient("decisions", self._http("decisions"), token)

    def _url(self, name: str) -> str:
        configured: str = getattr(self._settings, f"{name}_url")
        return configured or f"{self._settings.self_url}{INTERNAL_PREFIX}/{name}"

    def _remote(self, name: str) -> httpx.AsyncClient:
        return self._keep(httpx.AsyncClient(base_url=self._url(name), limits=_LIMITS))

    def _http(self, name: str) -> httpx.AsyncClient:
        if name in self._apps:
            transport = httpx.ASGITransport(app=LateApp(self._apps, name))
            return self._keep(httpx.AsyncClient(transport=transport, base_url=f"http://{name}.internal"))
        return self._remote(name)

    def _keep(self, client: httpx.AsyncClient) -> httpx.AsyncClient:
        self._stack.push_async_callback(client.aclose)
        return client

    def attach(self, name: str, app: Any) -> None:
        """Put a service's app in its place (apps need clients and clients need apps: the host closes the circle)."""
        self._apps[name] = app

    async def __aenter__(self) -> Self:
        """Enter."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every pool."""
        await self._stack.aclose()


class LateApp:
    """An ASGI app looked up at call time."""

    def __init__(self, apps: dict[str, Any], name: str) -> None:
        self._apps = apps
        self._name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand the connection to the app."""
        await self._apps[self._name](scope, receive, send)
