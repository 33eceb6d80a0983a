"""The contextual models while decisions are made: restored at start, fed from the ledger, kept in Redis, checkpointed."""

import asyncio
import contextlib
import time

import msgspec
import numpy as np
import structlog
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions.assortment import Assortment
from services.decisions.bandit import Bandit, Snapshot
from services.decisions.counters import Counters, fits
from services.decisions.inputs import Models
from services.decisions.reward_repository import RewardRepository
from services.decisions.settings import DecisionsSettings
from shared.db.engine import transaction

_REDIS_SECONDS = 5.0
_PAST = 64

log = structlog.get_logger()


class Learner:
    """One model state per tenant and feature space."""

    def __init__(self, engine: AsyncEngine, counters: Counters, settings: DecisionsSettings) -> None:
        self._engine = engine
        self._counters = counters
        self._settings = settings
        self._states: dict[tuple[str, str], Bandit] = {}
        self._views: dict[tuple[str, str], tuple[str, Assortment, Models]] = {}
        self._kept: dict[tuple[str, str], float] = {}
        self._saved: dict[tuple[str, str], int] = {}
        self._lock = asyncio.Lock()
        self._past: dict[tuple[str, str, int], tuple[Assortment, Models]] = {}

    async def models(self, tenant: str, goods: Assortment) -> Models:
        """The models laid out for these goods."""
        if not goods.policy.learn:
            return Models(None, None, 0, "none")
        key = (tenant, goods.space)
        state = self._states.get(key)
        if state is None:
            state = await self._restore(*key, len(goods.features))
        view = self._views.get(key)
        if view and view[0] == state.version and view[1] is goods:
            return view[2]
        made = lay_out(state, goods)
        self._views[key] = (state.version, goods, made)
        return made

    async def _restore(self, tenant: str, name: str, dimension: int) -> Bandit:
        async with self._lock:
            if (tenant, name) in self._states:
                return self._states[tenant, name]
            kept: Snapshot | None = None
            with contextlib.suppress(RedisError, OSError):
                kept = fits(await self._counters.model(tenant, name), Snapshot)
            async with transaction(self._engine) as connection:
                repository = RewardRepository(connection)
                if kept is None:
                    kept = fits(await repository.checkpoint(tenant, name), Snapshot)
                self._saved[tenant, name] = kept.seq if kept else 0
                state = await _taught(repository, tenant, name, dimension, kept)
            self._states[tenant, name] = state
            return state

    async def at(self, tenant: str, goods: Assortment, version: str) -> Models:
        """The models as they were at a version, made again from the nearest checkpoint and the ledger."""
        if version == "none":
            return Models(None, None, 0, version)
        name, _, number = version.rpartition("@")
        until = int(number)
        async with transaction(self._engine) as connection:
            repository = RewardRepository(connection)
            kept = fits(await repository.checkpoint(tenant, name, until), Snapshot)
            state = await _taught(repository, tenant, name, len(goods.features), kept, until)
        return lay_out(state, goods)

    async def cached_at(self, tenant: str, goods: Assortment, version: str) -> Models:
        """As `at`, remembering the last ones: neighbours in the log were often made with the same."""
        key = (tenant, version, id(goods))
        if key not in self._past:
            if len(self._past) >= _PAST:
                self._past.clear()
            self._past[key] = (goods, await self.at(tenant, goods, version))
        return self._past[key][1]

    async def learn(self, tenant: str | None = None) -> int:
        """Take in what is new in the ledger of the known states; how many lines that was."""
        count = 0
        for (owner, name), state in list(self._states.items()):
            if tenant in {None, owner}:
                count += await self._learn(owner, name, state)
        return count

    async def _learn(self, tenant: str, name: str, state: Bandit) -> int:
        count = 0
        async with transaction(self._engine) as connection:
            repository = RewardRepository(connection)
            while found := await repository.lessons(tenant, name, state.seq, limit=500):
                count += state.fold(found)
                await asyncio.sleep(0)
            due = state.seq - self._saved.get((tenant, name), 0) >= self._settings.decisions_checkpoint_lessons
            if due:
                body = msgspec.msgpack.encode(state.snapshot())
                await repository.save_checkpoint(tenant, name, state.seq, body)
                self._saved[tenant, name] = state.seq
        now = time.monotonic()
        if count and now - self._kept.get((tenant, name), -_REDIS_SECONDS) >= _REDIS_SECONDS:
            self._kept[tenant, name] = now
            with contextlib.suppress(RedisError, OSError):
                await self._counters.keep_model(tenant, name, msgspec.msgpack.encode(state.snapshot()))
        return count


async def _taught(
    repository: RewardRepository,
    tenant: str,
    name: str,
    dimension: int,
    kept: Snapshot | None,
    until: int | None = None,
) -> Bandit:
    """The state that was kept, or an empty one, taught what the ledger holds after it (up to a number)."""
    state = Bandit.restore(kept) if kept and kept.dimension == dimension else Bandit(name, dimension)
    while state.fold(await repository.lessons(tenant, name, state.seq, until)):
        pass
    return state


def lay_out(state: Bandit, goods: Assortment) -> Models:
    """Coefficients (and A^-1, for Thompson sampling) of each offer in the order of the goods; an unseen offer has the prior's."""
    k, d = len(goods.ids), state.dimension
    known = [(n, state.row[key]) for n, key in enumerate(goods.ids) if key in state.row]
    theta = np.zeros((k, d))
    here, there = [n for n, _ in known], [row for _, row in known]
    theta[here] = state.theta[there]
    inverse = None
    if goods.policy.exploration.kind == "thompson":
        inverse = np.tile(np.eye(d), (k, 1, 1))
        inverse[here] = state.inverses()[there]
    return Models(theta, inverse, state.seen, state.version)
