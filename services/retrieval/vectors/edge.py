"""Qdrant's own engine inside this process: one folder per collection, a write-ahead log, exact search up to 20,000.

One process owns the folder. The engine holds Python's lock while it works, so more threads gain nothing: one thread
keeps the event loop free to accept while a query of a few milliseconds runs. Building the graph index of a large
collection takes minutes of that lock, so it runs in a child process before the collection goes live (`optimize`).
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import qdrant_edge as qe

from services.retrieval.vectors.protocol import INDEXED, SPARSE, Payload, Point, Ranked, Sparse, Vector, Where, point_id

T = TypeVar("T")
GRAPH_ABOVE = 20_000
_SCROLL = 1000
_UPSERT = 500


def _filter(where: Where) -> qe.Filter:
    must: list[Any] = [qe.FieldCondition("tenant", match=qe.MatchValue(where.tenant))]
    must += [qe.FieldCondition(key, match=qe.MatchAny(values)) for key, values in where.any_of.items()]
    must += [qe.FieldCondition(key, range=qe.RangeFloat(lte=bound)) for key, bound in where.at_most.items()]
    must += [qe.FieldCondition(key, range=qe.RangeFloat(gt=bound)) for key, bound in where.above.items()]
    never: list[Any] = [qe.FieldCondition(key, match=qe.MatchAny(values)) for key, values in where.none_of.items()]
    return qe.Filter(must=must, must_not=never or None)


def _native(point: Point) -> Any:
    vectors: dict[str, Any] = {name: vector.tolist() for name, vector in point.dense.items()}
    if point.sparse is not None:
        vectors[SPARSE] = qe.SparseVector(point.sparse.indices, point.sparse.values)
    return qe.Point(point_id(point.tenant, point.id), vectors, point.payload)


class EdgeStore:
    """Collections as folders under `root`."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._shards: dict[str, Any] = {}
        self._indexed: set[str] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qdrant")

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _shard(self, collection: str) -> Any:
        if collection not in self._shards:
            self._shards[collection] = qe.EdgeShard.load(str(self._root / collection))
        return self._shards[collection]

    def _put(self, collection: str, operation: Any) -> None:
        """Points, into a shard with indexes for what they are filtered by: those of an empty one would cost a third of a second
        of synchronised writing at each first start. What is indexed already is left alone by the engine.
        """
        shard = self._shard(collection)
        if collection not in self._indexed:
            for key, kind in INDEXED.items():
                schema = qe.PayloadSchemaType.Keyword if kind == "keyword" else qe.PayloadSchemaType.Float
                shard.update(qe.UpdateOperation.create_field_index(key, schema))
            self._indexed.add(collection)
        shard.update(operation)

    async def create(self, collection: str, dims: Mapping[str, int]) -> None:
        """See `VectorStore`."""

        def work() -> None:
            folder = self._root / collection
            if folder.exists():
                return
            half_made = self._root / f".{collection}.partial"
            shutil.rmtree(half_made, ignore_errors=True)
            half_made.mkdir()
            shard = qe.EdgeShard.create(str(half_made), qe.EdgeConfig(
                vectors={name: qe.EdgeVectorParams(size, qe.Distance.Cosine) for name, size in dims.items()},
                sparse_vectors={SPARSE: qe.EdgeSparseVectorParams(modifier=qe.Modifier.Idf)},
                wal_enabled=True,
            ))  # fmt: skip
            shard.flush()
            shard.close()
            half_made.rename(folder)

        await self._do(work)

    async def drop(self, collection: str) -> None:
        """See `VectorStore`."""

        def work() -> None:
            shard = self._shards.pop(collection, None)
            self._indexed.discard(collection)
            if shard is not None:
                shard.close()
            shutil.rmtree(self._root / collection, ignore_errors=True)

        await self._do(work)

    async def collections(self) -> list[str]:
        """See `VectorStore`."""
        return sorted(p.name for p in self._root.iterdir() if p.is_dir() and not p.name.startswith("."))

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """See `VectorStore`."""
        for start in range(0, len(points), _UPSERT):
            native = [_native(point) for point in points[start : start + _UPSERT]]
            operation = qe.UpdateOperation.upsert_points(native)
            await self._do(partial(self._put, collection, operation))

    async def delete(self, collection: str, tenant: str, ids: Sequence[str]) -> None:
        """See `VectorStore`."""
        if ids:
            operation = qe.UpdateOperation.delete_points([point_id(tenant, key) for key in ids])
            await self._do(lambda: self._shard(collection).update(operation))

    async def payloads(self, collection: str, points: Sequence[str]) -> dict[str, Payload]:
        """See `VectorStore`."""
        records = await self._do(lambda: self._shard(collection).retrieve(list(points), True, False))
        return {str(record.id): record.payload for record in records}

    async def vectors(self, collection: str, tenant: str, key: str) -> dict[str, Vector | Sparse]:
        """See `VectorStore`."""
        native = [point_id(tenant, key)]
        records = await self._do(lambda: self._shard(collection).retrieve(native, False, True))
        found = (records[0].vector or {}) if records else {}
        return {
            name: np.asarray(v, dtype=np.float32) if isinstance(v, list) else Sparse(list(v.indices), list(v.values))
            for name, v in found.items()
        }

    async def search(
        self, collection: str, asked: Sequence[Mapping[str, Vector | Sparse]], where: Where, limit: int
    ) -> list[dict[str, Ranked]]:
        """See `VectorStore`."""
        condition = _filter(where)
        requests = [
            qe.QueryRequest(
                limit=limit,
                query=qe.Query.Nearest(
                    qe.SparseVector(query.indices, query.values) if isinstance(query, Sparse) else query.tolist(),
                    using=name,
                ),
                filter=condition,
                with_payload=False,
            )
            for queries in asked
            for name, query in queries.items()
        ]
        answers = iter(await self._do(lambda: [self._shard(collection).query(request) for request in requests]))
        return [{name: [(str(p.id), p.score) for p in next(answers)] for name in queries} for queries in asked]

    async def ids(self, collection: str, tenant: str) -> list[str]:
        """See `VectorStore`."""

        def work() -> list[str]:
            found, offset = [], None
            while True:
                request = qe.ScrollRequest(
                    offset=offset, limit=_SCROLL, filter=_filter(Where(tenant=tenant)),
                    with_payload=qe.PayloadSelector.Include(["id"]), with_vector=False,
                )  # fmt: skip
                records, offset = self._shard(collection).scroll(request)
                found += [record.payload["id"] for record in records]
                if offset is None:
                    return found

        return await self._do(work)

    async def count(self, collection: str, tenant: str | None = None) -> int:
        """See `VectorStore`."""
        condition = _filter(Where(tenant=tenant)) if tenant is not None else None
        return await self._do(lambda: int(self._shard(collection).count(qe.CountRequest(filter=condition, exact=True))))

    async def optimize(self, collection: str) -> None:
        """Build the graph index of a large collection in a child process; nothing for a small one."""
        if await self.count(collection) <= GRAPH_ABOVE:
            return

        def work() -> None:
            self._shards.pop(collection).close()
            command = [sys.executable, "-m", "services.retrieval.vectors.optimize", str(self._root / collection)]
            subprocess.run(command, check=True)  # noqa: S603  (our own module)

        await self._do(work)

    async def close(self) -> None:
        """See `VectorStore`."""

        def work() -> None:
            for shard in self._shards.values():
                shard.flush()
                shard.close()
            self._shards.clear()

        await self._do(work)
        self._thread.shutdown()
