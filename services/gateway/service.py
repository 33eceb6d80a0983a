"""The use cases of the gateway itself: keys, limits, idempotency."""

import datetime as dt
import hashlib
import re
import time
from collections.abc import Sequence
from typing import cast

import msgspec
import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.errors import (
    IdempotencyMismatchError,
    InProgressError,
    InvalidKeyError,
    MissingScopeError,
    RateLimitedError,
)
from services.gateway.keys import SCOPES, hash_of, key_id_of, new_key
from services.gateway.repository import ApiKey, KeyRepository
from services.gateway.settings import GatewaySettings
from shared.clients.redis_store import Breaker
from shared.db.engine import transaction
from shared.errors import InvalidInputError, NotFoundError, UnavailableError
from shared.telemetry import DEGRADED

_TENANT = re.compile(r"^[a-z0-9][a-z0-9\-_]{0,62}$")
_IDEMPOTENCY_KEY = re.compile(r"^[\x21-\x7e]{1,200}$")
_PENDING_SECONDS = 120
_MAX_CACHE = 10_000

log = structlog.get_logger()


class StoredAnswer(msgspec.Struct):
    """An answer kept by idempotency key; status 0 while it is being worked on."""

    fingerprint: str
    status: int
    content_type: str
    body: bytes


class KeyService:
    """Who may do what. Keys are remembered for seconds, so that a request costs no query."""

    def __init__(self, engine: AsyncEngine, own: GatewaySettings) -> None:
        self._engine = engine
        self._own = own
        self._seen: dict[str, tuple[float, ApiKey | None]] = {}

    async def create(self, tenant: str, scopes: Sequence[str], expires: dt.datetime | None = None) -> str:
        """A new key, to be shown once.

        Raises:
            InvalidInputError: the tenant's name or a scope is wrong.
        """
        if not _TENANT.match(tenant):
            message = f"tenant {tenant!r}: lower-case letters, digits, - and _, at most 63"
            raise InvalidInputError(message)
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            message = f"scopes {', '.join(unknown) or 'none'}: give some of {', '.join(SCOPES)}"
            raise InvalidInputError(message)
        key = new_key()
        async with transaction(self._engine) as connection:
            await KeyRepository(connection).add(hash_of(key), key_id_of(key), tenant, scopes, expires)
        return key

    async def all(self, tenant: str) -> list[ApiKey]:
        """A tenant's keys."""
        async with transaction(self._engine) as connection:
            return await KeyRepository(connection).all(tenant)

    async def revoke(self, tenant: str, key_id: str) -> None:
        """Revoke a key; it stops working within seconds.

        Raises:
            NotFoundError: the tenant has none of this id.
        """
        async with transaction(self._engine) as connection:
            if not await KeyRepository(connection).revoke(tenant, key_id):
                message = f"tenant {tenant!r} has no key {key_id!r}"
                raise NotFoundError(message)
        self._seen.clear()

    async def authenticate(self, key: str | None, scope: str | None) -> ApiKey:
        """The key's record.

        Raises:
            InvalidKeyError: none given, unknown, expired or revoked.
            MissingScopeError: the key may not do this.
        """
        if not key:
            raise InvalidKeyError("Send an API key: Authorization: Bearer atl_...")
        digest = hash_of(key)
        checked, known = self._seen.get(digest, (0.0, None))
        if time.monotonic() - checked > self._own.gateway_key_cache_seconds:
            async with transaction(self._engine) as connection:
                known = await KeyRepository(connection).find(digest)
            if len(self._seen) >= _MAX_CACHE:
                self._seen.clear()
            self._seen[digest] = (time.monotonic(), known)
        if known is None or not known.is_valid(dt.datetime.now(dt.UTC)):
            raise InvalidKeyError("This API key is unknown, expired or revoked.")
        if scope and scope not in known.scopes:
            message = f"This key lacks the scope {scope!r}; it has {', '.join(known.scopes)}."
            raise MissingScopeError(message)
        return known


class LimitService:
    """Requests a minute by key, in windows of a minute. Without Redis nothing is limited, and that is counted."""

    def __init__(self, client: redis.Redis, own: GatewaySettings) -> None:
        self._redis = client
        self._breaker = Breaker(client)
        self._limit = own.gateway_requests_per_minute

    async def take(self, key_id: str) -> dict[str, str]:
        """Count one request; the RateLimit headers of the answer.

        Raises:
            RateLimitedError: the minute's requests are used up.
        """
        now = time.time()
        window, left_seconds = int(now // 60), 60 - int(now % 60)
        name = f"atelier:limit:{key_id}:{window}"
        try:
            with self._breaker:
                used = await self._redis.incr(name)
                if used == 1:
                    await self._redis.expire(name, 120)
        except RedisError as error:
            DEGRADED.labels("gateway", "rate_limit").inc()
            log.warning("gateway.limit_unavailable", kind=type(error).__name__)
            return {}
        if used > self._limit:
            message = f"{self._limit} requests a minute are allowed with this key; try again in {left_seconds} s."
            raise RateLimitedError(message, retry_after=left_seconds)
        return {"ratelimit-limit": str(self._limit), "ratelimit-remaining": str(self._limit - used),
                "ratelimit-reset": str(left_seconds)}  # fmt: skip

    def close(self) -> None:
        """Stop looking for a Redis that went."""
        self._breaker.close()


class IdempotencyService:
    """One effect for one idempotency key and tenant: the first answer is kept and given again."""

    def __init__(self, client: redis.Redis, own: GatewaySettings) -> None:
        self._redis = client
        self._seconds = own.gateway_idempotency_hours * 3600

    @staticmethod
    def fingerprint(method: str, path: str, body: bytes) -> str:
        """What must be the same for a key to be used again."""
        return hashlib.sha256(b"\0".join([method.encode(), path.encode(), body])).hexdigest()

    @staticmethod
    def _name(tenant: str, key: str) -> str:
        if not _IDEMPOTENCY_KEY.match(key):
            raise IdempotencyMismatchError("Idempotency-Key: 1 to 200 visible ASCII characters.")
        return f"atelier:idempotency:{tenant}:{hashlib.sha256(key.encode()).hexdigest()}"

    async def begin(self, tenant: str, key: str, fingerprint: str) -> StoredAnswer | None:
        """The kept answer, or None: then this request is the first and must `finish` or `forget`.

        Raises:
            IdempotencyMismatchError: the key was used with another request.
            InProgressError: the first one is still being worked on.
            UnavailableError: without Redis nobody can promise a single effect.
        """
        name = self._name(tenant, key)
        pending = msgspec.msgpack.encode(StoredAnswer(fingerprint, 0, "", b""))
        try:
            if await self._redis.set(name, pending, nx=True, ex=_PENDING_SECONDS):
                return None
            raw = await self._redis.get(name)
        except RedisError as error:
            message = "Idempotency cannot be promised right now; nothing was done."
            raise UnavailableError(message, retry_after=2) from error
        if raw is None:
            raise InProgressError("The first request with this Idempotency-Key just ended; try again.", retry_after=1)
        kept = msgspec.msgpack.decode(cast(bytes, raw), type=StoredAnswer)
        if kept.fingerprint != fingerprint:
            raise IdempotencyMismatchError("This Idempotency-Key was used with another request.")
        if kept.status == 0:
            raise InProgressError("The first request with this Idempotency-Key is being worked on.", retry_after=1)
        return kept

    async def finish(self, tenant: str, key: str, answer: StoredAnswer) -> None:
        """Keep the answer."""
        await self._redis.set(self._name(tenant, key), msgspec.msgpack.encode(answer), ex=self._seconds)

    async def forget(self, tenant: str, key: str) -> None:
        """The request failed without effect: it may be tried again with the same key."""
        await self._redis.delete(self._name(tenant, key))
