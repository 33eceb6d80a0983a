"""The counters of people in Redis: caps are checked, moved, and the decision logged, in one atomic step.

Counters are trusted only under a mark, which names the life of the Redis server and what is counted. Whoever writes shows
the mark that they know; a restart, a lost data set or another set of counters changes it, and nobody writes until they
know the new one. The script that writes carries the server's run id in its text: Redis forgets scripts when it
restarts, so an answer "no such script" is the restart, noticed by the first write after it, whoever reconnected silently.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import msgspec
from redis.exceptions import NoScriptError, RedisError

from services.decisions.contact import Kind
from services.decisions.stream import STREAM
from shared.clients.redis_store import Breaker, connect, connect_shared

_KEEP_SECONDS = 15 * 86_400
_LOCK_SECONDS = 60
ANY_MARK = "*"
CHANGED = "changed"
# KEYS: person, stream, state. ARGV: mark, tenant, entry, n, n counters to drop, then (counter, limit, increment) each.
# Answers the first counter that would pass its limit, "changed" when the mark is another, or "".
_RESERVE = """
-- RUN
local state = redis.call('HMGET', KEYS[3], 'mark', 'ready')
if ARGV[1] ~= '*' and (state[1] or '') ~= ARGV[1] then return 'changed' end
local first = 5 + tonumber(ARGV[4])
if first <= #ARGV and state[2] ~= '1' then return 'changed' end
for i = first, #ARGV, 3 do
  local now = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
  if now + tonumber(ARGV[i + 2]) > tonumber(ARGV[i + 1]) then return ARGV[i] end
end
local forever = false
for i = first, #ARGV, 3 do
  redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 2])
  if string.sub(ARGV[i], 1, 2) == 'l|' then forever = true end
end
if first <= #ARGV then
  if forever then redis.call('PERSIST', KEYS[1])
  elseif redis.call('TTL', KEYS[1]) ~= -1 or redis.call('HLEN', KEYS[1]) == (#ARGV - first + 1) / 3 then
    redis.call('EXPIRE', KEYS[1], KEEP)
  end
end
for i = 5, first - 1 do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('XADD', KEYS[2], '*', 't', ARGV[2], 'e', ARGV[3])
return ''
""".replace("KEEP", str(_KEEP_SECONDS))

# KEYS: person. ARGV: (field, time) each; a later time that is there already stays.
_REST = """
for i = 1, #ARGV, 2 do
  if tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0') < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('PERSIST', KEYS[1])
return 0
"""
# KEYS: state, lock. ARGV: token, seconds, the mark as it is, the new mark, kinds. 1 when the counters may be made.
_BEGIN = """
if (redis.call('HGET', KEYS[1], 'mark') or '') ~= ARGV[3] then return 0 end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'EX', ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'mark', ARGV[4], 'kinds', ARGV[5], 'ready', '0')
return 1
"""
# KEYS: person, lock. ARGV: token, seconds, (counter, value) each. 0 when somebody else makes the counters by now.
_REFILL = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('EXPIRE', KEYS[2], ARGV[2])
local forever = redis.call('TTL', KEYS[1]) == -1
for i = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  if string.sub(ARGV[i], 1, 2) == 'l|' then forever = true end
end
if forever then redis.call('PERSIST', KEYS[1]) else redis.call('EXPIRE', KEYS[1], KEEP) end
return 1
""".replace("KEEP", str(_KEEP_SECONDS))
# KEYS: state, lock. ARGV: token, the new mark ("" leaves the counters unready).
_END = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'mark', ARGV[2], 'ready', '1') end
return 1
"""


class CountersDownError(Exception):
    """Redis does not answer; nothing is known of the effect."""


class Counted(msgspec.Struct, frozen=True):
    """What is counted for a tenant now, under which mark, and whether the counters may be trusted."""

    mark: str = ""
    kinds: frozenset[Kind] = frozenset()
    ready: bool = False


def _bad(error: Exception) -> CountersDownError:
    return CountersDownError(f"{type(error).__name__}: {error}")


class Counters:
    """Counters of every tenant.

    Args:
        url: the Redis server.
        seconds: how long it may take to answer before decisions go on without it.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._redis = connect_shared(url, seconds)
        self._patient = connect(url)  # for making counters again, which no request waits for
        self.breaker = Breaker(self._redis)
        self._rest = self._redis.register_script(_REST)
        self._begin = self._patient.register_script(_BEGIN)
        self._end = self._patient.register_script(_END)
        self._life: tuple[str, str] | None = None  # (the server's run id, the script that writes under it)

    @staticmethod
    def _person(tenant: str, profile_id: str) -> str:
        return f"atelier:{tenant}:contact:{profile_id}"

    @staticmethod
    def _state(tenant: str) -> str:
        return f"atelier:{tenant}:contact-state"

    async def life(self) -> tuple[str, str]:
        """The server's run id and the sha of the script that writes while it runs."""
        if self._life is None:
            run = await self._run_id()
            script = await self._redis.script_load(_RESERVE.replace("RUN", run))
            if await self._run_id() != run:
                raise CountersDownError("Redis restarted just now")
            self._life = run, str(script)
        return self._life

    async def _run_id(self) -> str:
        return str((await self._redis.info("server"))["run_id"])

    async def counted(self, tenant: str) -> Counted:
        """What is counted for this tenant.

        Raises:
            CountersDownError: Redis does not answer.
        """
        try:
            with self.breaker:
                run, _ = await self.life()
                wanted = self._redis.hmget(self._state(tenant), ["mark", "kinds", "ready"])
                mark, kinds, ready = await cast(Any, wanted)
        except (RedisError, OSError) as error:
            raise _bad(error) from error
        if mark is None:
            return Counted()
        listed = msgspec.json.decode(kinds, type=list[Kind])
        return Counted(mark.decode(), frozenset(listed), ready == b"1" and mark.startswith(f"{run}:".encode()))

    async def read(self, tenant: str, profile_id: str) -> dict[str, int]:
        """A person's counters.

        Raises:
            CountersDownError: Redis does not answer.
        """
        try:
            with self.breaker:
                found = await cast(Any, self._redis.hgetall(self._person(tenant, profile_id)))
        except (RedisError, OSError) as error:
            raise _bad(error) from error
        return {name.decode(): int(value) for name, value in found.items()}

    async def reserve(
        self, tenant: str, profile_id: str, entry: bytes, moved: Mapping[str, tuple[int, int]], mark: str,
        stale: Sequence[str] = (),
    ) -> str:  # fmt: skip
        """Move the counters and log the decision, or do nothing: "" when done, `CHANGED` when the mark is another (never
        for `ANY_MARK`), else the counter that stands at its limit. Counters in `stale` are dropped.

        Raises:
            CountersDownError: Redis does not answer; it may have moved the counters and logged the entry all the same.
        """
        args: list[Any] = [mark, tenant, entry, len(stale), *stale]
        for name, (limit, increment) in moved.items():
            args += [name, limit, increment]
        keys = [self._person(tenant, profile_id), STREAM, self._state(tenant)]
        try:
            with self.breaker:
                _, script = await self.life()
                return cast(bytes, await cast(Any, self._redis.evalsha(script, 3, *keys, *args))).decode()
        except NoScriptError:
            self._life = None
            return CHANGED
        except (RedisError, OSError) as error:
            raise _bad(error) from error

    async def rest(self, tenant: str, profile_id: str, until: Mapping[str, int]) -> None:
        """Let offers or categories rest until times (epoch seconds); a later time that is there already stays.

        Raises:
            CountersDownError: Redis does not answer.
        """
        try:
            with self.breaker:
                args = [part for pair in until.items() for part in pair]
                await cast(Any, self._rest(keys=[self._person(tenant, profile_id)], args=args))
        except (RedisError, OSError) as error:
            raise _bad(error) from error

    async def begin(self, tenant: str, token: str, known: Counted, mark: str, kinds: Collection[Kind]) -> bool:
        """From now on everybody counts these kinds, and moves none of their counters until `end`. False when somebody
        else is at it, or was since `known` was read.
        """
        args: list[Any] = [token, _LOCK_SECONDS, known.mark, mark, msgspec.json.encode(sorted(kinds))]
        return bool(await cast(Any, self._begin(keys=[self._state(tenant), self._lock(tenant)], args=args)))

    def _lock(self, tenant: str) -> str:
        return f"{self._state(tenant)}:lock"

    async def refill(self, tenant: str, token: str, people: Sequence[tuple[str, Mapping[str, int]]]) -> bool:
        """Set these people's counters; False when somebody else makes them by now, and nothing more may be set."""
        script = await self._patient.script_load(_REFILL)
        async with self._patient.pipeline(transaction=False) as pipe:
            for profile_id, fields in people:
                args = [part for pair in fields.items() for part in pair]
                pipe.evalsha(
                    script, 2, self._person(tenant, profile_id), self._lock(tenant), token, _LOCK_SECONDS, *args
                )
            done = await pipe.execute()
        return all(done)

    async def end(self, tenant: str, token: str, mark: str) -> bool:
        """The counters are made ("" for the mark: given up); False when somebody else makes them by now."""
        keys = [self._state(tenant), self._lock(tenant)]
        return bool(await cast(Any, self._end(keys=keys, args=[token, mark])))

    async def erase(self, tenant: str, profile_id: str) -> None:
        """Remove a person's counters."""
        await self._redis.delete(self._person(tenant, profile_id))

    async def keep_model(self, tenant: str, space: str, body: bytes) -> None:
        """The learnt state, for processes that start."""
        with self.breaker:
            await self._redis.set(f"atelier:{tenant}:bandit:{space}", body)

    async def model(self, tenant: str, space: str) -> bytes | None:
        """The learnt state as last kept."""
        with self.breaker:
            return cast("bytes | None", await self._redis.get(f"atelier:{tenant}:bandit:{space}"))

    async def check(self) -> str:
        """Health: "ok" when Redis answers."""
        await cast(Any, self._redis.ping())
        return "ok"

    async def close(self) -> None:
        """Close the pools."""
        self.breaker.close()
        await self._redis.aclose()
        await self._patient.aclose()


def fits(raw: bytes | None, kind: type[Any]) -> Any:
    """Decoded, or None for what is missing or damaged."""
    try:
        return None if raw is None else msgspec.msgpack.decode(raw, type=kind)
    except msgspec.DecodeError:
        return None
