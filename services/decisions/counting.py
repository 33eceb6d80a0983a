"""What is counted for a tenant, whether the counters may be trusted, and making them again from the log."""

import asyncio
import datetime as dt
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions import contact
from services.decisions.contact import Kind, Limits
from services.decisions.counters import Counted, Counters
from services.decisions.journal import Journal
from services.decisions.repository import DecisionRepository
from services.decisions.reward_repository import RewardRepository
from shared.contracts.catalog import Offer
from shared.db.engine import transaction

Wanted = Callable[[str], Awaitable[tuple[frozenset[Kind], dict[str, Offer]]]]
_PEOPLE = 500
_RECENT = dt.timedelta(days=9)
_FIRST = dt.datetime(2, 1, 1, tzinfo=dt.UTC)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_NO_LIMITS = Limits({})

log = structlog.get_logger()


class Counting:
    """One state per tenant, as this process last saw it.

    Args:
        engine: the database that holds the log.
        counters: the counters.
        journal: brings the log into the database.
        wanted: what a tenant's policy and the arms of its experiments cap, and the offers by id.
    """

    def __init__(self, engine: AsyncEngine, counters: Counters, journal: Journal, wanted: Wanted) -> None:
        self._engine = engine
        self._counters = counters
        self._journal = journal
        self._wanted = wanted
        self._known: dict[str, Counted] = {}
        self._making: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, tuple[float, float]] = {}

    async def of(self, tenant: str, needed: Collection[Kind]) -> Counted:
        """What is counted now; asked again, and made, while it is not all that is needed.

        Raises:
            CountersDownError: Redis does not answer.
        """
        known = self._known.get(tenant)
        if known is None or not trusted(known, needed):
            known = self._known[tenant] = await self._counters.counted(tenant)
            if not trusted(known, needed):
                self._make(tenant, frozenset(needed))
        return known

    def last(self, tenant: str) -> Counted:
        """As last seen, when Redis cannot be asked."""
        return self._known.get(tenant, Counted())

    def forget(self, tenant: str) -> None:
        """Ask Redis the next time."""
        self._known.pop(tenant, None)

    async def close(self) -> None:
        """Wait for what is being made."""
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    def _make(self, tenant: str, needed: frozenset[Kind]) -> None:
        """In the background, with pauses after failures; decisions go on without capped offers meanwhile."""
        running = self._making.get(tenant)
        until, _ = self._failed.get(tenant, (0.0, 0.0))
        if (running is None or running.done()) and time.monotonic() >= until:
            self._making[tenant] = asyncio.create_task(self._make_now(tenant, needed))

    async def _make_now(self, tenant: str, needed: frozenset[Kind]) -> None:
        try:
            await self.make(tenant, needed)
            self._failed.pop(tenant, None)
        except Exception as error:  # a failure of any kind is tried again, later each time
            _, pause = self._failed.get(tenant, (0.0, _FIRST_PAUSE / 2))
            pause = min(2 * pause, _LONGEST_PAUSE)
            self._failed[tenant] = time.monotonic() + pause, pause
            log.warning("decisions.counters_wait", tenant=tenant, kind=type(error).__name__, detail=str(error)[:200],
                        seconds=pause)  # fmt: skip

    async def make(self, tenant: str, needed: frozenset[Kind] = frozenset()) -> bool:
        """Make a tenant's counters again from the log; False when somebody else is at it.

        From `begin` on nobody moves a counter, so what is read from the log afterwards is all there is; whoever takes
        longer than the lock holds is told so at the next write and leaves everything to the one who took over.
        """
        known = await self._counters.counted(tenant)
        kinds, offers = await self._wanted(tenant)
        kinds |= needed | (known.kinds if known.ready else frozenset())
        run, _ = await self._counters.life()
        token = secrets.token_hex(8)
        if not await self._counters.begin(tenant, token, known, f"{run}:{token}:making", kinds):
            return False
        mark = ""
        try:
            await self._journal.drain()
            people = await self._refill(tenant, token, kinds, offers)
            mark = f"{run}:{token}" if people is not None else ""
        finally:
            done = await self._counters.end(tenant, token, mark)
        log.info("decisions.counters_made", tenant=tenant, people=people, kinds=len(kinds), done=done)
        return bool(mark) and done

    async def _refill(self, tenant: str, token: str, kinds: frozenset[Kind], offers: dict[str, Offer]) -> int | None:
        """How many people have counters now; None when somebody else took over."""
        forever = any(window == "lifetime" for window, _, _ in kinds)
        since = _FIRST if forever else dt.datetime.now(dt.UTC) - _RECENT
        count = 0
        batch: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        async with transaction(self._engine) as connection:
            async for row in DecisionRepository(connection).served(tenant, since):
                if row.profile_id not in batch and len(batch) >= _PEOPLE:
                    if not await self._counters.refill(tenant, token, list(batch.items())):
                        return None
                    count += len(batch)
                    batch.clear()
                # An offer that is gone is no member of any collection any more, but counts as itself.
                shown = [offers.get(key) or _gone(key) for key in row.offers]
                now = contact.periods(row.time, row.time_zone)
                for field, (_, by) in contact.moved(kinds, _NO_LIMITS, shown, row.channel, now).items():
                    batch[row.profile_id][field] += by
            if not await self._counters.refill(tenant, token, list(batch.items())):
                return None
            async for row in RewardRepository(connection).rests(tenant, int(time.time())):
                await self._counters.rest(tenant, row.profile_id, row.rests)
        return count + len(batch)


def trusted(counted: Counted, needed: Collection[Kind]) -> bool:
    """May what is needed be read from the counters now?"""
    if not counted.mark:
        return not needed
    return counted.ready and contact.covered(needed, counted.kinds)


def _gone(offer_id: str) -> Offer:
    return Offer(offer_id=offer_id, name=offer_id, start_date=_FIRST, end_date=_FIRST)
