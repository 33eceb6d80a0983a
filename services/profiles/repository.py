"""Every query of profiles. Reads and writes whole pages: one statement for 500 people, not 500."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, cast, delete, func, insert, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profiles.models import erasure, fact, identity, profile
from shared.contracts.profiles import Attribute, AudienceQuery, Consents, Fact, Identity, Profile


class StoredFacts(msgspec.Struct):
    """The facts of one person as they are stored."""

    profile_id: str
    facts: list[Fact]
    exclude_tags: list[str]
    summary: str
    content_hash: str


IdentityKey = tuple[str, str]


class ProfileRepository:
    """Profiles, identities and facts within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get_many(self, tenant: str, profile_ids: Sequence[str], *, lock: bool = False) -> dict[str, Profile]:
        """Profiles by id; `lock` keeps others from changing them until the transaction ends."""
        query = select(profile).where(profile.c.tenant == tenant, profile.c.profile_id.in_(profile_ids))
        if lock:
            query = query.order_by(profile.c.profile_id).with_for_update()
        rows = (await self._connection.execute(query)).mappings().all()
        return await self._with_identities(tenant, rows)

    async def page(self, tenant: str, after: str | None, limit: int) -> list[Profile]:
        """Profiles in the order of their ids."""
        query = select(profile).where(profile.c.tenant == tenant).order_by(profile.c.profile_id).limit(limit)
        if after is not None:
            query = query.where(profile.c.profile_id > after)
        rows = (await self._connection.execute(query)).mappings().all()
        return list((await self._with_identities(tenant, rows)).values())

    async def audience(self, tenant: str, wanted: AudienceQuery, after: str | None, limit: int) -> list[str]:
        """Ids of people who meet every condition, in their order; see `AudienceQuery` for whom conditions leave out."""
        query = (
            select(profile.c.profile_id).where(profile.c.tenant == tenant).order_by(profile.c.profile_id).limit(limit)
        )
        if after is not None:
            query = query.where(profile.c.profile_id > after)
        return list((await self._connection.execute(_conditions(query, wanted))).scalars())

    async def _with_identities(self, tenant: str, rows: Sequence[Any]) -> dict[str, Profile]:
        ids = [row["profile_id"] for row in rows]
        query = select(identity).where(identity.c.tenant == tenant, identity.c.profile_id.in_(ids))
        query = query.order_by(identity.c.namespace, identity.c.id)
        maps: dict[str, dict[str, list[Identity]]] = {key: {} for key in ids}
        for row in (await self._connection.execute(query)).mappings():
            entry = Identity(id=row["id"], authenticated_state=row["authenticated_state"], primary=row["is_primary"])
            maps[row["profile_id"]].setdefault(row["namespace"], []).append(entry)
        return {
            row["profile_id"]: Profile(
                profile_id=row["profile_id"],
                identity_map=maps[row["profile_id"]],
                attributes=msgspec.convert(row["attributes"], dict[str, Attribute]),
                consents=msgspec.convert(row["consents"], Consents),
                locale=row["locale"],
                time_zone=row["time_zone"],
                created_at=row["created_at"],
                updated_at=row["updated_at"],
            )
            for row in rows
        }

    async def save(self, tenant: str, profiles: Sequence[Profile]) -> None:
        """Create or replace profiles (their identities apart)."""
        values = [
            {
                "tenant": tenant,
                "profile_id": p.profile_id,
                "attributes": msgspec.to_builtins(p.attributes),
                "consents": msgspec.to_builtins(p.consents),
                "locale": p.locale,
                "time_zone": p.time_zone,
                "created_at": p.created_at,
                "updated_at": p.updated_at,
            }
            for p in profiles
        ]
        statement = upsert(profile).values(values)
        changed = {name: statement.excluded[name] for name in
                   ("attributes", "consents", "locale", "time_zone", "updated_at")}  # fmt: skip
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["tenant", "profile_id"], set_=changed)
        )

    async def owners(self, tenant: str, keys: Sequence[IdentityKey]) -> dict[IdentityKey, str]:
        """Which profile each of these (namespace, id) belongs to."""
        if not keys:
            return {}
        query = select(identity.c.namespace, identity.c.id, identity.c.profile_id).where(
            identity.c.tenant == tenant, tuple_(identity.c.namespace, identity.c.id).in_(keys)
        )
        return {(row.namespace, row.id): row.profile_id for row in await self._connection.execute(query)}

    async def save_identities(self, tenant: str, rows: Mapping[IdentityKey, tuple[str, Identity]]) -> None:
        """Store identities that are known to be free or to belong to the same profile."""
        if not rows:
            return
        values = [
            {"tenant": tenant, "namespace": namespace, "id": key, "profile_id": owner,
             "authenticated_state": entry.authenticated_state, "is_primary": entry.primary}
            for (namespace, key), (owner, entry) in rows.items()
        ]  # fmt: skip
        statement = upsert(identity).values(values)
        changed = {name: statement.excluded[name] for name in ("authenticated_state", "is_primary")}
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["tenant", "namespace", "id"], set_=changed)
        )

    async def facts(self, tenant: str, profile_ids: Sequence[str]) -> dict[str, StoredFacts]:
        """Stored facts by profile id."""
        query = select(fact).where(fact.c.tenant == tenant, fact.c.profile_id.in_(profile_ids))
        return {
            row["profile_id"]: StoredFacts(
                profile_id=row["profile_id"],
                facts=msgspec.convert(row["facts"], list[Fact]),
                exclude_tags=row["exclude_tags"],
                summary=row["summary"],
                content_hash=row["content_hash"],
            )
            for row in (await self._connection.execute(query)).mappings()
        }

    async def save_facts(self, tenant: str, rows: Sequence[StoredFacts]) -> None:
        """Create or replace the facts of people."""
        if not rows:
            return
        values = [
            {"tenant": tenant, "profile_id": r.profile_id, "facts": msgspec.to_builtins(r.facts),
             "exclude_tags": r.exclude_tags, "summary": r.summary, "content_hash": r.content_hash}
            for r in rows
        ]  # fmt: skip
        statement = upsert(fact).values(values)
        changed: dict[str, Any] = {name: statement.excluded[name] for name in
                                   ("facts", "exclude_tags", "summary", "content_hash")}  # fmt: skip
        changed["computed_at"] = func.now()
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["tenant", "profile_id"], set_=changed)
        )

    async def erase(self, tenant: str, profile_id: str) -> dict[str, int]:
        """Delete a person; returns how many rows went, by table."""
        rows = {}
        for table in (fact, identity, profile):
            query = delete(table).where(table.c.tenant == tenant, table.c.profile_id == profile_id)
            rows[table.name] = (await self._connection.execute(query)).rowcount
        return rows

    async def add_erasure(
        self, tenant: str, profile_hash: str, time: dt.datetime, rows: dict[str, int], vectors: str
    ) -> None:
        """Keep the receipt of an erasure; it names nobody."""
        values = {"tenant": tenant, "profile_hash": profile_hash, "time": time, "rows": rows, "vectors": vectors,
                  "count": sum(rows.values())}  # fmt: skip
        await self._connection.execute(insert(erasure).values(values))


def _conditions(query: Select[Any], wanted: AudienceQuery) -> Select[Any]:
    segments = profile.c.attributes["segments"]["value"]
    if wanted.segments:
        query = query.where(segments.has_any(cast(wanted.segments, ARRAY(TEXT))))
    if wanted.excluded_segments:
        query = query.where(~func.coalesce(segments.has_any(cast(wanted.excluded_segments, ARRAY(TEXT))), False))
    for name, values in wanted.attributes.items():
        held = profile.c.attributes[name]["value"]
        query = query.where(or_(*(held.contains(cast(value, JSONB)) for value in values)))
    for name in wanted.facts:
        has = select(fact.c.profile_id).where(
            fact.c.tenant == profile.c.tenant,
            fact.c.profile_id == profile.c.profile_id,
            fact.c.facts.contains([{"name": name}]),
        )
        query = query.where(has.exists())
    if wanted.segments or wanted.excluded_segments or wanted.attributes or wanted.facts:
        query = query.where(profile.c.consents["personalize"]["content"]["val"].astext == "y")
    return query
