"""Searching assets, offers and users: by text, by picture, by person, by example."""

from typing import Annotated, Literal

import msgspec

from shared.contracts.base import Contract, Id, Locale, Name, Tag, Timestamp
from shared.contracts.policies import ModelKey
from shared.contracts.profiles import Channel, ProfileSummary

Kind = Literal["assets", "offers", "users"]
KINDS: tuple[Kind, ...] = ("assets", "offers", "users")
VectorName = Literal["text", "sparse", "image"]
Space = Literal["text", "image"]


class SearchQuery(Contract, kw_only=True):
    """Exactly one of these is set. `image` is base64 (no data: prefix); `profile_id` searches by a person's vector."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)] | None = None
    image: Annotated[str, msgspec.Meta(min_length=4)] | None = None
    profile_id: Id | None = None
    example_id: Id | None = None


class SearchFilter(Contract, kw_only=True):
    """All given conditions must hold. `active_at` compares with the offer's dates and the asset's rights."""

    active_at: Timestamp | None = None
    channel: Channel | None = None
    locale: Locale | None = None
    placement: Tag | None = None
    brand_id: Id | None = None
    tags_any: list[Tag] = []
    exclude_tags: list[Tag] = []
    ids: list[Id] = []
    exclude_ids: list[Id] = []


class SearchRequest(Contract, kw_only=True):
    """Hybrid search. `weights` overrides the measured default weight of a vector in the fusion (0 leaves it out).

    `fusion`: "weighted" adds scores scaled to [0, 1], "rrf" reciprocal ranks.
    """

    query: SearchQuery
    filter: SearchFilter = msgspec.field(default_factory=SearchFilter)
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 10
    fusion: Literal["rrf", "weighted"] = "weighted"
    weights: dict[VectorName, Annotated[float, msgspec.Meta(ge=0, le=100)]] = {}


class Hit(Contract, kw_only=True):
    """One result: fused score (higher is better) and, per vector, its rank (from 1) in that list."""

    id: str
    score: float
    ranks: dict[str, int]
    payload: dict[str, str | int | float | bool | list[str] | None]


class ImageModel(Contract, kw_only=True):
    """Which image model is loaded, and whether its text tower may be trusted for text -> image search."""

    name: str
    version: str
    text_queries: bool
    note: str


class QueryAdapter(Contract, kw_only=True):
    """A low-rank adapter of the vectors of words that are searched for; what is found stays as it is.

    `embedding` and `target`: names of the models of the vectors that go in and of those that are searched. If they are one, q
    becomes normalise(q + q U V'); if not, the words' model knows nothing of what is searched, and q becomes normalise(q U V').
    `factors`: 32-bit little-endian floats of U (inputs, rank), then of V (dimension, rank), in rows; base64 in JSON.
    """

    model_key: ModelKey
    version: Annotated[int, msgspec.Meta(ge=1)]
    space: Space
    embedding: Name
    inputs: Annotated[int, msgspec.Meta(ge=1, le=8192)]
    target: Name
    dimension: Annotated[int, msgspec.Meta(ge=1, le=8192)]
    rank: Annotated[int, msgspec.Meta(ge=1, le=256)]
    factors: Annotated[bytes, msgspec.Meta(max_length=2**24)]

    @property
    def name(self) -> str:
        """As search answers say it."""
        return f"{self.model_key}@{self.version}"


class SearchAnswer(Contract, kw_only=True):
    """Hits best first, what searched them, and why something was left out. `adapters`: which ones (`MODEL@VERSION`) the query's
    words went through, by space.
    """

    hits: list[Hit]
    took_ms: float
    index_version: str
    vectors_used: list[str]
    image_model: ImageModel
    degraded: list[str]
    adapters: dict[Space, str] = {}


class IndexStatus(Contract, kw_only=True):
    """What stands behind the alias of one kind, and how the last re-index went."""

    kind: Kind
    alias_of: str | None
    points: int
    pending: int
    text_model: str
    image_model: str
    state: Literal["empty", "ready", "building"]
    embedded: int
    reused: int
    error: str | None


class ReindexRequest(Contract, kw_only=True):
    """Build a new collection beside the live one and swap. `full` ignores the embedding cache."""

    kind: Kind
    full: bool = False


class UserVectors(Contract, kw_only=True):
    """Summaries to embed as user vectors, and profiles whose vectors must go."""

    summaries: Annotated[list[ProfileSummary], msgspec.Meta(max_length=500)]
    withheld: Annotated[list[Id], msgspec.Meta(max_length=500)] = []


class Indexed(Contract, kw_only=True):
    """How many were embedded now, reused by content hash, and deleted."""

    embedded: int
    reused: int
    deleted: int


class EmbedRequest(Contract, kw_only=True):
    """Texts to embed with the text model."""

    texts: Annotated[list[Annotated[str, msgspec.Meta(max_length=8000)]], msgspec.Meta(min_length=1, max_length=256)]


class Embedded(Contract, kw_only=True):
    """Unit-length vectors in the order of the texts."""

    model: Name
    took_ms: float
    embeddings: list[list[float]]


class PairVectorsRequest(Contract, kw_only=True):
    """Words and assets whose vectors an adapter of picture search is fitted on (service-internal)."""

    texts: Annotated[list[Annotated[str, msgspec.Meta(max_length=8000)]], msgspec.Meta(max_length=256)] = []
    asset_ids: Annotated[list[Id], msgspec.Meta(max_length=256)] = []


class PairVectors(Contract, kw_only=True):
    """Unit vectors in the order of the request, and the names of the models that made them; null: an asset without a picture.

    `embedding` is `target` when the image model knows words; if not, the words' vectors are the text model's.
    """

    embedding: Name
    target: Name
    words: list[list[float]]
    pictures: list[list[float] | None]


class MatchPair(Contract, kw_only=True):
    """A picture and what may be said of it."""

    asset_id: Id
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class MatchRequest(Contract, kw_only=True):
    """Compare pictures with words (service-internal)."""

    pairs: Annotated[list[MatchPair], msgspec.Meta(min_length=1, max_length=256)]


class Matched(Contract, kw_only=True):
    """Cosines in the order of the pairs; null where there is no picture, all null when the image model is unfit for words."""

    cosines: list[float | None]
    image_model: ImageModel
