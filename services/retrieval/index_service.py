"""The live index: incremental updates by content hash, and re-indexing beside it under an alias."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import msgspec
import structlog
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval import sparse
from services.retrieval.catalog import CatalogKind, Indexable
from services.retrieval.embedding_service import Embeddings, text_key
from services.retrieval.index_repository import Alias, IndexRepository
from services.retrieval.repository import CatalogRepository
from services.retrieval.vectors.protocol import Point, Vector, VectorStore, point_id
from shared.contracts.profiles import ProfileSummary
from shared.contracts.retrieval import KINDS, Indexed, IndexStatus, Kind, UserVectors
from shared.db.engine import transaction
from shared.errors import ConflictError

_PAGE = 256
_READER_POLL_SECONDS = 0.01
_MOST_INTERESTS = 12

log = structlog.get_logger()


def interests(text: str) -> list[str]:
    """The parts of a person's text, which profiles lists with commas: what is searched for one by one."""
    return [part for part in text.split(", ") if part][:_MOST_INTERESTS]


class _Progress(msgspec.Struct):
    embedded: int = 0
    reused: int = 0
    deleted: int = 0


class IndexService:
    """Keeps one collection per kind in step with the catalog. All writes of a kind go one after another."""

    def __init__(self, engine: AsyncEngine, store: VectorStore, embeddings: Embeddings) -> None:
        self._engine = engine
        self._store = store
        self._embeddings = embeddings
        self._locks = {kind: asyncio.Lock() for kind in KINDS}
        self._aliases: dict[str, Alias] = {}
        self._building: set[str] = set()
        self._readers: dict[str, int] = {}

    def _dims(self, kind: Kind) -> dict[str, int]:
        dims = {"text": self._embeddings.text.dim}
        return dims if kind == "users" else dims | {"image": self._embeddings.clip.dim}

    async def start(self) -> None:
        """Read the aliases; make empty collections where there are none; remove half-built ones of a crash."""
        async with transaction(self._engine) as connection:
            rows = await IndexRepository(connection).aliases()
        existing = set(await self._store.collections())
        self._aliases = {row.kind: row for row in rows if row.collection in existing}
        live = {row.collection for row in self._aliases.values()}
        for name in existing - live:
            await self._store.drop(name)
        for kind in KINDS:
            if kind not in self._aliases:
                await self._swap(await self._empty(kind))
            elif self.is_stale(kind):
                log.warning("index.other_model", kind=kind, built_with=self._aliases[kind].text_model)

    async def _empty(self, kind: Kind) -> Alias:
        name = f"{kind}-{uuid_utils.uuid7().hex[-12:]}"
        await self._store.create(name, self._dims(kind))
        return Alias(kind, name, self._text_version, self._embeddings.clip.version)

    @property
    def _text_version(self) -> str:
        """What texts are turned into vectors by, dense and sparse."""
        return f"{self._embeddings.text.version}+{sparse.VERSION}"

    async def _swap(self, row: Alias) -> None:
        async with transaction(self._engine) as connection:
            await IndexRepository(connection).set_alias(row)
        self._aliases[row.kind] = row

    def alias(self, kind: Kind) -> Alias:
        """What searches of a kind follow right now."""
        return self._aliases[kind]

    @asynccontextmanager
    async def reading(self, kind: Kind) -> AsyncIterator[Alias]:
        """The live collection, kept from being dropped until the block ends."""
        row = self._aliases[kind]
        self._readers[row.collection] = self._readers.get(row.collection, 0) + 1
        try:
            yield row
        finally:
            self._readers[row.collection] -= 1
            if not self._readers[row.collection]:
                del self._readers[row.collection]

    async def _retire(self, collection: str) -> None:
        """Drop a collection once its last reader has gone."""
        while self._readers.get(collection):  # noqa: ASYNC110  (a few milliseconds, once a rebuild)
            await asyncio.sleep(_READER_POLL_SECONDS)
        await self._store.drop(collection)

    def is_stale(self, kind: Kind) -> bool:
        """Was the live collection made with other models than the loaded ones? It must be rebuilt, never mixed."""
        row = self._aliases[kind]
        models = (self._text_version, self._embeddings.clip.version)
        return row.text_model != models[0] or (kind != "users" and row.image_model != models[1])

    async def catalog_changed(self, tenant: str, kind: CatalogKind, ids: Sequence[str]) -> None:
        """Bring these rows into the live index; a stale index is left to its rebuild."""
        async with self._locks[kind]:
            if not self.is_stale(kind):
                await self._write(self._aliases[kind].collection, tenant, kind, ids, _Progress())

    async def catalog_deleted(self, tenant: str, kind: CatalogKind, ids: Sequence[str]) -> None:
        """Remove these rows from the live index."""
        async with self._locks[kind]:
            await self._store.delete(self._aliases[kind].collection, tenant, ids)

    async def _write(
        self,
        collection: str,
        tenant: str,
        kind: CatalogKind,
        ids: Sequence[str],
        done: _Progress,
        *,
        fresh: bool = False,
    ) -> None:
        async with transaction(self._engine) as connection:
            rows = await CatalogRepository(connection).indexables(tenant, kind, ids)
        if not rows:
            return
        vectors, made = await self._embeddings.dense(tenant, rows, fresh=fresh)
        points = [_point(tenant, row, dense) for row, dense in zip(rows, vectors, strict=True)]
        await self._store.upsert(collection, points)
        done.embedded += made
        done.reused += len(rows) - made

    async def update(self, kind: Kind, tenant: str) -> IndexStatus:
        """Embed what changed since the last time, remove what is gone; rebuilds when the models have changed."""
        if kind == "users" or self.is_stale(kind):
            return (
                await self.rebuild(kind, tenant, full=False) if self.is_stale(kind) else await self.status(kind, tenant)
            )
        done = _Progress()
        async with self._locks[kind]:
            collection = self._aliases[kind].collection
            changed, gone = await self._difference(collection, tenant, kind)
            for start in range(0, len(changed), _PAGE):
                await self._write(collection, tenant, kind, changed[start : start + _PAGE], done)
            await self._store.delete(collection, tenant, gone)
            row = msgspec.structs.replace(self._aliases[kind], embedded=done.embedded, reused=done.reused, error=None)
            await self._swap(row)
        return await self.status(kind, tenant)

    async def _difference(self, collection: str, tenant: str, kind: CatalogKind) -> tuple[list[str], list[str]]:
        """Ids to write and ids to remove, by comparing hashes page by page."""
        changed: list[str] = []
        seen: set[str] = set()
        after = ""
        while True:
            async with transaction(self._engine) as connection:
                page = await CatalogRepository(connection).fingerprints(tenant, kind, after, _PAGE)
            if not page:
                break
            after = page[-1].id
            seen |= {row.id for row in page}
            held = await self._store.payloads(collection, [point_id(tenant, row.id) for row in page])
            known = {payload["id"]: payload for payload in held.values()}
            changed += [
                row.id
                for row in page
                if row.id not in known
                or (known[row.id].get("content_hash"), known[row.id].get("record_hash"))
                != (row.content_hash, row.record_hash)
            ]
        gone = [key for key in await self._store.ids(collection, tenant) if key not in seen]
        return changed, gone

    async def rebuild(self, kind: Kind, tenant: str, *, full: bool) -> IndexStatus:
        """Build a new collection of all tenants beside the live one, then swap. Searches never fail meanwhile.

        Raises:
            ConflictError: one is being built already.
        """
        if kind in self._building:
            message = f"the index of {kind} is being rebuilt already"
            raise ConflictError(message)
        self._building.add(kind)
        made: Alias | None = None
        try:
            async with self._locks[kind]:
                made, old = await self._empty(kind), self._aliases[kind]
                done = _Progress()
                async with transaction(self._engine) as connection:
                    tenants = await IndexRepository(connection).tenants(kind)
                for owner in tenants:
                    await self._fill(made.collection, owner, kind, done, fresh=full)
                await self._store.optimize(made.collection)
                await self._swap(msgspec.structs.replace(made, embedded=done.embedded, reused=done.reused))
            await self._retire(old.collection)
        except BaseException as error:
            if made is not None and self._aliases[kind].collection != made.collection:
                await self._store.drop(made.collection)
                self._aliases[kind].error = f"{type(error).__name__}: {error}"[:500]
            raise
        finally:
            self._building.discard(kind)
        return await self.status(kind, tenant)

    async def _fill(self, collection: str, tenant: str, kind: Kind, done: _Progress, *, fresh: bool) -> None:
        after = ""
        while True:
            async with transaction(self._engine) as connection:
                if kind == "users":
                    people = await IndexRepository(connection).people(tenant, after, _PAGE)
                    ids = [person.profile_id for person in people]
                else:
                    ids = [r.id for r in await CatalogRepository(connection).fingerprints(tenant, kind, after, _PAGE)]
            if not ids:
                return
            after = ids[-1]
            if kind == "users":
                await self._write_people(collection, tenant, people, done, fresh=fresh)
            else:
                await self._write(collection, tenant, kind, ids, done, fresh=fresh)

    async def _write_people(
        self, collection: str, tenant: str, people: Sequence[ProfileSummary], done: _Progress, *, fresh: bool = False
    ) -> None:
        vectors, made = await self._embeddings.texts([p.text for p in people], fresh=fresh)
        points = [
            Point(tenant=tenant, id=p.profile_id, dense={"text": v}, sparse=sparse.of_document(p.text),
                  payload={"tenant": tenant, "id": p.profile_id, "content_hash": p.content_hash,
                           "interests": interests(p.text)})
            for p, v in zip(people, vectors, strict=True)
        ]  # fmt: skip
        await self._store.upsert(collection, points)
        done.embedded += made
        done.reused += len(people) - made

    async def index_users(self, tenant: str, users: UserVectors) -> Indexed:
        """Embed the summaries that changed; drop the withheld, text and vector."""
        done = _Progress()
        async with self._locks["users"]:
            async with transaction(self._engine) as connection:
                known = await IndexRepository(connection).people_hashes(tenant, [s.profile_id for s in users.summaries])
                changed = [s for s in users.summaries if known.get(s.profile_id) != s.content_hash]
                await IndexRepository(connection).keep_people(tenant, changed)
            done.reused += len(users.summaries) - len(changed)
            if changed and not self.is_stale("users"):
                await self._write_people(self._aliases["users"].collection, tenant, changed, done)
        if users.withheld:
            done.deleted = (await self.forget_users(tenant, users.withheld)).deleted
        return Indexed(embedded=done.embedded, reused=done.reused, deleted=done.deleted)

    async def forget_users(self, tenant: str, ids: Sequence[str]) -> Indexed:
        """Remove people's vectors and texts, and what was cached of the texts. Safe to repeat."""
        async with self._locks["users"]:
            await self._store.delete(self._aliases["users"].collection, tenant, ids)
            async with transaction(self._engine) as connection:
                repository = IndexRepository(connection)
                texts = await repository.forget_people(tenant, ids)
                await repository.forget_content([text_key(text) for text in texts])
        return Indexed(embedded=0, reused=0, deleted=len(texts))

    async def status(self, kind: Kind, tenant: str) -> IndexStatus:
        """What stands behind the alias, and how many rows wait for their vectors."""
        row = self._aliases[kind]
        points = await self._store.count(row.collection, tenant)
        pending = 0
        if kind != "users":
            changed, gone = await self._difference(row.collection, tenant, kind)
            pending = len(changed) + len(gone)
        state: Literal["empty", "ready", "building"] = (
            "building" if kind in self._building else "ready" if points else "empty"
        )
        return IndexStatus(
            kind=kind, alias_of=row.collection, points=points, pending=pending, text_model=row.text_model,
            image_model=row.image_model, state=state, embedded=row.embedded, reused=row.reused, error=row.error,
        )  # fmt: skip


def _point(tenant: str, row: Indexable, dense: dict[str, Vector]) -> Point:
    payload = row.payload | {"content_hash": row.content_hash, "record_hash": row.record_hash}
    return Point(tenant=tenant, id=row.id, dense=dense, sparse=sparse.of_document(row.text), payload=payload)
