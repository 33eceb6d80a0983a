"""What a vector store can do, whichever engine is behind it."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Payload = dict[str, Any]
SPARSE = "sparse"
_NAMESPACE = uuid.UUID("6f0c4f0e-6a1f-5e6e-9a53-1c0c7d6c5b11")
# Payload keys with an index, and their kind. The tenant comes first: every query is filtered by it.
INDEXED = {
    "tenant": "keyword", "id": "keyword", "brand_id": "keyword", "channels": "keyword", "locales": "keyword",
    "placements": "keyword", "tags": "keyword", "safety_tags": "keyword", "start": "float", "end": "float",
}  # fmt: skip


class Sparse(msgspec.Struct, frozen=True):
    """A sparse vector: positions and their values."""

    indices: list[int]
    values: list[float]


class Point(msgspec.Struct):
    """One entry: dense vectors by name, a sparse one, and what it is filtered by."""

    tenant: str
    id: str
    dense: dict[str, Vector]
    sparse: Sparse | None
    payload: Payload


class Where(msgspec.Struct, frozen=True):
    """A filter: every condition must hold.

    Attributes:
        tenant: whose points.
        any_of: key -> values, the payload has at least one of them.
        none_of: key -> values, the payload has none of them.
        at_most: key -> the payload's number is <= this.
        above: key -> the payload's number is > this.
    """

    tenant: str
    any_of: dict[str, list[str]] = {}
    none_of: dict[str, list[str]] = {}
    at_most: dict[str, float] = {}
    above: dict[str, float] = {}


# (point, score), best first.
Ranked = list[tuple[str, float]]


class VectorStore(Protocol):
    """Collections of points with named vectors. Every method is safe to repeat."""

    async def create(self, collection: str, dims: Mapping[str, int]) -> None:
        """Make a collection with these dense vectors (name -> dimension), a sparse vector and the payload indexes."""
        ...

    async def drop(self, collection: str) -> None:
        """Remove a collection if it is there."""
        ...

    async def collections(self) -> list[str]:
        """The names of all collections."""
        ...

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Write points; they are searchable, and safe from a crash, when this returns."""
        ...

    async def delete(self, collection: str, tenant: str, ids: Sequence[str]) -> None:
        """Remove points."""
        ...

    async def payloads(self, collection: str, points: Sequence[str]) -> dict[str, Payload]:
        """Payloads by point, see `point_id`; unknown points are left out."""
        ...

    async def vectors(self, collection: str, tenant: str, key: str) -> dict[str, Vector | Sparse]:
        """The vectors of one point by name, the sparse one as `SPARSE`; {} when it is not there."""
        ...

    async def search(
        self, collection: str, asked: Sequence[Mapping[str, Vector | Sparse]], where: Where, limit: int
    ) -> list[dict[str, Ranked]]:
        """For each question the nearest points of each of its named vectors, best first. Dense scores are cosines.

        Points without payloads: most of them are thrown away when lists are merged, and reading one costs more than
        finding it.
        """
        ...

    async def ids(self, collection: str, tenant: str) -> list[str]:
        """The ids of all points of a tenant."""
        ...

    async def count(self, collection: str, tenant: str | None = None) -> int:
        """How many points there are, of one tenant or in all."""
        ...

    async def optimize(self, collection: str) -> None:
        """Build whatever makes a large collection fast; nothing for a small one."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...


def point_id(tenant: str, key: str) -> str:
    """The engine's id of a point: a UUID made of tenant and id, so that tenants cannot collide."""
    return str(uuid.uuid5(_NAMESPACE, f"{tenant}\x1f{key}"))
