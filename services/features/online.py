"""Features in Redis: read in one round trip, computed anew from an entity's records where events or time changed them."""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import numpy as np
import redis.asyncio as redis
from redis.exceptions import RedisError

from services.features import kernel, packing, scripts
from services.features.errors import OnlineStoreDownError
from services.features.plan import EntityPlan
from services.features.tenants import Epoch, TenantState, state_of
from shared.contracts.features import Entity
from shared.contracts.stream import STREAM

_LETTER: dict[Entity, str] = {"profile": "p", "offer": "o", "product": "i", "category": "c", "brand": "b"}
_STATE_SECONDS = 1.0
_CLOCK_MS = 2000  # an erasure holds for what the database, whose clock may be ahead, says was stored so much later
_CHUNK = 500
_LOCK_SECONDS = 60


def microseconds(at: dt.datetime) -> int:
    """A moment in microseconds since 1970."""
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


class OnlineStore:
    """The keys of every tenant.

    Args:
        url: the Redis server.
        seconds: how long it may take to answer.
    """

    def __init__(self, url: str, seconds: float = 2.0) -> None:
        self.redis = redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds)
        self._states: dict[str, tuple[float, TenantState]] = {}
        self._layouts: dict[tuple[str, Entity], packing.Layout] = {}
        names = ("APPLY", "READ", "KEEP", "FILL", "BEGIN", "FIX", "SWAP", "ABORT", "FORGET", "HOLD", "RELEASE")
        self._scripts = {name: self.redis.register_script(getattr(scripts, name)) for name in names}

    async def run(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script of `scripts`.

        Raises:
            OnlineStoreDownError: Redis does not answer.
        """
        return await _answered(cast(Any, self._scripts[name](keys=keys, args=args)))

    @staticmethod
    def key(tenant: str, name: str) -> str:
        """A tenant's key that belongs to no entity."""
        return f"atelier:{tenant}:features:{name}"

    @staticmethod
    def member(entity: Entity, name: str) -> str:
        """An entity's part of its key."""
        return f"{_LETTER[entity]}:{name}"

    @classmethod
    def entity(cls, tenant: str, epoch: int, entity: Entity, name: str) -> str:
        """An entity's key."""
        return f"atelier:{tenant}:features:{epoch}:{_LETTER[entity]}:{name}"

    async def state(self, tenant: str, *, again: bool = False) -> TenantState:
        """What serves for a tenant; remembered for a second, unless asked `again`."""
        known = self._states.get(tenant)
        if known is not None and not again and time.monotonic() - known[0] < _STATE_SECONDS:
            return known[1]
        found = await _answered(cast(Any, self.redis.hgetall(self.key(tenant, "state"))))
        state = state_of(found)
        self._states[tenant] = time.monotonic(), state
        return state

    async def read(
        self, tenant: str, entity: Entity, ids: Sequence[str], at: dt.datetime | None
    ) -> tuple[Epoch | None, kernel.FloatArray]:
        """(what serves, the features of every id, shape (ids, features)) as of `at`, left out: now."""
        moment = microseconds(at) if at else time.time_ns() // 1000
        for again in (False, True):
            live = (await self.state(tenant, again=again)).live
            if live is None and not again:
                continue
            if live is None:
                break
            layout = self._layout(live, entity)
            keys = [self.entity(tenant, live.number, entity, name) for name in ids]
            raw = await self.run("READ", [self.key(tenant, "state"), *keys], [live.number, layout.size])
            if int(raw[0] or 0) == live.number:
                return live, await self._values(live, layout, keys, raw[1:], moment, keep=at is None)
        return None, np.empty((len(ids), 0))

    async def _values(
        self, live: Epoch, layout: packing.Layout, keys: list[str], raw: list[bytes], moment: int, *, keep: bool
    ) -> kernel.FloatArray:
        values, stale = layout.read(raw, moment)
        if stale:
            await self._compute(live, layout.plan, [keys[i] for i in stale], values, stale, moment, keep=keep)
        return layout.aged(values, moment)

    def _layout(self, live: Epoch, entity: Entity) -> packing.Layout:
        key = live.plan.version, entity
        if key not in self._layouts:
            self._layouts[key] = packing.Layout(live.plan.of(entity), live.plan.version)
        return self._layouts[key]

    async def _compute(
        self, live: Epoch, plan: EntityPlan, keys: list[str], values: kernel.FloatArray, rows: Any, moment: int,
        *, keep: bool,
    ) -> None:  # fmt: skip
        """Compute from the records; what was asked for as of now is kept for the next reader."""
        raw = await _answered(cast(Any, self.redis.mget(keys)))
        kept_keys, kept = [], []
        for row, key, body in zip(rows, keys, raw, strict=True):
            records = packing.records(plan, body or b"")
            values[row] = kernel.vector(plan, records, moment, kept=True)
            if keep and body:
                since, until = kernel.valid(plan, records, moment)
                kept_keys.append(key)
                kept += [len(body), packing.head(plan, live.plan.version, since, until, values[row])]
        if kept_keys:
            await self.run("KEEP", kept_keys, kept)

    async def forget(self, tenant: str, profile_id: str) -> int:
        """Remove a person's keys, and pass over what the stream still holds of the person; how many keys there were."""
        keys = [self.key(tenant, "state"), self.key(tenant, "forgotten")]
        prefix = self.key(tenant, "")[:-1]
        return int(await self.run("FORGET", keys, [prefix, self.member("profile", profile_id), _CLOCK_MS]))

    async def drop_epoch(self, tenant: str, epoch: int) -> None:
        """Remove every key of an epoch that serves no more."""
        pattern = f"atelier:{tenant}:features:{epoch}:*"
        cursor = 0
        while True:
            cursor, keys = await _answered(cast(Any, self.redis.scan(cursor, match=pattern, count=2000)))
            if keys:
                await _answered(cast(Any, self.redis.unlink(*keys)))
            if not cursor:
                return

    async def fill(
        self, tenant: str, epoch: Epoch, entity: Entity, bodies: Iterable[tuple[str, bytes]], taken_at: int
    ) -> int:
        """Write the keys of an epoch that is being computed; how many. `taken_at`: its snapshot, epoch milliseconds.

        Raises:
            OnlineStoreDownError: Redis does not answer, or another computation has begun.
        """
        own = [self.key(tenant, name) for name in ("state", "aside", "forgotten")]
        size, count, part = packing.head_size(epoch.plan.of(entity)), 0, list(bodies)
        for start in range(0, len(part), _CHUNK):
            chunk = part[start : start + _CHUNK]
            keys = [self.entity(tenant, epoch.number, entity, name) for name, _ in chunk]
            args = [epoch.number, taken_at, size, *(body for _, body in chunk)]
            if await self.run("FILL", [*own, *keys], args) == -1:
                raise OnlineStoreDownError("another computation of the features has begun")
            count += len(chunk)
        return count

    @asynccontextmanager
    async def lock(self, tenant: str, run_id: str) -> AsyncIterator[bool]:
        """Only one run computes a tenant's features: did this one get the lock? It is held until the block is left,
        and for a minute at most after the process died.
        """
        key = self.key(tenant, "lock")
        taken = bool(await _answered(cast(Any, self.redis.set(key, run_id, nx=True, ex=_LOCK_SECONDS))))

        async def hold() -> None:
            while True:
                await asyncio.sleep(_LOCK_SECONDS / 4)
                with contextlib.suppress(OnlineStoreDownError):
                    await self.run("HOLD", [key], [run_id, _LOCK_SECONDS])

        holding = asyncio.create_task(hold()) if taken else None
        try:
            yield taken
        finally:
            if holding is not None:
                holding.cancel()
                await self.run("RELEASE", [key], [run_id])

    async def check(self) -> str:
        """Health: "ok" when Redis answers."""
        await cast(Any, self.redis.ping())
        return "ok"

    async def close(self) -> None:
        """Close the pool."""
        await self.redis.aclose()


async def _answered(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as error:
        message = f"The online features cannot be reached ({type(error).__name__})."
        raise OnlineStoreDownError(message, retry_after=2) from error


def stream_keys(tenant: str) -> list[str]:
    """The keys that APPLY wants first."""
    return [OnlineStore.key(tenant, "state"), STREAM, *(OnlineStore.key(tenant, n) for n in ("forgotten", "aside")),
            "atelier:features:offsets"]  # fmt: skip
