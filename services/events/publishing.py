"""Accepted events into the stream, none lost: what a transaction stores is announced in the same transaction.

After the commit the events are sent and the announcement is removed a little later. A sweeper sends what nobody removed:
the process died between commit and sending, the stream was full or away, or its server started anew and may have forgotten
the newest messages. A message sent twice is counted once (see features). What waited for minutes is not sent any more:
the tenant's features are computed anew from the table.
"""

import time
from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.events.packing import packed
from services.events.repository import EventRepository, Unpublished
from shared.clients.stream import STREAM_ERRORS, Stream
from shared.clients.tasks import TaskSender
from shared.contracts.events import Event
from shared.contracts.tasks import MaterialiseFeatures
from shared.db.engine import transaction

log = structlog.get_logger()

_SETTLED_SECONDS = 5.0  # longer than a server may lose of what it confirmed (appendfsync everysec)
_ORPHANED_SECONDS = 10.0
_STALE_SECONDS = 300.0  # well below the time for which features remembers which messages it counted
_REBUILD_SECONDS = 60.0
_MOST = 500


class Publisher:
    """Sends events, and sweeps.

    Args:
        engine: the database.
        stream: where to.
        tasks: asks for features anew when messages came to be too old.
    """

    def __init__(self, engine: AsyncEngine, stream: Stream, tasks: TaskSender | None) -> None:
        self._engine = engine
        self._stream = stream
        self._tasks = tasks
        self._sent: dict[int, float] = {}
        self._server: str | None = None
        self._rebuilt = -_REBUILD_SECONDS

    async def publish(self, tenant: str, number: int, stored_at: int, events: Sequence[Event]) -> None:
        """Send what was just committed; a failure is left to the sweeper and never the caller's."""
        try:
            if await self._send(tenant, number, stored_at, events):
                self._sent[number] = time.monotonic()
        except Exception as error:
            log.warning("events.not_published", kind=type(error).__name__, detail=str(error)[:200])

    async def _send(self, tenant: str, number: int, stored_at: int, events: Sequence[Event]) -> bool:
        for message in packed(tenant, number, stored_at, events):
            if not await self._stream.send(message):
                return False
        return True

    async def sweep(self) -> None:
        """Remove what is in the stream, send what is not; as long as there is much to remove."""
        if not await self._same_server():
            self._sent.clear()
        while await self._round() == _MOST:
            pass
        await self._give_up()
        # What another process removed would stay here for ever.
        ends = time.monotonic() - 2 * _STALE_SECONDS
        self._sent = {number: at for number, at in self._sent.items() if at > ends}

    async def _round(self) -> int:
        """One look; how many were removed."""
        async with transaction(self._engine) as connection:
            repository = EventRepository(connection)
            waiting = await repository.unpublished(_SETTLED_SECONDS, _STALE_SECONDS, _MOST)
            done = [row.transaction for row in waiting if row.transaction in self._sent]
            await repository.published(done)
            for row in waiting:
                if row.transaction not in self._sent and row.age > _ORPHANED_SECONDS:
                    await self._send_again(repository, row)
        for number in done:
            self._sent.pop(number, None)
        return len(done)

    async def _give_up(self) -> None:
        """Remove what is too old to be sent, and ask for its tenants' features anew; once a minute at most."""
        if self._tasks is None or time.monotonic() - self._rebuilt < _REBUILD_SECONDS:
            return
        async with transaction(self._engine) as connection:
            tenants = await EventRepository(connection).given_up(_STALE_SECONDS)
            for tenant in tenants:  # before the commit: asked for twice is better than never
                self._tasks.send(MaterialiseFeatures(tenant=tenant, request_id="events-sweep", asked_at=time.time()))
        if tenants:
            self._rebuilt = time.monotonic()

    async def _send_again(self, repository: EventRepository, row: Unpublished) -> None:
        events = await repository.stored_by(row.tenant, row.transaction, row.stored_at)
        await self.publish(row.tenant, row.transaction, int(row.stored_at * 1000), events)
        log.info("events.published_again", tenant=row.tenant, events=len(events))

    async def _same_server(self) -> bool:
        try:
            server = await self._stream.server()
        except STREAM_ERRORS:
            return True  # nothing can be said, and nothing can be sent
        same = self._server in {None, server}
        self._server = server
        return same
