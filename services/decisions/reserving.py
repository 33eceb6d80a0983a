"""Deciding and logging in one step: no answer leaves that was not written, none that a counter forbids."""

from collections.abc import Callable

from services.decisions import contact, engine, records
from services.decisions.counters import ANY_MARK, CHANGED, Counters, CountersDownError
from services.decisions.counting import Counting, trusted
from services.decisions.inputs import Inputs, Result
from services.decisions.journal import Journal
from services.decisions.records import Entry
from services.decisions.work import Work
from shared.errors import UnavailableError

_ATTEMPTS = 6
_DOWN = "down"
MakeEntry = Callable[[Work, Inputs, Result], Entry]


class Reserving:
    """The counters of a person on the way of a decision."""

    def __init__(self, counters: Counters, counting: Counting, journal: Journal) -> None:
        self._counters = counters
        self._counting = counting
        self._journal = journal

    async def look(self, tenant: str, work: Work, inputs: Inputs) -> None:
        """Put the person's counters that matter now into the inputs, and whether they may be trusted.

        They may not when Redis does not answer, when what is counted is not all that this policy caps, or when it is not
        known who the person is or which day it is for them.
        """
        needed, profile = work.goods.limits.kinds, work.profile
        why, found = "", {}
        inputs.caps_known, inputs.uncounted = True, []
        try:
            work.counted = await self._counting.of(tenant, needed)
            if not trusted(work.counted, needed):
                why = "rebuilding"
            if (needed or work.counted.kinds) and work.met.identified:
                found = await self._counters.read(tenant, profile.profile_id)
        except CountersDownError:
            work.counted, why = self._counting.last(tenant), "unavailable"
        if not work.met.identified or not work.met.local_time:
            why = why or "unattributable"
        now = contact.periods(work.at, profile.time_zone)
        wanted = ("s|",) if why else (*(f"{period}|" for period in now), "s|")
        inputs.counts = {name: count for name, count in found.items() if name.startswith(wanted)}
        work.stale = contact.stale(found, min(work.at, work.now)) if not why else []
        if why and (needed or work.counted.kinds):
            self._withhold(work, inputs, why)

    @staticmethod
    def _withhold(work: Work, inputs: Inputs, why: str) -> None:
        """Nothing that this policy caps is served, and nothing that is counted for another one's sake."""
        kinds = {*work.goods.limits.kinds, *work.counted.kinds}
        inputs.caps_known = False
        inputs.uncounted = sorted({f"{scope}|{name}" for _, scope, name in work.counted.kinds if scope != "s"})
        what = ["offers with a cap are withheld"] if kinds - {contact.RESTS} else []
        blind = why != "unattributable" or not work.met.identified
        what += ["rests after outcomes are not known"] if contact.RESTS in kinds and blind else []
        if what:
            work.lessen(f"counters_{why}: {', '.join(what)}")

    async def logged(self, tenant: str, work: Work, inputs: Inputs, make: MakeEntry) -> tuple[Entry, Result]:
        """Decide, move the counters and log, in one atomic step. When somebody else used up a cap in between, again with the
        counters as they are now; at last without anything that is capped, then with nothing, which can always be logged.

        Raises:
            UnavailableError: neither Redis nor the database takes the log.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                work.again()
                inputs.seed = work.seed
            if attempt == _ATTEMPTS - 2:
                self._withhold(work, inputs, "contested")
            last = attempt == _ATTEMPTS - 1
            if last:
                inputs.contested = list(work.goods.ids)
            result = engine.decide(inputs, work.goods, work.models)
            entry = make(work, inputs, result)
            lost = await self._write(tenant, work, entry, result, ANY_MARK if last else work.counted.mark)
            if not lost:
                return entry, result
            await self._step_back(tenant, work, inputs, lost)
        raise UnavailableError("The decision could not be logged; try again.", retry_after=1)

    async def _step_back(self, tenant: str, work: Work, inputs: Inputs, lost: str) -> None:
        """Make the inputs such that the next attempt can be written."""
        if lost == _DOWN:
            self._withhold(work, inputs, "unavailable")
            return
        if lost == CHANGED:
            self._counting.forget(tenant)
        await self.look(tenant, work, inputs)

    async def _write(self, tenant: str, work: Work, entry: Entry, result: Result, mark: str) -> str:
        goods, person = work.goods, entry.inputs.person
        raw = records.encode(entry)
        shown = [goods.offers[pick.offer] for pick in result.picks]
        now = contact.periods(work.at, person.time_zone)
        moved = contact.moved(work.counted.kinds, goods.limits, shown, entry.inputs.channel, now)
        try:
            return await self._counters.reserve(tenant, person.profile_id, raw, moved, mark, work.stale)
        except CountersDownError:
            # The counters may have moved all the same. Where none had to, the same entry twice in the log is one.
            if moved:
                return _DOWN
            await self._journal.direct(tenant, entry, raw)
            return ""
