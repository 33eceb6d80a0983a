"""All service clients of one process, in-process or by URL, behind one object."""

import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from shared.clients.batches import BatchesClient
from shared.clients.decisions import DecisionsClient
from shared.clients.evaluation import EvaluationClient
from shared.clients.events import EventsClient
from shared.clients.experiments import ExperimentsClient
from shared.clients.features import FeaturesClient
from shared.clients.generation import GenerationClient
from shared.clients.governance import GovernanceClient
from shared.clients.http import ServiceClient
from shared.clients.local import LateApp
from shared.clients.profiles import ProfilesClient
from shared.clients.retrieval import RetrievalClient
from shared.clients.training import TrainingClient
from shared.settings import Settings

INTERNAL_PREFIX = "/_internal"
SERVICES = (
    "events",
    "profiles",
    "retrieval",
    "generation",
    "experiments",
    "decisions",
    "evaluation",
    "governance",
    "batches",
    "features",
    "training",
)
ClientT = TypeVar("ClientT", bound=ServiceClient)
_LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50)


@cache
def _tls() -> ssl.SSLContext:
    """One for all: reading the authorities' certificates takes tens of milliseconds, and there are eleven clients."""
    return httpx.create_ssl_context()


class Clients:
    """Clients of every service; `apps` maps a service's name to its ASGI app when it runs in this process.

    A service without an app is reached at its URL from the settings, else at this process's own public URL, where the
    host mounts the services under `/_internal/NAME`.
    """

    def __init__(self, settings: Settings, apps: Mapping[str, Any] | None = None) -> None:
        self._stack = AsyncExitStack()
        self._settings = settings
        self._apps = dict(apps or {})
        self.profiles = self._client(ProfilesClient, "profiles")
        self.events = self._client(EventsClient, "events")
        self.retrieval = self._client(RetrievalClient, "retrieval")
        self.generation = self._client(GenerationClient, "generation")
        self.experiments = self._client(ExperimentsClient, "experiments")
        self.evaluation = self._client(EvaluationClient, "evaluation")
        self.governance = self._client(GovernanceClient, "governance")
        self.features = self._client(FeaturesClient, "features")
        self.decisions = self._client(DecisionsClient, "decisions")
        self.batches = self._client(BatchesClient, "batches")
        self.training = self._client(TrainingClient, "training")

    def _client(self, kind: type[ClientT], name: str) -> ClientT:
        """A service's client: over HTTP, and past it where the service runs in this process."""
        http = httpx.AsyncClient(base_url=self._url(name), limits=_LIMITS, verify=_tls())
        self._stack.push_async_callback(http.aclose)
        local = LateApp(self._apps, name) if name in self._apps else None
        return kind(name, http, self._settings.internal_token, local)

    def _url(self, name: str) -> str:
        configured: str = getattr(self._settings, f"{name}_url")
        return configured or f"{self._settings.self_url}{INTERNAL_PREFIX}/{name}"

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
