"""Pictures between disk and table: what is referred to is there, what nobody refers to goes."""

import asyncio
from collections.abc import Iterable
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.images import Limits, Normaliser, Picture, source_hash
from services.retrieval.repository import CatalogRepository, ImageFacts
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store import PictureStore
from shared.db.engine import transaction
from shared.settings import Settings, read_env


def facts_of(picture: Picture, source: bytes) -> ImageFacts:
    """What the table keeps of a picture."""
    return ImageFacts(
        image_hash=picture.image_hash,
        source_hash=source_hash(source),
        width=picture.width,
        height=picture.height,
    )


class Pictures:
    """Takes pictures in, hands them out, throws the unused away."""

    def __init__(self, engine: AsyncEngine, store: PictureStore, normaliser: Normaliser) -> None:
        self._engine = engine
        self.store = store
        self.normaliser = normaliser

    @classmethod
    def open(cls, engine: AsyncEngine, settings: Settings) -> Self:
        """The pictures of an installation, with the limits of its settings."""
        own = read_env(RetrievalSettings)
        limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=own.retrieval_image_megapixels * 1_000_000)
        return cls(engine, PictureStore(settings.atelier_data), Normaliser(limits, own.retrieval_image_workers))

    async def take_in(self, tenant: str, source: bytes) -> tuple[ImageFacts, Picture]:
        """Normalise a picture and put it on disk; nothing refers to it yet.

        Raises:
            AtelierError: see `images.normalise`.
        """
        picture = await self.normaliser(source)
        await asyncio.to_thread(self.store.write, tenant, picture.image_hash, picture.data)
        return facts_of(picture, source), picture

    async def drop_unused(self, tenant: str, hashes: Iterable[str | None]) -> None:
        """Remove those pictures from disk that no asset shows any more.

        Call it after the transaction that let go of them. The lock keeps a new reference from appearing between the
        question and the removal; a crash in between leaves an unused file, never a missing one.
        """
        candidates = sorted({found for found in hashes if found})
        if not candidates:
            return
        async with transaction(self._engine) as connection:
            repository = CatalogRepository(connection)
            await repository.own_pictures(tenant)
            unused = set(candidates) - await repository.used_images(tenant, candidates)
            for image_hash in unused:
                await asyncio.to_thread(self.store.remove, tenant, image_hash)
