"""The retrieval room itself, in this process: catalog and caches in a real Postgres, vectors in Qdrant's engine.

Each set has a room of its own, so that its figures do not depend on which other sets are there. A room stays under the
cache: a second run embeds nothing again. It is named by the set's fingerprint, so a changed set begins anew.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from evals.retrieval.sets import GallerySet
from evals.runs import BadRunError
from services.retrieval.adapter_service import AdapterService
from services.retrieval.app import Models
from services.retrieval.embedding_service import Embeddings
from services.retrieval.importing import AssetSink, OfferSink
from services.retrieval.index_service import IndexService
from services.retrieval.match_service import MatchService
from services.retrieval.pictures import Pictures
from services.retrieval.search_service import SearchService
from services.retrieval.settings import RetrievalSettings
from services.retrieval.vectors.edge import EdgeStore
from shared.contracts.catalog import Asset
from shared.contracts.retrieval import Kind, PairVectors, PairVectorsRequest, SearchAnswer, SearchRequest, UserVectors
from shared.db.engine import create_engine
from shared.db.migrate import upgrade
from shared.progress import Report
from shared.settings import Settings, load_settings, read_env

TENANT = "evals"
_BATCH = 500


class RoomTakenError(BadRunError):
    """Another run works in this folder."""


class Room:
    """One set's room."""

    def __init__(
        self,
        engine: AsyncEngine,
        pictures: Pictures,
        index: IndexService,
        embeddings: Embeddings,
        store: EdgeStore,
    ) -> None:
        self._engine = engine
        self._pictures = pictures
        self._index = index
        self.adapters = AdapterService(engine)
        self._searching = SearchService(index, store, embeddings, pictures.normaliser, self.adapters)
        self._matching = MatchService(engine, embeddings)
        self.image_model = embeddings.clip.info

    async def stock(self, data: GallerySet, images: Path, report: Report) -> dict[str, str]:
        """Import and index a set; what is there already costs a comparison. Returns ids that were refused, and why."""
        step, total = f"{data.name}: import and embed", data.size + len(data.people)
        report(step, 0, total)
        offers = await OfferSink(self._engine, TENANT).write(data.offers)
        refused = {data.offers[n].offer_id: f"{field}: {reason}" for n, field, reason in offers.rejected}
        sink = AssetSink(self._engine, TENANT, self._pictures, images)
        for start in range(0, len(data.assets), _BATCH):
            rows = [_placed(asset, data, images) for asset in data.assets[start : start + _BATCH]]
            written = await sink.write(rows)
            refused |= {rows[n].asset_id: f"{field}: {reason}" for n, field, reason in written.rejected}
            if written.stored:
                await self._index.update("assets", TENANT)
            report(step, start + len(rows), total)
        for start in range(0, len(data.people), _BATCH):
            await self._index.index_users(TENANT, UserVectors(summaries=data.people[start : start + _BATCH]))
        for kind in ("assets", "offers", "users"):
            await self._index.update(kind, TENANT)
        if (await self._index.status("users", TENANT)).points < len(data.people):
            await self._index.rebuild("users", TENANT, full=False)  # the vectors were deleted, the texts are known
        report(step, total, total)
        return refused

    async def search(self, kind: Kind, request: SearchRequest) -> SearchAnswer:
        """As the service answers."""
        return await self._searching.search(TENANT, kind, request)

    async def pair_vectors(self, request: PairVectorsRequest) -> PairVectors:
        """As the service answers."""
        return await self._matching.pair_vectors(TENANT, request)


def _placed(asset: Asset, data: GallerySet, images: Path) -> Asset:
    """The asset with the place of its picture, where pictures are indexed."""
    path = data.pictures.get(asset.asset_id)
    if path is None or not data.indexed_pictures:
        return asset
    return msgspec.structs.replace(asset, uri=str(path.relative_to(images)))


@asynccontextmanager
async def open_room(folder: Path, database_url: str) -> AsyncIterator[Room]:
    """A retrieval room on an empty or earlier folder and database, as `services.retrieval.app` wires it."""
    await asyncio.to_thread(upgrade, "retrieval", database_url)
    settings = Settings(atelier_data=folder, database_url=database_url)
    own = read_env(RetrievalSettings)
    text, clip = await asyncio.to_thread(Models.load, own, load_settings().atelier_data / "models")
    engine = create_engine(database_url, pool_size=2)
    pictures = Pictures.open(engine, settings)
    embeddings = Embeddings(engine, text, clip, pictures.store)
    store = EdgeStore(folder / "qdrant")
    try:
        index = IndexService(engine, store, embeddings)
        await index.start()
        yield Room(engine, pictures, index, embeddings, store)
    finally:
        await store.close()
        await engine.dispose()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else works in this folder until the block ends.

    Raises:
        RoomTakenError: somebody does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another run works in {folder}"
            raise RoomTakenError(message) from error
        yield
