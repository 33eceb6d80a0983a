"""Vectors for contents, made once: by content hash and model version, out of the cache where they are known."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np
from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.catalog import Indexable
from services.retrieval.image_embedding import ClipModel
from services.retrieval.index_repository import IndexRepository
from services.retrieval.query_adapter import Ends
from services.retrieval.store import PictureStore
from services.retrieval.text_embedding import TextModel
from services.retrieval.vectors.protocol import Vector
from shared.contracts.retrieval import Space
from shared.db.engine import transaction

_MOST_PHRASES = 10_000


def text_key(text: str) -> str:
    """The content hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


class Embeddings:
    """Embeds texts and pictures, and remembers what it has embedded."""

    def __init__(self, engine: AsyncEngine, text: TextModel, clip: ClipModel, pictures: PictureStore) -> None:
        self._engine = engine
        self.text = text
        self.clip = clip
        self._pictures = pictures
        self._phrases: dict[str, Vector] = {}

    def ends(self, space: Space) -> Ends:
        """Between which vectors an adapter of a space stands. Words meet pictures from the image model's own vectors where it
        knows words, else from the text model's.
        """
        if space == "text":
            return Ends(self.text.name, self.text.dim, self.text.name, self.text.dim)
        if self.clip.info.text_queries:
            return Ends(self.clip.version, self.clip.dim, self.clip.version, self.clip.dim)
        return Ends(self.text.name, self.text.dim, self.clip.version, self.clip.dim)

    async def _cached(
        self, model: str, keys: Sequence[str], make: Callable[[list[str]], Awaitable[Vector]], *, fresh: bool
    ) -> tuple[dict[str, Vector], int]:
        """Vectors by key and how many of them had to be made."""
        wanted = list(dict.fromkeys(keys))
        known: dict[str, Vector] = {}
        if not fresh:
            async with transaction(self._engine) as connection:
                known = await IndexRepository(connection).vectors(model, wanted)
        missing = [key for key in wanted if key not in known]
        if missing:
            made = dict(zip(missing, await make(missing), strict=True))
            async with transaction(self._engine) as connection:
                await IndexRepository(connection).keep_vectors(model, made)
            known |= made
        return known, len(missing)

    async def texts(self, texts: Sequence[str], *, fresh: bool = False) -> tuple[list[Vector], int]:
        """Vectors in the order of the texts, and how many were made now."""
        by_key = {text_key(text): text for text in texts}
        found, made = await self._cached(
            self.text.version,
            list(by_key),
            lambda keys: self.text.embed([by_key[key] for key in keys]),
            fresh=fresh,
        )
        return [found[text_key(text)] for text in texts], made

    async def phrases(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of short texts that come up again and again (what people buy), kept in memory of this process only."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._phrases]
        made = dict(zip(missing, await self.text.embed(missing), strict=True)) if missing else {}
        found = [made[text] if text in made else self._phrases[text] for text in texts]
        if len(self._phrases) + len(made) > _MOST_PHRASES:
            self._phrases.clear()
        self._phrases |= made
        return found

    async def images(self, tenant: str, hashes: Sequence[str], *, fresh: bool = False) -> Mapping[str, Vector]:
        """Vectors by image hash; pictures that are gone from the disk are left out."""
        present = [h for h in dict.fromkeys(hashes) if await asyncio.to_thread(self._pictures.has, tenant, h)]
        if not present:
            return {}

        async def make(keys: list[str]) -> Vector:
            data = [await asyncio.to_thread(self._pictures.read, tenant, key) for key in keys]
            return await self.clip.embed_images([d for d in data if d is not None])

        found, _ = await self._cached(self.clip.version, present, make, fresh=fresh)
        return found

    async def dense(
        self, tenant: str, rows: Sequence[Indexable], *, fresh: bool = False
    ) -> tuple[list[dict[str, Vector]], int]:
        """The dense vectors of catalog rows by name, and how many texts were embedded now."""
        vectors, made = await self.texts([row.text for row in rows], fresh=fresh)
        pictures = await self.images(tenant, [row.image_hash for row in rows if row.image_hash], fresh=fresh)
        out = []
        for row, vector in zip(rows, vectors, strict=True):
            named = {"text": np.asarray(vector)}
            if row.image_hash and row.image_hash in pictures:
                named["image"] = np.asarray(pictures[row.image_hash])
            out.append(named)
        return out, made
