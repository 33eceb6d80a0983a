"""Every query of the index."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from sqlalchemy import delete, select, union
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.index_models import alias, embedding, person
from services.retrieval.models import asset, offer
from services.retrieval.vectors.protocol import Vector
from shared.contracts.profiles import ProfileSummary
from shared.contracts.retrieval import Kind

_TENANTS = {"offers": offer, "assets": asset, "users": person}


class Alias(msgspec.Struct):
    """What stands behind the name of one kind."""

    kind: Kind
    collection: str
    text_model: str
    image_model: str
    embedded: int = 0
    reused: int = 0
    error: str | None = None


class IndexRepository:
    """The index's rows within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def alias(self, kind: Kind) -> Alias | None:
        """The live collection of a kind."""
        query = select(*[alias.c[name] for name in Alias.__struct_fields__]).where(alias.c.kind == kind)
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return Alias(**row) if row else None

    async def aliases(self) -> list[Alias]:
        """All live collections."""
        query = select(*[alias.c[name] for name in Alias.__struct_fields__])
        return [Alias(**row) for row in (await self._connection.execute(query)).mappings()]

    async def set_alias(self, row: Alias) -> None:
        """Make a collection the live one."""
        values = msgspec.structs.asdict(row)
        await self._connection.execute(
            upsert(alias).values(values).on_conflict_do_update(index_elements=["kind"], set_=values)
        )

    async def vectors(self, model: str, contents: Sequence[str]) -> dict[str, Vector]:
        """Known vectors of a model by content hash."""
        query = select(embedding.c.content, embedding.c.vector).where(
            embedding.c.model == model, embedding.c.content.in_(contents)
        )
        return {row.content: np.frombuffer(row.vector, np.float32) for row in await self._connection.execute(query)}

    async def keep_vectors(self, model: str, vectors: Mapping[str, Vector]) -> None:
        """Remember what a model made of these contents."""
        if vectors:
            rows = [{"content": k, "model": model, "vector": v.tobytes()} for k, v in vectors.items()]
            await self._connection.execute(upsert(embedding).values(rows).on_conflict_do_nothing())

    async def forget_content(self, contents: Sequence[str]) -> None:
        """Forget vectors of these contents, of every model."""
        await self._connection.execute(delete(embedding).where(embedding.c.content.in_(contents)))

    async def tenants(self, kind: Kind) -> list[str]:
        """Who has rows of a kind."""
        column = _TENANTS[kind].c.tenant
        return sorted((await self._connection.execute(union(select(column), select(column)))).scalars())

    async def people(self, tenant: str, after: str, limit: int) -> list[ProfileSummary]:
        """Stored texts of people in the order of their ids."""
        query = select(person).where(person.c.tenant == tenant, person.c.profile_id > after)
        rows = (await self._connection.execute(query.order_by(person.c.profile_id).limit(limit))).mappings()
        return [
            ProfileSummary(
                profile_id=r["profile_id"],
                text=r["text"],
                content_hash=r["content_hash"],
                exclude_tags=r["exclude_tags"],
            )
            for r in rows
        ]

    async def people_hashes(self, tenant: str, ids: Sequence[str]) -> dict[str, str]:
        """Content hashes of stored texts."""
        query = select(person.c.profile_id, person.c.content_hash).where(
            person.c.tenant == tenant, person.c.profile_id.in_(ids)
        )
        return {row.profile_id: row.content_hash for row in await self._connection.execute(query)}

    async def keep_people(self, tenant: str, summaries: Sequence[ProfileSummary]) -> None:
        """Store texts of people."""
        if not summaries:
            return
        statement = upsert(person).values(
            [
                {"tenant": tenant, "profile_id": s.profile_id, "text": s.text, "content_hash": s.content_hash,
                 "exclude_tags": s.exclude_tags}
                for s in summaries
            ]
        )  # fmt: skip
        changed = {name: statement.excluded[name] for name in ("text", "content_hash", "exclude_tags")}
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["tenant", "profile_id"], set_=changed)
        )

    async def forget_people(self, tenant: str, ids: Sequence[str]) -> list[str]:
        """Remove texts of people; returns the texts that went."""
        query = delete(person).where(person.c.tenant == tenant, person.c.profile_id.in_(ids))
        return list((await self._connection.execute(query.returning(person.c.text))).scalars())
