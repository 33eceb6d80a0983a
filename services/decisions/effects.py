"""What follows elsewhere from decisions and outcomes: rests in Redis, exposures and metrics in experiments.

Each is noted as not done in the transaction that stores its cause, done after the commit, and done again until it worked,
by whichever process comes first. Every one of them changes nothing when it is repeated, so the effect is exactly once.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions.counters import Counters, CountersDownError
from services.decisions.observing import Observer, observations
from services.decisions.policies import PolicyService
from services.decisions.records import Entry
from services.decisions.repository import DecisionRepository
from services.decisions.reward_repository import RewardRepository
from services.decisions.rewarding import StoredOutcome
from shared.contracts.experiments import Observation
from shared.db.engine import transaction

_BATCH = 500


class Effects:
    """Does what is not done."""

    def __init__(self, engine: AsyncEngine, counters: Counters, observer: Observer, policies: PolicyService) -> None:
        self._engine = engine
        self._counters = counters
        self._observer = observer
        self._policies = policies

    async def of(self, tenant: str, rows: Sequence[StoredOutcome], entries: Mapping[str, Entry]) -> None:
        """What follows from these outcomes; what does not work now is left for `again`."""
        waiting = [row for row in rows if not row.done]
        told: list[Observation] = []
        for row in waiting:
            entry = entries.get(row.decision_id)
            if entry is not None and entry.experiments:
                terms = await self._policies.terms(tenant, entry.versions["all"])
                told += observations(entry, row, terms.policy.reward)
        known = not told or await self._observer.tell(tenant, told)
        done = []
        for row in waiting:
            entry = entries.get(row.decision_id)
            resting = await self._rest(tenant, row, entry)
            if resting and (known or entry is None or not entry.experiments):
                done.append(row.idempotency_key)
        if done:
            async with transaction(self._engine) as connection:
                await RewardRepository(connection).done(tenant, done)

    async def _rest(self, tenant: str, row: StoredOutcome, entry: Entry | None) -> bool:
        if not row.rests or entry is None:
            return True
        try:
            await self._counters.rest(tenant, entry.inputs.person.profile_id, row.rests)
        except CountersDownError:
            return False
        return True

    async def again(self) -> None:
        """Everything that did not work before, of every tenant; also after a restart."""
        async with transaction(self._engine) as connection:
            untold = await DecisionRepository(connection).untold(_BATCH)
            undone = await RewardRepository(connection).undone(_BATCH)
        for tenant in {tenant for tenant, _ in untold}:
            mine = [(owner, entry) for owner, entry in untold if owner == tenant]
            if await self._observer.exposed(mine):
                async with transaction(self._engine) as connection:
                    await DecisionRepository(connection).told([(owner, entry.id) for owner, entry in mine])
        for tenant, rows in undone.items():
            async with transaction(self._engine) as connection:
                ids = list({row.decision_id for row in rows})
                entries = await DecisionRepository(connection).entries(tenant, ids)
            await self.of(tenant, rows, entries)
