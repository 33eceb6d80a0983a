"""Does a picture show what a text says? By the image model, where its text tower is good for that."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.embedding_service import Embeddings
from services.retrieval.repository import CatalogRepository
from shared.contracts.retrieval import Matched, MatchRequest
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
        ids = sorted({pair.asset_id for pair in request.pairs})
        async with transaction(self._engine) as connection:
            rows = await CatalogRepository(connection).indexables(tenant, "assets", ids)
        hashes = {row.id: row.image_hash for row in rows if row.image_hash}
        pictures = await self._embeddings.images(tenant, list(hashes.values()))
        cosines: list[float | None] = []
        for pair, word in zip(request.pairs, words, strict=True):
            picture = pictures.get(hashes.get(pair.asset_id, ""))
            cosines.append(None if picture is None else round(float(picture @ word), 6))
        return Matched(cosines=cosines, image_model=info)
