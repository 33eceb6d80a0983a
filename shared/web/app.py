"""One way to build a service's app: contracts, problems, health, metrics, and the edge around it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Litestar, Response, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.contracts.base import Health
from shared.settings import Settings
from shared.web.edge import Edge
from shared.web.express import Express
from shared.web.problems import EXCEPTION_HANDLERS

HealthCheck = Callable[[], Awaitable[str]]
_CHECK_SECONDS = 2.0
_READY, _DEGRADED, _DOWN = "ready", "degraded", "down"


async def _run_check(check: HealthCheck) -> str:
    try:
        return await asyncio.wait_for(check(), _CHECK_SECONDS)
    except TimeoutError:
        return f"no answer within {_CHECK_SECONDS:.0f} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def health_routes(required: Mapping[str, HealthCheck], optional: Mapping[str, HealthCheck]) -> list[Any]:
    """`/health/live` (the process runs) and `/health/ready` (503 when a required part is down), `/metrics`.

    A check returns "ok" or says what is wrong; one in `optional` that fails makes the service degraded, not down.
    """

    @get("/health/live", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @get("/health/ready", include_in_schema=False)
    async def ready() -> Response[Health]:
        checks = {**required, **optional}
        results = dict(zip(checks, await asyncio.gather(*map(_run_check, checks.values())), strict=True))
        down = any(results[name] != "ok" for name in required)
        lame = any(results[name] != "ok" for name in optional)
        status = _DOWN if down else _DEGRADED if lame else _READY
        return Response(Health(status=status, checks=results), status_code=503 if down else 200)

    @get("/metrics", include_in_schema=False)
    async def metrics() -> Response[bytes]:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [live, ready, metrics]


def build_app(
    name: str,
    settings: Settings,
    route_handlers: Sequence[ControllerRouterHandler],
    *,
    dependencies: Mapping[str, Any],
    late_dependencies: Mapping[str, Callable[[], Any]] | None = None,
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]] = (),
    required: Mapping[str, HealthCheck] | None = None,
    optional: Mapping[str, HealthCheck] | None = None,
    openapi: OpenAPIConfig | None = None,
    public: bool = False,
    express: Mapping[str, Express] | None = None,
    **litestar_options: Any,
) -> Edge:
    """Wire one service.

    Args:
        name: the service's name.
        settings: the suite's settings.
        route_handlers: the service's controllers.
        dependencies: name -> ready object, injected into handlers as `NamedDependency[T]`.
        late_dependencies: name -> function called at each request, for objects that exist only while the app runs.
        lifespan: context managers entered at start, left in reverse at stop.
        required: health checks without which the service cannot answer at all.
        optional: health checks without which it answers with less.
        openapi: the OpenAPI document; None publishes none (internal services).
        public: True for the gateway only, see `Edge`.
        express: routes past the framework, see `Express`.
        litestar_options: passed on to Litestar (e.g. `middleware`).
    """
    app = Litestar(
        route_handlers=[*route_handlers, *health_routes(required or {}, optional or {})],
        dependencies={key: _provide(value) for key, value in dependencies.items()}
        | {key: Provide(value, sync_to_thread=False) for key, value in (late_dependencies or {}).items()},
        lifespan=list(lifespan),
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=openapi,
        logging_config=None,
        request_max_body_size=settings.max_body_bytes,
        debug=False,
        **litestar_options,
    )
    return Edge(app, name=name, settings=settings, public=public, express=express)


def _provide(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
