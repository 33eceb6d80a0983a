"""People as decisions read them, kept in Redis: one packed value a person, dropped before a change is committed.

A change first puts a tombstone in the value's place, inside its transaction, then commits; whoever finds the tombstone
reads the database, and nobody can put an older value back while it stands. So a withdrawn consent holds from the moment
its request is answered. Without Redis reads go to the database, and changes are refused: a value that cannot be dropped
might be believed later.
"""

from collections.abc import Iterable
from typing import Any, cast

import msgspec
from redis.exceptions import RedisError

from services.profiles.repository import StoredFacts
from shared.clients.redis_store import PATIENT_SECONDS, Breaker, connect, connect_shared
from shared.contracts.profiles import Profile
from shared.errors import UnavailableError

_KEEP_SECONDS = 86_400
_TOMBSTONE = b"-"
_TOMBSTONE_SECONDS = 60  # longer than any read of the database that is still under way


class Online(msgspec.Struct):
    """A person and the facts about them."""

    profile: Profile
    facts: StoredFacts | None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Online)


class OnlineProfiles:
    """The cache. Its absence is never an error for a reader.

    Args:
        url: the Redis server.
        seconds: how long a reader waits for it; who changes people is more patient.
    """

    def __init__(self, url: str, seconds: float = PATIENT_SECONDS) -> None:
        self._redis = connect_shared(url, seconds)
        self._patient = connect(url)
        self._breaker = Breaker(self._redis)

    @staticmethod
    def _key(tenant: str, profile_id: str) -> str:
        return f"atelier:{tenant}:profile:{profile_id}"

    async def get(self, tenant: str, profile_id: str) -> Online | None:
        """The person as last read; None when that must come from the database."""
        try:
            with self._breaker:
                raw = cast("bytes | None", await self._redis.get(self._key(tenant, profile_id)))
            return None if raw is None or raw == _TOMBSTONE else _decoder.decode(raw)
        except (RedisError, OSError, msgspec.DecodeError):
            return None

    async def fill(self, tenant: str, found: Iterable[Online]) -> None:
        """Keep who was just read, unless there is something (a tombstone) in their place already."""
        try:
            with self._breaker:
                async with self._redis.pipeline(transaction=False) as pipe:
                    for one in found:
                        key = self._key(tenant, one.profile.profile_id)
                        pipe.set(key, _encoder.encode(one), nx=True, ex=_KEEP_SECONDS)
                    await cast(Any, pipe.execute())
        except (RedisError, OSError):
            return

    async def drop(self, tenant: str, profile_ids: Iterable[str]) -> None:
        """These people change: to be called inside the transaction that changes them.

        Raises:
            UnavailableError: Redis does not answer, so the change must not be made.
        """
        listed = list(profile_ids)
        try:
            for start in range(0, len(listed), 1000):
                async with self._patient.pipeline(transaction=False) as pipe:
                    for profile_id in listed[start : start + 1000]:
                        pipe.set(self._key(tenant, profile_id), _TOMBSTONE, ex=_TOMBSTONE_SECONDS)
                    await cast(Any, pipe.execute())
        except (RedisError, OSError) as error:
            message = "The change could not be made known everywhere, so nothing was changed; try again."
            raise UnavailableError(message, retry_after=2) from error

    async def close(self) -> None:
        """Close the pools."""
        self._breaker.close()
        await self._redis.aclose()
        await self._patient.aclose()
