"""The wiring of the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Litestar, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.response import Redirect
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler

from services.gateway.batch_controllers import BatchRoutes
from services.gateway.controllers import (
    CatalogRoutes,
    EventRoutes,
    GenerateRoutes,
    ProfileRoutes,
    SearchRoutes,
)
from services.gateway.copy_controllers import CopyRoutes
from services.gateway.decision_controllers import DecisionRoutes, EvaluationRoutes, OutcomeRoutes, PolicyRoutes
from services.gateway.documentation import Completion
from services.gateway.edge_controllers import EdgeRoutes
from services.gateway.evaluation_controllers import EvaluationRunRoutes
from services.gateway.experiment_controllers import ExperimentRoutes
from services.gateway.feature_controllers import FeatureRoutes
from services.gateway.import_controllers import ImportRoutes
from services.gateway.import_service import ImportService
from services.gateway.middleware import Door
from services.gateway.service import IdempotencyService, KeyService, LimitService
from services.gateway.settings import GatewaySettings
from services.gateway.training_controllers import MonitorRoutes, TrainingRoutes
from shared.clients.bundle import SERVICES, Clients
from shared.clients.redis_store import connect_shared
from shared.clients.tasks import TaskSender, create_celery
from shared.context import CallContext
from shared.contracts.decisions import DecisionRequest
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.database import Database
from shared.web.edge import Edge
from shared.web.express import Express, RawHeaders

_FAVICON = '<link rel="icon" href="data:,">'


ROUTES: tuple[ControllerRouterHandler, ...] = (
    ProfileRoutes,
    EventRoutes,
    CatalogRoutes,
    SearchRoutes,
    DecisionRoutes,
    EvaluationRoutes,
    EvaluationRunRoutes,
    OutcomeRoutes,
    PolicyRoutes,
    ExperimentRoutes,
    FeatureRoutes,
    EdgeRoutes,
    GenerateRoutes,
    CopyRoutes,
    BatchRoutes,
    TrainingRoutes,
    MonitorRoutes,
    ImportRoutes,
)


def swagger_files() -> Path:
    """Swagger UI's files out of their package; the package's Django part is never imported."""
    spec = find_spec("drf_spectacular_sidecar")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("install the extra 'docs' (drf-spectacular-sidecar) for the page at /docs")
    return Path(spec.submodule_search_locations[0]) / "static" / "drf_spectacular_sidecar" / "swagger-ui-dist"


def openapi() -> OpenAPIConfig:
    """The document at /docs/openapi.json and the page at /docs, without a CDN."""
    files = "/docs-files"
    return OpenAPIConfig(
        title="Atelier",
        version="1",
        description="Know the customer, pick the offer, write the words, check every claim.",
        path="/docs",
        openapi_router=Router("/docs", route_handlers=[], include_in_schema=False, before_request=Completion().before),
        use_handler_docstrings=True,
        components=Components(security_schemes={"apiKey": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"apiKey": []}],
        render_plugins=[
            JsonRenderPlugin(path="/openapi.json"),
            SwaggerRenderPlugin(
                js_url=f"{files}/swagger-ui-bundle.js",
                css_url=f"{files}/swagger-ui.css",
                standalone_preset_js_url=f"{files}/swagger-ui-standalone-preset.js",
                favicon=_FAVICON,
                path="/",
            ),
        ],
    )


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The public app."""
    own = read_env(GatewaySettings)
    database = Database(settings)
    store = connect_shared(settings.redis_url, settings.redis_seconds)
    keys = KeyService(database.engine, own)
    limits = LimitService(store, own)
    door = Door(keys, limits, IdempotencyService(store, own), settings.max_body_bytes)

    @asynccontextmanager
    async def closing(_: Litestar) -> AsyncIterator[None]:
        yield
        limits.close()
        await store.aclose()

    async def redis_answers() -> str:
        await store.ping()
        return "ok"

    static = create_static_files_router("/docs-files", [swagger_files()], include_in_schema=False)

    @get("/", include_in_schema=False)
    async def front() -> Redirect:
        """Who opens the bare address finds the API page."""
        return Redirect("/docs")

    imports = ImportService(settings, TaskSender(create_celery(settings.redis_url)))

    async def admit_decision(scope: Any) -> tuple[CallContext, RawHeaders]:
        return await door.admit(scope, DecisionRoutes.opt["scope"])

    return build_app(
        "gateway",
        settings,
        [front, *ROUTES, static],
        dependencies={"clients": clients, "imports": imports, "settings": settings},
        lifespan=[database.lifespan, closing],
        required={"database": database.check},
        optional={"redis": redis_answers, **{name: getattr(clients, name).health for name in SERVICES}},
        openapi=openapi(),
        public=True,
        middleware=[door],
        express={DecisionRoutes.path: Express(DecisionRequest, clients.decisions.decide, admit_decision)},
    )
