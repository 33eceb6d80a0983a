"""All services in one process: the embedded default, and the only module that builds several of them.

The gateway answers at `/`; the others, which trust only the suite's own token, are mounted under `/_internal/NAME` so
that workers and token streams reach them over HTTP. Alone, each runs by `atelier serve NAME` from the same code.
"""

import gc
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

from services.batches.app import create_app as create_batches
from services.decisions.app import create_app as create_decisions
from services.evaluation.app import create_app as create_evaluation
from services.events.app import create_app as create_events
from services.experiments.app import create_app as create_experiments
from services.features.app import create_app as create_features
from services.gateway.app import create_app as create_gateway
from services.generation.app import create_app as create_generation
from services.governance.app import create_app as create_governance
from services.profiles.app import create_app as create_profiles
from services.retrieval.app import create_app as create_retrieval
from services.training.app import create_app as create_training
from shared.clients.bundle import INTERNAL_PREFIX, Clients
from shared.settings import Settings, SettingsError, load_settings
from shared.telemetry import configure_tracing
from shared.web.edge import Edge
from shared.web.logs import configure_logging

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

INTERNAL: dict[str, Callable[[Settings, Clients], Edge]] = {
    "events": create_events,
    "profiles": create_profiles,
    "retrieval": create_retrieval,
    "generation": create_generation,
    "experiments": create_experiments,
    "decisions": create_decisions,
    "evaluation": create_evaluation,
    "governance": create_governance,
    "batches": create_batches,
    "features": create_features,
    "training": create_training,
}
ALL = "all"
PLACEHOLDER_TOKEN = "change-me"  # noqa: S105  (what compose.yaml says until somebody sets one)
NAMES = (ALL, "gateway", *INTERNAL)


class Host:
    """An ASGI app that holds one or all services and enters each one's lifespan itself.

    `own_process`: nothing else lives in this process, so that what is loaded at the start never goes.
    """

    def __init__(self, settings: Settings, name: str = ALL, *, own_process: bool = False) -> None:
        self._own_process = own_process
        local = INTERNAL if name == ALL else {name: INTERNAL[name]} if name in INTERNAL else {}
        self._alone = name if name in INTERNAL else None
        self._clients = Clients(settings, {key: None for key in local if self._alone is None})
        self.apps: dict[str, Edge] = {}
        for key, create in local.items():
            self.apps[key] = create(settings, self._clients)
            self._clients.attach(key, self.apps[key])
        if self._alone is None:
            self.apps["gateway"] = create_gateway(settings, self._clients)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the process's lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        app, inner = self._route(scope)
        await app(inner, receive, send)

    def _route(self, scope: Scope) -> tuple[Edge, Scope]:
        if self._alone is not None:
            return self.apps[self._alone], scope
        path: str = scope["path"]
        if path.startswith(f"{INTERNAL_PREFIX}/"):
            name, _, rest = path.removeprefix(f"{INTERNAL_PREFIX}/").partition("/")
            if name in INTERNAL and name in self.apps:
                raw = scope.get("raw_path") or path.encode()
                prefix = f"{INTERNAL_PREFIX}/{name}"
                inner = {**scope, "path": f"/{rest}", "raw_path": raw.removeprefix(prefix.encode())}
                return self.apps[name], inner
        return self.apps["gateway"], scope

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            try:
                await stack.enter_async_context(self._clients)
                for app in self.apps.values():
                    await stack.enter_async_context(app.litestar.lifespan())
            except Exception as error:
                await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                return
            if self._own_process:
                # Models and their libraries are millions of objects that never go: a full collection over them stops
                # every request for half a second. Frozen, they are not looked at again.
                gc.collect()
                gc.freeze()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def build(name: str | None = None, settings: Settings | None = None) -> Host:
    """A host for one service or all of them; the one that ATELIER_SERVICE names if `name` is left out.

    Raises:
        SettingsError: no such service, or a setting is missing.
    """
    read = settings or load_settings()
    name = name or read.atelier_service
    if name not in NAMES:
        message = f"no service named {name!r}; there are {', '.join(NAMES)}"
        raise SettingsError(message)
    for needed in ("database_url", "redis_url", "internal_token"):
        if not getattr(read, needed):
            message = f"{needed.upper()} is not set; `atelier up` sets it, elsewhere set it yourself"
            raise SettingsError(message)
    if read.internal_token == PLACEHOLDER_TOKEN:
        message = "INTERNAL_TOKEN is still the placeholder: set a long random value, see compose.yaml"
        raise SettingsError(message)
    configure_logging(read)
    configure_tracing(read, name)
    return Host(read, name, own_process=True)
