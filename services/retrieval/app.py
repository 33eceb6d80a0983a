"""The wiring of retrieval: the catalog, and the index that follows it. The models load once, when the app starts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar
from qdrant_client import AsyncQdrantClient

from services.retrieval.adapter_service import AdapterService
from services.retrieval.catalog import CatalogKind
from services.retrieval.controllers import CATALOG_CONTROLLERS
from services.retrieval.embedding_service import Embeddings
from services.retrieval.image_embedding import ClipModel
from services.retrieval.index_service import IndexService
from services.retrieval.match_service import MatchService
from services.retrieval.pictures import Pictures
from services.retrieval.search_controllers import AdapterController, IndexController, SearchController
from services.retrieval.search_service import SearchService
from services.retrieval.service import CatalogService
from services.retrieval.settings import RetrievalSettings
from services.retrieval.text_embedding import TextModel, default_model_path
from services.retrieval.vectors.edge import EdgeStore
from services.retrieval.vectors.protocol import VectorStore
from services.retrieval.vectors.server import ServerStore
from shared.clients.bundle import Clients
from shared.contracts.retrieval import KINDS
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.database import Database
from shared.web.edge import Edge


class Models:
    """The two models of a process, loaded at first use and then shared by every app in it (tests build many)."""

    _loaded: tuple[tuple[str, ...], TextModel, ClipModel] | None = None

    @classmethod
    def load(cls, own: RetrievalSettings, cache: Path) -> tuple[TextModel, ClipModel]:
        """The models of these settings."""
        key = (own.text_model, own.text_engine, own.clip_model, own.clip_pretrained)
        if cls._loaded is None or cls._loaded[0] != key:
            path = Path(own.text_model) if own.text_model else default_model_path()
            text = TextModel(path, cache, own.text_engine)
            cls._loaded = (key, text, ClipModel(own.clip_model, own.clip_pretrained))
        return cls._loaded[1], cls._loaded[2]


def open_store(settings: Settings) -> VectorStore:
    """Qdrant's engine in this process, or the server that the settings name."""
    if settings.qdrant_url:
        return ServerStore(AsyncQdrantClient(url=settings.qdrant_url))
    return EdgeStore(settings.atelier_data / "qdrant")


class _Parts:
    """What exists only while the app runs: handlers see it through the dependencies below."""

    index: IndexService
    search: SearchService
    match: MatchService

    async def catalog_changed(self, tenant: str, kind: CatalogKind, ids: Sequence[str]) -> None:
        """Pass a change on to the index."""
        await self.index.catalog_changed(tenant, kind, ids)

    async def catalog_deleted(self, tenant: str, kind: CatalogKind, ids: Sequence[str]) -> None:
        """Pass a removal on to the index."""
        await self.index.catalog_deleted(tenant, kind, ids)


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The retrieval app; on the request path it calls no other service."""
    del clients
    own = read_env(RetrievalSettings)
    database = Database(settings)
    pictures = Pictures.open(database.engine, settings)
    parts, adapters = _Parts(), AdapterService(database.engine)
    catalog = CatalogService(database.engine, pictures, parts)

    @asynccontextmanager
    async def indexing(_: Litestar) -> AsyncIterator[None]:
        text, clip = await asyncio.to_thread(Models.load, own, settings.atelier_data / "models")
        embeddings = Embeddings(database.engine, text, clip, pictures.store)
        store = open_store(settings)
        try:
            parts.index = IndexService(database.engine, store, embeddings)
            await parts.index.start()
            parts.search = SearchService(parts.index, store, embeddings, pictures.normaliser, adapters)
            parts.match = MatchService(database.engine, embeddings)
            yield
        finally:
            await store.close()

    async def index_state() -> str:
        stale = [kind for kind in KINDS if parts.index.is_stale(kind)]
        return f"built with other models: {', '.join(stale)}; rebuild" if stale else "ok"

    return build_app(
        "retrieval",
        settings,
        [*CATALOG_CONTROLLERS, SearchController, AdapterController, IndexController],
        dependencies={"catalog": catalog, "settings": settings, "adapting": adapters},
        late_dependencies={
            "searching": lambda: parts.search,
            "indexing": lambda: parts.index,
            "matching": lambda: parts.match,
        },
        lifespan=[database.lifespan, indexing],
        required={"database": database.check, "pictures": pictures.store.check},
        optional={"index": index_state},
    )
