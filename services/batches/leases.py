"""Queries of who works on what: slots, turns of tenants, leases of chunks, and the ledger's commit."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.batches.models import written
from shared.contracts.approval import Provenance
from shared.contracts.batches import BatchRequest, BatchState
from shared.contracts.generation import Sections
from shared.contracts.profiles import Channel, Fact

# A slot is one row; whoever gets the advisory lock gives slots out, so that two wakers never give the same one twice.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('atelier:batches:slots'))")
_FREE = text(
    """
    SELECT n FROM generate_series(1, :most) n
    WHERE NOT EXISTS (SELECT 1 FROM batches.slot s WHERE s.number = n AND s.until > now()) ORDER BY n
    """
)
# Who waits: tenants with more chunks to do than slots, of those the ones with fewest slots, of those whose turn is longest ago.
_NEXT_TENANT = text(
    """
    WITH waiting AS (
        SELECT c.tenant, count(*) AS n FROM batches.chunk c JOIN batches.batch b USING (tenant, batch_id)
        WHERE b.state = 'running' AND (c.state = 'leased' OR (c.state = 'ready' AND c.not_before <= now())) GROUP BY c.tenant
    ), held AS (SELECT tenant, count(*) AS n FROM batches.slot WHERE until > now() GROUP BY tenant)
    SELECT w.tenant FROM waiting w LEFT JOIN held h USING (tenant) LEFT JOIN batches.turn t USING (tenant)
    WHERE w.n > coalesce(h.n, 0) ORDER BY coalesce(h.n, 0), t.served_at NULLS FIRST, w.tenant LIMIT 1
    """
)
_GIVE = text(
    """
    INSERT INTO batches.slot (number, tenant, owner, until) VALUES (:number, :tenant, :owner, :until)
    ON CONFLICT (number) DO UPDATE SET tenant = excluded.tenant, owner = excluded.owner, until = excluded.until
    """
)
_TURN = text(
    """
    INSERT INTO batches.turn (tenant, served_at) VALUES (:tenant, now())
    ON CONFLICT (tenant) DO UPDATE SET served_at = excluded.served_at
    """
)
_RENEW = text(
    """
    UPDATE batches.slot SET until = now() + make_interval(secs => :seconds)
    WHERE number = :number AND owner = :owner RETURNING number
    """
)
_LEAVE = text("UPDATE batches.slot SET until = now() WHERE number = :number AND owner = :owner")
# Chunks whose owner holds no live slot any more were left behind by a worker that is gone.
_ABANDONED = text(
    """
    UPDATE batches.chunk c SET state = 'ready', owner = NULL WHERE c.state = 'leased'
    AND NOT EXISTS (SELECT 1 FROM batches.slot s WHERE s.owner = c.owner AND s.until > now()) RETURNING c.tenant
    """
)
_LEASE = text(
    """
    UPDATE batches.chunk c SET state = 'leased', owner = :owner, attempts = c.attempts + 1
    FROM (
        SELECT x.tenant, x.batch_id, x.number FROM batches.chunk x JOIN batches.batch b USING (tenant, batch_id)
        WHERE x.tenant = :tenant AND x.state = 'ready' AND x.not_before <= now() AND b.state = 'running'
        ORDER BY b.priority DESC, b.batch_id, x.number LIMIT 1 FOR UPDATE OF x SKIP LOCKED
    ) n
    WHERE c.tenant = n.tenant AND c.batch_id = n.batch_id AND c.number = n.number RETURNING c.batch_id, c.number, c.attempts
    """
)
_MINE = text(
    """
    SELECT 1 FROM batches.chunk WHERE tenant = :tenant AND batch_id = :batch AND number = :number AND owner = :owner
    AND state = 'leased' FOR UPDATE
    """
)
_DONE = text(
    """
    UPDATE batches.chunk SET state = 'done', owner = NULL, done_at = now(), counts = CAST(:counts AS jsonb)
    WHERE tenant = :tenant AND batch_id = :batch AND number = :number
    """
)
_STORE = text(
    """
    UPDATE batches.text t SET status = w.status, reason = w.reason, sections = w.sections, provenance = w.provenance
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
      AS w(text_key text, status text, reason text, sections jsonb, provenance jsonb)
    WHERE t.tenant = :tenant AND t.batch_id = :batch AND t.text_key = w.text_key
    """
)
_FINISHED = text(
    """
    UPDATE batches.batch b SET state = 'done', finished_at = now(), note = ''
    WHERE b.tenant = :tenant AND b.batch_id = :batch AND b.state = 'running'
    AND NOT EXISTS (SELECT 1 FROM batches.chunk c WHERE c.tenant = b.tenant AND c.batch_id = b.batch_id AND c.state <> 'done')
    """
)
# Waiting is no attempt: however long the model is down or a batch is paused, no chunk is given up for it.
_BACK = text(
    """
    UPDATE batches.chunk SET state = 'ready', owner = NULL, attempts = attempts - 1,
      not_before = now() + make_interval(secs => :seconds)
    WHERE tenant = :tenant AND batch_id = :batch AND number = :number AND owner = :owner AND state = 'leased'
    """
)
# One chunk of a batch ends at a time, so that the last one sees that it is the last.
_ONE_BY_ONE = text("SELECT 1 FROM batches.batch WHERE tenant = :tenant AND batch_id = :batch FOR UPDATE")
_STATE = text("SELECT state FROM batches.batch WHERE tenant = :tenant AND batch_id = :batch")


class Work(msgspec.Struct, frozen=True):
    """A text to be written."""

    text_key: str
    offer_id: str
    channel: Channel
    locale: str
    facts: list[Fact]
    profile_id: str | None
    people: int


class Chunk(msgspec.Struct, frozen=True):
    """A leased chunk."""

    batch_id: str
    number: int
    attempts: int
    request: BatchRequest
    works: list[Work]


class Outcome(msgspec.Struct, frozen=True):
    """What became of a text."""

    text_key: str
    status: str
    reason: str | None
    sections: Sections | None
    provenance: Provenance | None


class LeaseRepository:
    """Slots, turns and chunks within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def abandoned(self) -> int:
        """Give back chunks whose workers are gone; how many."""
        return len((await self._connection.execute(_ABANDONED)).all())

    async def give_slots(self, most: int, owner: str, until: dt.datetime) -> list[tuple[int, str]]:
        """Give every free slot to whose turn it is: (slot, tenant). They are theirs until somebody comes or the time is up."""
        await self._connection.execute(_LOCK)
        free = [row.n for row in await self._connection.execute(_FREE, {"most": most})]
        given = []
        for number in free:
            tenant = (await self._connection.execute(_NEXT_TENANT)).scalar_one_or_none()
            if tenant is None:
                break
            await self._connection.execute(_GIVE, {"number": number, "tenant": tenant, "owner": owner, "until": until})
            await self._connection.execute(_TURN, {"tenant": tenant})
            given.append((number, str(tenant)))
        return given

    async def take_slot(self, number: int, tenant: str, asked: str, owner: str, until: dt.datetime) -> bool:
        """Whoever was asked takes the slot; False when it was given to somebody else meanwhile."""
        query = text(
            "UPDATE batches.slot SET owner = :owner, until = :until WHERE number = :number AND tenant = :tenant AND owner = :asked"
        )
        names = {"number": number, "tenant": tenant, "asked": asked, "owner": owner, "until": until}
        return (await self._connection.execute(query, names)).rowcount == 1

    async def renew(self, number: int, owner: str, seconds: float) -> bool:
        """Keep a slot for some seconds more; False when it is somebody else's."""
        names = {"number": number, "owner": owner, "seconds": seconds}
        return (await self._connection.execute(_RENEW, names)).one_or_none() is not None

    async def leave(self, number: int, owner: str) -> None:
        """Give a slot back."""
        await self._connection.execute(_LEAVE, {"number": number, "owner": owner})

    async def lease(self, tenant: str, owner: str) -> Chunk | None:
        """The tenant's next chunk: of the batch of highest priority, the oldest of those; None when none is ready."""
        row = (await self._connection.execute(_LEASE, {"tenant": tenant, "owner": owner})).one_or_none()
        if row is None:
            return None
        query = select(written).where(
            written.c.tenant == tenant, written.c.batch_id == row.batch_id, written.c.chunk == row.number
        )
        rows = (await self._connection.execute(query.order_by(written.c.offer_id, written.c.text_key))).mappings()
        works = [msgspec.convert({name: one[name] for name in Work.__struct_fields__}, Work) for one in rows]
        raw = text("SELECT request FROM batches.batch WHERE tenant = :tenant AND batch_id = :batch")
        request = (await self._connection.execute(raw, {"tenant": tenant, "batch": row.batch_id})).scalar_one()
        return Chunk(row.batch_id, row.number, row.attempts, msgspec.convert(request, BatchRequest), works)

    async def finish(
        self, tenant: str, one: Chunk, owner: str, outcomes: Sequence[Outcome], counts: dict[str, Any]
    ) -> bool:
        """Store a chunk's texts and tick it off, if it is still this owner's; the batch is done with its last chunk."""
        names = {"tenant": tenant, "batch": one.batch_id, "number": one.number, "owner": owner}
        await self._connection.execute(_ONE_BY_ONE, names)
        if (await self._connection.execute(_MINE, names)).one_or_none() is None:
            return False
        rows = msgspec.json.encode([msgspec.to_builtins(outcome) for outcome in outcomes]).decode()
        await self._connection.execute(_STORE, {"tenant": tenant, "batch": one.batch_id, "rows": rows})
        await self._connection.execute(_DONE, {**names, "counts": msgspec.json.encode(counts).decode()})
        await self._connection.execute(_FINISHED, names)
        return True

    async def put_back(self, tenant: str, one: Chunk, owner: str, seconds: float) -> None:
        """Somebody else may do it, after some seconds."""
        names = {"tenant": tenant, "batch": one.batch_id, "number": one.number, "owner": owner, "seconds": seconds}
        await self._connection.execute(_BACK, names)

    async def state(self, tenant: str, batch_id: str) -> BatchState | None:
        """Where a batch stands."""
        found = (await self._connection.execute(_STATE, {"tenant": tenant, "batch": batch_id})).scalar_one_or_none()
        return msgspec.convert(found, BatchState) if found else None
