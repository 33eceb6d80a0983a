"""Hybrid search: every vector that fits the query, one filter, fused."""

import base64
import binascii
import time
from collections.abc import Mapping

from services.retrieval import fusion, sparse
from services.retrieval.adapter_service import AdapterService
from services.retrieval.catalog import locale_matches
from services.retrieval.embedding_service import Embeddings
from services.retrieval.errors import BadQueryError, NoVectorError
from services.retrieval.images import Normaliser
from services.retrieval.index_service import IndexService
from services.retrieval.query_adapter import Adapting
from services.retrieval.vectors.protocol import Payload, Ranked, Sparse, Vector, VectorStore, Where, point_id
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
    Space,
)

# How much each vector counts, by fusion: tuned on half of the queries of `python -m evals retrieval`, see
# docs/retrieval-quality.md. The image's could not be tuned: no checkpoint that knows words was at hand.
WEIGHTS: dict[str, dict[str, float]] = {
    "rrf": {"text": 1.0, "sparse": 0.4, "image": 1.0},
    "weighted": {"text": 1.0, "sparse": 1.0, "image": 1.0},
}
# The stand-in's pictures only part what texts leave equal: an asset's like is found better by its words.
STAND_IN_WEIGHT = 0.1
# With an adapter from words to them likewise: more costs named assets more than it finds (`python -m evals.retrieval.adapting`).
ADAPTED_WEIGHT = 0.05
_DEPTH = 4
_MIN_DEPTH = 50
_HIDDEN = {"tenant", "content_hash", "record_hash", "interests"}
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


def default_weights(how: str, *, words_find_pictures: bool, adapted: bool = False) -> dict[str, float]:
    """The weight of each vector under a fusion, with this kind of image model; `adapted`: an adapter leads words to its pictures."""
    if words_find_pictures:
        return dict(WEIGHTS[how])
    return WEIGHTS[how] | {"image": ADAPTED_WEIGHT if adapted else STAND_IN_WEIGHT}


def _adapted(kind: Kind, query: SearchQuery) -> tuple[Space, ...]:
    """The spaces whose adapters a query goes through: words that somebody typed, not what is derived of a person or an example."""
    if query.text is None or kind == "users":
        return ()
    return ("text", "image") if kind == "assets" else ("text",)


class SearchService:
    """Finds assets, offers and people."""

    def __init__(
        self,
        index: IndexService,
        store: VectorStore,
        embeddings: Embeddings,
        normaliser: Normaliser,
        adapters: AdapterService,
    ) -> None:
        self._index = index
        self._store = store
        self._embeddings = embeddings
        self._normaliser = normaliser
        self._adapters = adapters

    async def search(self, tenant: str, kind: Kind, request: SearchRequest) -> SearchAnswer:
        """The best matches, fused.

        Raises:
            BadQueryError: not exactly one way to search was given, or the picture is none.
            NoVectorError: the person or example has no vector.
        """
        started = time.perf_counter()
        degraded = ["index_of_other_model: being searched as it was built"] if self._index.is_stale(kind) else []
        spaces = _adapted(kind, request.query)
        adapters, unused = await self._adapters.fitting(tenant, {s: self._embeddings.ends(s) for s in spaces})
        given, notes = await self._queries(tenant, kind, request.query, adapters)
        knows_words = self._embeddings.clip.info.text_queries
        weights = default_weights(request.fusion, words_find_pictures=knows_words, adapted="image" in adapters)
        weights |= {str(name): weight for name, weight in request.weights.items()}
        asked = [used for queries in given if (used := _used(queries, kind, weights))]
        # Deep enough that what stands low in each list can come first in their sum.
        depth = max(request.limit * _DEPTH, _MIN_DEPTH)
        async with self._index.reading(kind) as alias:
            condition = where(tenant, kind, request.filter)
            found = await self._store.search(alias.collection, asked, condition, depth) if asked else []
            each = [fused(request.fusion, *pair, weights) for pair in zip(asked, found, strict=True)]
            first = fusion.best(fusion.either(each), request.limit)
            payloads = await self._store.payloads(alias.collection, [point for point, _ in first]) if first else {}
        return SearchAnswer(
            hits=_hits(found, first, payloads),
            took_ms=round((time.perf_counter() - started) * 1000, 2),
            index_version=alias.collection,
            vectors_used=sorted({name for lists in found for name in lists}),
            image_model=self._embeddings.clip.info,
            degraded=degraded + unused + notes,
            adapters={space: one.name for space, one in adapters.items()},
        )

    async def _queries(
        self, tenant: str, kind: Kind, query: SearchQuery, adapters: Mapping[Space, Adapting]
    ) -> tuple[list[Queries], list[str]]:
        """What to search for, several questions for a person, and what is less than it could be."""
        given = [name for name in ("text", "image", "profile_id", "example_id") if getattr(query, name) is not None]
        if len(given) != 1:
            allowed = "exactly one of text, image, profileId, exampleId"
            field = FieldError(field="query", message=f"{len(given)} given", given=", ".join(given), allowed=allowed)
            message = f"query: give {allowed}; {len(given)} were given"
            raise BadQueryError(message, errors=[field])
        if query.text is not None:
            queries, notes = await self._by_text(kind, query.text, adapters)
            return [queries], notes
        if query.image is not None:
            return [await self._by_image(query.image)], []
        if query.profile_id is None:
            return [await self._by_point(tenant, kind, str(query.example_id))], []
        if kind == "users":
            return [await self._by_point(tenant, "users", query.profile_id)], []
        return await self._by_interests(tenant, query.profile_id), []

    async def _by_text(self, kind: Kind, words: str, adapters: Mapping[Space, Adapting]) -> tuple[Queries, list[str]]:
        text = (await self._embeddings.text.embed([words]))[0]
        queries: Queries = {
            "text": adapters["text"](text) if "text" in adapters else text,
            "sparse": sparse.of_query(words),
        }
        if kind != "assets":
            return queries, []
        known = await self._embeddings.clip.embed_texts([words])
        if "image" in adapters:
            return queries | {"image": adapters["image"](text if known is None else known[0])}, []
        if known is None:
            return queries, ["text_to_image: by tags and names, " + self._embeddings.clip.info.note]
        return queries | {"image": known[0]}, []

    async def _by_interests(self, tenant: str, profile_id: str) -> list[Queries]:
        """A question for each interest: the mean of all of them, which is the person's own vector, is near to none."""
        async with self._index.reading("users") as alias:
            known = await self._store.payloads(alias.collection, [point_id(tenant, profile_id)])
        listed = next(iter(known.values()), {}).get("interests")
        if not listed:
            return [await self._by_point(tenant, "users", profile_id)]
        vectors = await self._embeddings.phrases(listed)
        return [{"text": v, "sparse": sparse.of_query(phrase)} for v, phrase in zip(vectors, listed, strict=True)]

    async def _by_image(self, encoded: str) -> Queries:
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            field = FieldError(field="query.image", message="not base64", given=f"{encoded[:40]}...")
            raise BadQueryError("query.image: not base64 (without a data: prefix)", errors=[field]) from error
        picture = await self._normaliser(data)
        return {"image": (await self._embeddings.clip.embed_images([picture.data]))[0]}

    async def _by_point(self, tenant: str, kind: Kind, key: str) -> Queries:
        """By the vectors of something known."""
        async with self._index.reading(kind) as alias:
            found = await self._store.vectors(alias.collection, tenant, key)
        if not found:
            message = f"{key!r} has no vector in {kind}"
            raise NoVectorError(message)
        return found

    async def embed(self, request: EmbedRequest) -> Embedded:
        """Text vectors, not cached: the texts are the caller's."""
        started = time.perf_counter()
        vectors = await self._embeddings.text.embed(request.texts)
        return Embedded(
            model=self._embeddings.text.version,
            took_ms=round((time.perf_counter() - started) * 1000, 2),
            embeddings=vectors.tolist(),
        )


def _used(queries: Queries, kind: Kind, weights: Mapping[str, float]) -> Queries:
    """Those that count; people have no picture, and a query without words no sparse vector."""
    empty = {name for name, query in queries.items() if isinstance(query, Sparse) and not query.indices}
    left_out = empty | ({"image"} if kind == "users" else set())
    return {name: query for name, query in queries.items() if weights[name] > 0 and name not in left_out}


def fused(how: str, queries: Queries, lists: dict[str, Ranked], weights: Mapping[str, float]) -> dict[str, float]:
    """One question's lists as one, under a fusion."""
    # An engine breaks ties as it happened to be filled; what is fused by rank must not depend on that.
    lists = {name: sorted(ranked, key=lambda hit: (-hit[1], hit[0])) for name, ranked in lists.items()}
    if how == "rrf":
        return fusion.reciprocal_rank(lists, weights)
    full = {name: sparse.full_score(query) for name, query in queries.items() if isinstance(query, Sparse)}
    return fusion.weighted_sum(lists, weights, full)


def _hits(found: list[dict[str, Ranked]], first: list[tuple[str, float]], payloads: Mapping[str, Payload]) -> list[Hit]:
    """With each hit its best place in the lists of each vector; one that was deleted meanwhile is none."""
    ranks: dict[str, dict[str, int]] = {point: {} for point, _ in first}
    for lists in found:
        for name, ranked in lists.items():
            for rank, (point, _) in enumerate(ranked, start=1):
                if point in ranks:
                    ranks[point][name] = min(rank, ranks[point].get(name, rank))
    hits = [
        Hit(id=payload["id"], score=round(score, 9), ranks=ranks[point],
            payload={key: value for key, value in payload.items() if key not in _HIDDEN})
        for point, score in first if (payload := payloads.get(point)) is not None
    ]  # fmt: skip
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))
