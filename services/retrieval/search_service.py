"""Hybrid search: every vector that fits the query, one filter, fused."""

import base64
import binascii
import time

from services.retrieval import fusion, sparse
from services.retrieval.catalog import locale_matches
from services.retrieval.embedding_service import Embeddings
from services.retrieval.errors import BadQueryError, NoVectorError
from services.retrieval.images import Normaliser
from services.retrieval.index_service import IndexService
from services.retrieval.vectors.protocol import Found, Sparse, Vector, VectorStore, Where
from shared.contracts.base import FieldError
from shared.contracts.retrieval import (
    Embedded,
    EmbedRequest,
    Hit,
    Kind,
    SearchAnswer,
    SearchFilter,
    SearchQuery,
    SearchRequest,
)

# How much each vector counts in the fusion, by how well it alone finds what is searched for.
WEIGHTS = {"text": 1.0, "sparse": 0.7, "image": 1.0}
_DEPTH = 4
_MIN_DEPTH = 50
_HIDDEN = {"tenant", "content_hash", "record_hash"}
Queries = dict[str, Vector | Sparse]


def where(tenant: str, kind: Kind, wanted: SearchFilter) -> Where:
    """The filter of a request as conditions on payloads (see `catalog.offer_payload`)."""
    any_of: dict[str, list[str]] = {}
    none_of: dict[str, list[str]] = {}
    at_most: dict[str, float] = {}
    above: dict[str, float] = {}
    if kind != "users":
        if wanted.active_at is not None:
            at_most["start"] = above["end"] = wanted.active_at.timestamp()
        if wanted.channel:
            any_of["channels"] = ["*", wanted.channel]
        if wanted.locale:
            any_of["locales"] = locale_matches(wanted.locale)
        if wanted.placement:
            any_of["placements"] = ["*", wanted.placement]
        if wanted.brand_id:
            any_of["brand_id"] = [wanted.brand_id]
        if wanted.tags_any:
            any_of["tags"] = list(wanted.tags_any)
        if wanted.exclude_tags:
            none_of["tags"] = none_of["safety_tags"] = list(wanted.exclude_tags)
    if wanted.ids:
        any_of["id"] = list(wanted.ids)
    if wanted.exclude_ids:
        none_of["id"] = list(wanted.exclude_ids)
    return Where(tenant=tenant, any_of=any_of, none_of=none_of, at_most=at_most, above=above)


class SearchService:
    """Finds assets, offers and people."""

    def __init__(self, index: IndexService, store: VectorStore, embeddings: Embeddings, normaliser: Normaliser) -> None:
        self._index = index
        self._store = store
        self._embeddings = embeddings
        self._normaliser = normaliser

    async def search(self, tenant: str, kind: Kind, request: SearchRequest) -> SearchAnswer:
        """The best matches, fused.

        Raises:
            BadQueryError: not exactly one way to search was given, or the picture is none.
            NoVectorError: the person or example has no vector.
        """
        started = time.perf_counter()
        degraded = ["index_of_other_model: being searched as it was built"] if self._index.is_stale(kind) else []
        async with self._index.reading(kind) as alias:
            found, weights, notes = await self._find(alias.collection, tenant, kind, request)
        fuse = fusion.reciprocal_rank if request.fusion == "rrf" else fusion.weighted_sum
        lists = {name: [(hit.id, hit.score) for hit in hits] for name, hits in found.items()}
        return SearchAnswer(
            hits=_hits(found, fusion.best(fuse(lists, weights), request.limit)),
            took_ms=round((time.perf_counter() - started) * 1000, 2),
            index_version=alias.collection,
            vectors_used=sorted(found),
            image_model=self._embeddings.clip.info,
            degraded=degraded + notes,
        )

    async def _find(
        self, collection: str, tenant: str, kind: Kind, request: SearchRequest
    ) -> tuple[dict[str, list[Found]], dict[str, float], list[str]]:
        """The ranked list of each vector, the weights to fuse them with, and what is less than it could be."""
        queries, notes = await self._queries(tenant, kind, request.query)
        if kind == "users":
            queries.pop("image", None)
        weights = WEIGHTS | {str(name): weight for name, weight in request.weights.items()}
        queries = {name: q for name, q in queries.items() if weights[name] > 0 and not _is_empty(q)}
        depth = max(request.limit * _DEPTH, _MIN_DEPTH)
        if not queries:
            return {}, weights, notes
        condition = where(tenant, kind, request.filter)
        return await self._store.search(collection, queries, condition, depth), weights, notes

    async def _queries(self, tenant: str, kind: Kind, query: SearchQuery) -> tuple[Queries, list[str]]:
        given = [name for name in ("text", "image", "profile_id", "example_id") if getattr(query, name) is not None]
        if len(given) != 1:
            allowed = "exactly one of text, image, profileId, exampleId"
            field = FieldError(field="query", message=f"{len(given)} given", given=", ".join(given), allowed=allowed)
            message = f"query: give {allowed}; {len(given)} were given"
            raise BadQueryError(message, errors=[field])
        if query.text is not None:
            return await self._by_text(kind, query.text)
        if query.image is not None:
            return await self._by_image(query.image)
        if query.profile_id is not None:
            return await self._by_point(tenant, "users", query.profile_id), []
        return await self._by_point(tenant, kind, str(query.example_id)), []

    async def _by_text(self, kind: Kind, words: str) -> tuple[Queries, list[str]]:
        queries: Queries = {"text": (await self._embeddings.text.embed([words]))[0], "sparse": sparse.of_query(words)}
        if kind != "assets":
            return queries, []
        image = await self._embeddings.clip.embed_texts([words])
        if image is None:
            return queries, ["text_to_image: by tags and names, " + self._embeddings.clip.info.note]
        return queries | {"image": image[0]}, []

    async def _by_image(self, encoded: str) -> tuple[Queries, list[str]]:
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            field = FieldError(field="query.image", message="not base64", given=f"{encoded[:40]}...")
            raise BadQueryError("query.image: not base64 (without a data: prefix)", errors=[field]) from error
        picture = await self._normaliser(data)
        return {"image": (await self._embeddings.clip.embed_images([picture.data]))[0]}, []

    async def _by_point(self, tenant: str, kind: Kind, key: str) -> Queries:
        """By the dense vectors of something known."""
        async with self._index.reading(kind) as alias:
            dense = await self._store.dense(alias.collection, tenant, key)
        if not dense:
            message = f"{key!r} has no vector in {kind}"
            raise NoVectorError(message)
        return dict(dense)

    async def embed(self, request: EmbedRequest) -> Embedded:
        """Text vectors, not cached: the texts are the caller's."""
        started = time.perf_counter()
        vectors = await self._embeddings.text.embed(request.texts)
        return Embedded(
            model=self._embeddings.text.version,
            took_ms=round((time.perf_counter() - started) * 1000, 2),
            embeddings=vectors.tolist(),
        )


def _is_empty(query: Vector | Sparse) -> bool:
    return isinstance(query, Sparse) and not query.indices


def _hits(found: dict[str, list[Found]], ranked: list[tuple[str, float]]) -> list[Hit]:
    ranks: dict[str, dict[str, int]] = {}
    payloads = {}
    for name, hits in found.items():
        for rank, hit in enumerate(hits, start=1):
            ranks.setdefault(hit.id, {})[name] = rank
            payloads[hit.id] = {key: value for key, value in hit.payload.items() if key not in _HIDDEN}
    return [Hit(id=key, score=round(score, 9), ranks=ranks[key], payload=payloads[key]) for key, score in ranked]
