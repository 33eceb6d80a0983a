"""What decisions does beside answering: the journal, learning, default rewards, effects that did not work at first."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions.effects import Effects
from services.decisions.journal import Journal
from services.decisions.learning import Learner
from services.decisions.outcomes import OutcomeService
from services.decisions.repository import DecisionRepository
from services.decisions.settings import DecisionsSettings
from shared.db.engine import transaction
from shared.web.background import every

_FAILED = "decisions.tending_failed"

log = structlog.get_logger()


class Tending:
    """The background work of one process; every part of it may run in several processes at once."""

    def __init__(
        self, journal: Journal, learner: Learner, rewarding: OutcomeService, effects: Effects, engine: AsyncEngine,
        own: DecisionsSettings,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._learner = learner
        self._rewarding = rewarding
        self._effects = effects
        self._engine = engine
        self._own = own

        # The journal's comes last: settling waits for it.
        self.quiet = [*(asyncio.Lock() for _ in range(3)), journal.writing]

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """The loops; each runs until cancelled, which may be done inside of `quiet`."""
        telling, learning, settling, _ = self.quiet
        return [
            self._journal.run(),
            self._journal.watch(),
            every(self._own.decisions_learn_seconds, self._effects.again, _FAILED, telling),
            every(self._own.decisions_learn_seconds, self._learner.learn, _FAILED, learning),
            every(self._own.decisions_settle_seconds, self._settle, _FAILED, settling),
        ]

    async def _settle(self) -> None:
        async with transaction(self._engine) as connection:
            tenants = await DecisionRepository(connection).waiting_tenants()
        for tenant in tenants:
            try:
                await self._rewarding.settle(tenant, None)
            except Exception as error:  # one tenant's trouble leaves no other one without rewards
                log.warning(_FAILED, tenant=tenant, kind=type(error).__name__, detail=str(error)[:200])
