"""A Qdrant server or cluster, through qdrant-client. The same behaviour as the engine in process, one suite tests both."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient, models

from services.retrieval.vectors.protocol import INDEXED, SPARSE, Payload, Point, Ranked, Sparse, Vector, Where, point_id

_SCROLL = 1000
_UPSERT = 500


def _filter(where: Where) -> models.Filter:
    must: list[Any] = [models.FieldCondition(key="tenant", match=models.MatchValue(value=where.tenant))]
    must += [models.FieldCondition(key=k, match=models.MatchAny(any=v)) for k, v in where.any_of.items()]
    must += [models.FieldCondition(key=k, range=models.Range(lte=bound)) for k, bound in where.at_most.items()]
    must += [models.FieldCondition(key=k, range=models.Range(gt=bound)) for k, bound in where.above.items()]
    never: list[Any] = [models.FieldCondition(key=k, match=models.MatchAny(any=v)) for k, v in where.none_of.items()]
    return models.Filter(must=must, must_not=never or None)


def _native(point: Point) -> models.PointStruct:
    vectors: dict[str, Any] = {name: vector.tolist() for name, vector in point.dense.items()}
    if point.sparse is not None:
        vectors[SPARSE] = models.SparseVector(indices=point.sparse.indices, values=point.sparse.values)
    return models.PointStruct(id=point_id(point.tenant, point.id), vector=vectors, payload=point.payload)


class ServerStore:
    """Collections of a server."""

    def __init__(self, client: AsyncQdrantClient) -> None:
        self._client = client

    async def create(self, collection: str, dims: Mapping[str, int]) -> None:
        """See `VectorStore`."""
        if await self._client.collection_exists(collection):
            return
        await self._client.create_collection(
            collection,
            vectors_config={n: models.VectorParams(size=s, distance=models.Distance.COSINE) for n, s in dims.items()},
            sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        )
        for key, kind in INDEXED.items():
            schema: Any = models.PayloadSchemaType.FLOAT
            if kind == "keyword":
                schema = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=key == "tenant")
            await self._client.create_payload_index(collection, key, field_schema=schema)

    async def drop(self, collection: str) -> None:
        """See `VectorStore`."""
        await self._client.delete_collection(collection)

    async def collections(self) -> list[str]:
        """See `VectorStore`."""
        return sorted(c.name for c in (await self._client.get_collections()).collections)

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """See `VectorStore`."""
        for start in range(0, len(points), _UPSERT):
            native = [_native(point) for point in points[start : start + _UPSERT]]
            await self._client.upsert(collection, native, wait=True)

    async def delete(self, collection: str, tenant: str, ids: Sequence[str]) -> None:
        """See `VectorStore`."""
        if ids:
            native: list[Any] = [point_id(tenant, key) for key in ids]
            await self._client.delete(collection, models.PointIdsList(points=native), wait=True)

    async def payloads(self, collection: str, points: Sequence[str]) -> dict[str, Payload]:
        """See `VectorStore`."""
        records = await self._client.retrieve(collection, list(points), with_payload=True)
        return {str(record.id): record.payload for record in records if record.payload}

    async def vectors(self, collection: str, tenant: str, key: str) -> dict[str, Vector | Sparse]:
        """See `VectorStore`."""
        records = await self._client.retrieve(collection, [point_id(tenant, key)], with_vectors=True)
        found: Any = records[0].vector if records and isinstance(records[0].vector, dict) else {}
        return {
            name: np.asarray(v, dtype=np.float32) if isinstance(v, list) else Sparse(v.indices, v.values)
            for name, v in found.items()
        }

    async def search(
        self, collection: str, asked: Sequence[Mapping[str, Vector | Sparse]], where: Where, limit: int
    ) -> list[dict[str, Ranked]]:
        """See `VectorStore`."""
        requests = [
            models.QueryRequest(
                query=models.SparseVector(indices=q.indices, values=q.values) if isinstance(q, Sparse) else q.tolist(),
                using=name,
                filter=_filter(where),
                limit=limit,
                with_payload=False,
            )
            for queries in asked
            for name, q in queries.items()
        ]
        answers = iter(await self._client.query_batch_points(collection, requests))
        return [{name: [(str(p.id), p.score) for p in next(answers).points] for name in queries} for queries in asked]

    async def ids(self, collection: str, tenant: str) -> list[str]:
        """See `VectorStore`."""
        found: list[str] = []
        offset: Any = None
        while True:
            records, offset = await self._client.scroll(
                collection, scroll_filter=_filter(Where(tenant=tenant)), limit=_SCROLL, offset=offset,
                with_payload=["id"], with_vectors=False,
            )  # fmt: skip
            found += [record.payload["id"] for record in records if record.payload]
            if offset is None:
                return found

    async def count(self, collection: str, tenant: str | None = None) -> int:
        """See `VectorStore`."""
        condition = _filter(Where(tenant=tenant)) if tenant is not None else None
        return (await self._client.count(collection, count_filter=condition, exact=True)).count

    async def optimize(self, collection: str) -> None:
        """The server does that by itself."""

    async def close(self) -> None:
        """See `VectorStore`."""
        await self._client.close()
