"""Words and pictures: does a picture show what a text says, and what an adapter between the two is fitted on."""

from collections.abc import Collection, Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.embedding_service import Embeddings
from services.retrieval.repository import CatalogRepository
from services.retrieval.vectors.protocol import Vector
from shared.contracts.retrieval import Matched, MatchRequest, PairVectors, PairVectorsRequest
from shared.db.engine import transaction


class MatchService:
    """Compares pictures with words."""

    def __init__(self, engine: AsyncEngine, embeddings: Embeddings) -> None:
        self._engine = engine
        self._embeddings = embeddings

    async def match(self, tenant: str, request: MatchRequest) -> Matched:
        """The cosine of each pair; none for an asset without a picture, none at all from a model that is unfit for words."""
        info = self._embeddings.clip.info
        nothing = Matched(cosines=[None] * len(request.pairs), image_model=info)
        words = await self._embeddings.clip.embed_texts([pair.text for pair in request.pairs])
        if words is None:
            return nothing
        pictures = await self._pictures(tenant, {pair.asset_id for pair in request.pairs})
        cosines: list[float | None] = []
        for pair, word in zip(request.pairs, words, strict=True):
            picture = pictures.get(pair.asset_id)
            cosines.append(None if picture is None else round(float(picture @ word), 6))
        return Matched(cosines=cosines, image_model=info)

    async def pair_vectors(self, tenant: str, request: PairVectorsRequest) -> PairVectors:
        """What words and pictures are to an adapter; words of a model that does not know the pictures are the text model's."""
        ends = self._embeddings.ends("image")
        words: list[list[float]] = []
        if request.texts:
            known = await self._embeddings.clip.embed_texts(request.texts)
            words = (await self._embeddings.text.embed(request.texts) if known is None else known).tolist()
        pictures = await self._pictures(tenant, set(request.asset_ids))
        return PairVectors(
            embedding=ends.embedding,
            target=ends.target,
            words=words,
            pictures=[pictures[key].tolist() if key in pictures else None for key in request.asset_ids],
        )

    async def _pictures(self, tenant: str, ids: Collection[str]) -> Mapping[str, Vector]:
        """Vectors of the tenant's pictures by asset; those without a picture are left out."""
        async with transaction(self._engine) as connection:
            rows = await CatalogRepository(connection).indexables(tenant, "assets", sorted(ids))
        hashes = {row.id: row.image_hash for row in rows if row.image_hash}
        known = await self._embeddings.images(tenant, list(hashes.values()))
        return {key: known[image] for key, image in hashes.items() if image in known}
