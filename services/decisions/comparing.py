"""How scorers in roll-out do: what each arm earned, and how long one takes. Off the decision path."""

import datetime as dt
from collections.abc import Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions import rollouts
from services.decisions.arm_repository import ArmRepository
from services.decisions.policies import PolicyService
from services.decisions.records import Entry
from services.decisions.reward_repository import RewardRepository
from shared.contracts.policies import ArmFigures, Arms, ArmsQuery, LogStart, ScorerTiming
from shared.db.engine import transaction

_MOST = 100_000


class CompareService:
    """Compares."""

    def __init__(self, engine: AsyncEngine, policies: PolicyService) -> None:
        self._engine = engine
        self._policies = policies

    async def arms(self, tenant: str, query: ArmsQuery) -> Arms:
        """Both arms of a roll-out since a time, as far as the log is in the database (less than a second behind)."""
        names = [rollouts.label(query.challenger, arm) for arm in (rollouts.CANARY, rollouts.LIVE)]
        async with transaction(self._engine) as connection:
            repository, rewarding = ArmRepository(connection), RewardRepository(connection)
            sums = await repository.sums(tenant, names, query.since)
            found = []
            for name in names:
                newest = await repository.newest(tenant, name, query.since, query.sample)
                ripe = [entry for due, entry in newest if due <= dt.datetime.now(dt.UTC)]
                rewards = await rewarding.rewards(tenant, [entry.id for entry in ripe])
                found.append(
                    ArmFigures(**sums.get(name, {}), sampled=len(newest), pairs=list(_pairs(ripe, rewards)),
                               degraded=sum(bool(entry.degraded) for _, entry in newest))
                )  # fmt: skip
        return Arms(canary=found[0], live=found[1])

    async def timing(self, tenant: str, scorer: str) -> ScorerTiming:
        """How long a scorer takes for all live offers.

        Raises:
            BadModelError: it is not stored, or cannot be used.
        """
        return await self._policies.timed(tenant, scorer)

    async def start(self, tenant: str, decisions: int, before: dt.datetime) -> LogStart:
        """From when on the log has so many decisions before a time."""
        async with transaction(self._engine) as connection:
            found = await ArmRepository(connection).start(tenant, min(max(decisions, 1), _MOST), before)
        return LogStart(start=found[0], decisions=found[1])


def _pairs(
    entries: Iterable[Entry], rewards: Mapping[tuple[str, int], tuple[float, float]]
) -> Iterable[tuple[float, float]]:
    """(propensity, reward) of every item that was picked by the scorer."""
    for entry in entries:
        for slot, item in enumerate(entry.items):
            if not item.pick.fallback:
                yield item.propensity, rewards.get((entry.id, slot), (0.0, 0.0))[0]
