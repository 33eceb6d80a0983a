"""Every query of governance."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import RowMapping, Select, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.governance.approval import STANDING
from services.governance.models import copy, live_head, step
from shared.contracts.approval import CopyQuery, Provenance, RequiredFact, Step, StoredCopy
from shared.contracts.generation import Material, Sections, Usage
from shared.contracts.governance import CheckReport

_BODY = ("sections", "source", "provenance", "report", "required_facts", "usage")
_COLUMNS = (
    "copy_id",
    "offer_id",
    "channel",
    "locale",
    "state",
    "revision",
    "authors",
    "statement",
    "created_at",
    "updated_at",
)
_BRIEF = [column for column in copy.c if column.name != "material"]


class CopyRepository:
    """Copy and its steps within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, tenant: str, one: StoredCopy, profile_id: str | None) -> bool:
        """Store new copy; False when its id is taken."""
        values = _values(tenant, one) | {"profile_id": profile_id, "material": msgspec.to_builtins(one.material)}
        query = upsert(copy).values(values).on_conflict_do_nothing().returning(copy.c.copy_id)
        return (await self._connection.execute(query)).scalar_one_or_none() is not None

    async def one(self, tenant: str, copy_id: str, *, lock: bool = False) -> StoredCopy | None:
        """A piece of copy with its material; locked, nobody else changes it until the transaction ends."""
        query = select(copy).where(copy.c.tenant == tenant, copy.c.copy_id == copy_id)
        row = (await self._connection.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        return _stored(row) if row else None

    async def page(self, tenant: str, wanted: CopyQuery) -> list[StoredCopy]:
        """Copy that meets every condition, in the order of its ids."""
        query = select(copy) if wanted.details else select(*_BRIEF)
        rows = await self._connection.execute(_filtered(query, tenant, wanted).limit(wanted.limit))
        return [_stored(row) for row in rows.mappings()]

    async def standing(self, tenant: str, offer_ids: Sequence[str]) -> list[tuple[str, str, tuple[str, str]]]:
        """(copy, offer, (statement, checker)) of all copy that passed its checks, of these offers if any are named."""
        checker = copy.c.body["provenance"]["checker"].astext.label("checker")
        query = select(copy.c.copy_id, copy.c.offer_id, copy.c.statement, checker).where(
            copy.c.tenant == tenant, copy.c.state.in_(STANDING)
        )
        if offer_ids:
            query = query.where(copy.c.offer_id.in_(offer_ids))
        rows = await self._connection.execute(query.order_by(copy.c.copy_id))
        return [(row.copy_id, row.offer_id, (row.statement, row.checker)) for row in rows]

    async def tenants(self) -> list[str]:
        """Every tenant with copy that passed its checks."""
        query = select(copy.c.tenant).where(copy.c.state.in_(STANDING)).distinct().order_by(copy.c.tenant)
        return [row.tenant for row in await self._connection.execute(query)]

    async def save(self, tenant: str, one: StoredCopy) -> None:
        """Replace what changes of a piece of copy; whose it is and what it was written from stay."""
        query = update(copy).where(copy.c.tenant == tenant, copy.c.copy_id == one.copy_id).values(_values(tenant, one))
        await self._connection.execute(query)

    async def steps(self, tenant: str, copy_ids: Sequence[str]) -> dict[str, list[Step]]:
        """Copy -> its steps, first to last."""
        query = select(step).where(step.c.tenant == tenant, step.c.copy_id.in_(copy_ids)).order_by(step.c.number)
        found: dict[str, list[Step]] = {}
        for row in (await self._connection.execute(query)).mappings():
            plain = {name: row[name] for name in Step.__struct_fields__}
            found.setdefault(row["copy_id"], []).append(Step(**plain))
        return found

    async def add_steps(self, tenant: str, made: Sequence[tuple[str, Step]]) -> None:
        """Add steps of copy that this transaction made or holds locked; each gets the next number of its copy."""
        query = (
            select(step.c.copy_id, func.max(step.c.number))
            .where(step.c.tenant == tenant, step.c.copy_id.in_([copy_id for copy_id, _ in made]))
            .group_by(step.c.copy_id)
        )
        last = dict((await self._connection.execute(query)).tuples().all())
        rows = [
            {"tenant": tenant, "copy_id": copy_id, **msgspec.structs.asdict(one), "number": last.get(copy_id, 0) + 1}
            for copy_id, one in made
        ]
        if rows:
            await self._connection.execute(insert(step), rows)

    async def live(self, tenant: str) -> list[StoredCopy]:
        """Live copy that anybody may be shown, in the order of its ids."""
        query = select(*_BRIEF).where(copy.c.tenant == tenant, copy.c.state == "live", copy.c.profile_id.is_(None))
        return [_stored(row) for row in (await self._connection.execute(query.order_by(copy.c.copy_id))).mappings()]

    async def live_version(self, tenant: str) -> int:
        """How often what is live has changed."""
        query = select(live_head.c.version).where(live_head.c.tenant == tenant)
        return int((await self._connection.execute(query)).scalar_one_or_none() or 0)

    async def live_changed(self, tenant: str) -> None:
        """What is live changes with this transaction."""
        made = upsert(live_head).values(tenant=tenant, version=1)
        await self._connection.execute(
            made.on_conflict_do_update(index_elements=["tenant"], set_={"version": live_head.c.version + 1})
        )

    async def erase(self, tenant: str, profile_id: str) -> list[str]:
        """Delete what was written for a person, steps too; the ids."""
        mine = select(copy.c.copy_id).where(copy.c.tenant == tenant, copy.c.profile_id == profile_id)
        await self._connection.execute(delete(step).where(step.c.tenant == tenant, step.c.copy_id.in_(mine)))
        query = delete(copy).where(copy.c.tenant == tenant, copy.c.profile_id == profile_id)
        return list((await self._connection.execute(query.returning(copy.c.copy_id))).scalars())


def _filtered(query: Select[Any], tenant: str, wanted: CopyQuery) -> Select[Any]:
    query = query.where(copy.c.tenant == tenant).order_by(copy.c.copy_id)
    for column, values in (
        (copy.c.state, wanted.states),
        (copy.c.offer_id, wanted.offer_ids),
        (copy.c.copy_id, wanted.copy_ids),
    ):
        if values:
            query = query.where(column.in_(values))
    if wanted.prompt_version is not None:
        query = query.where(copy.c.prompt_version == wanted.prompt_version)
    if wanted.since is not None:
        query = query.where(copy.c.created_at >= wanted.since)
    return query.where(copy.c.copy_id > wanted.cursor) if wanted.cursor else query


def _values(tenant: str, one: StoredCopy) -> dict[str, Any]:
    plain = {name: getattr(one, name) for name in _COLUMNS}
    body = {name: msgspec.to_builtins(getattr(one, name)) for name in _BODY}
    return {"tenant": tenant, **plain, "prompt_version": one.provenance.prompt_version, "body": body}


def _stored(row: RowMapping) -> StoredCopy:
    body, material = row["body"], row.get("material")
    return StoredCopy(
        **{name: row[name] for name in _COLUMNS},
        sections=msgspec.convert(body["sections"], Sections),
        source=body["source"],
        provenance=msgspec.convert(body["provenance"], Provenance),
        report=msgspec.convert(body["report"], CheckReport),
        required_facts=msgspec.convert(body["required_facts"], list[RequiredFact]),
        usage=msgspec.convert(body["usage"], Usage),
        personal=row["profile_id"] is not None,
        material=msgspec.convert(material, Material) if material else None,
    )
