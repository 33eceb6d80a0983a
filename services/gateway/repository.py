"""Every query of the gateway."""

import datetime as dt
from collections.abc import Sequence

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.models import api_key


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is stored: never the key itself."""

    key_id: str
    tenant: str
    scopes: list[str]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None

    def is_valid(self, now: dt.datetime) -> bool:
        """Neither revoked nor expired?"""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyRepository:
    """API keys within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(
        self, key_hash: str, key_id: str, tenant: str, scopes: Sequence[str], expires: dt.datetime | None
    ) -> None:
        """Store a key."""
        values = {
            "key_hash": key_hash,
            "key_id": key_id,
            "tenant": tenant,
            "scopes": list(scopes),
            "expires_at": expires,
        }
        await self._connection.execute(insert(api_key).values(values))

    async def find(self, key_hash: str) -> ApiKey | None:
        """The key of this hash."""
        query = select(*[api_key.c[name] for name in ApiKey.__struct_fields__]).where(api_key.c.key_hash == key_hash)
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return ApiKey(**row) if row else None

    async def all(self, tenant: str) -> list[ApiKey]:
        """A tenant's keys, oldest first."""
        query = select(*[api_key.c[name] for name in ApiKey.__struct_fields__]).where(api_key.c.tenant == tenant)
        return [
            ApiKey(**row) for row in (await self._connection.execute(query.order_by(api_key.c.created_at))).mappings()
        ]

    async def revoke(self, tenant: str, key_id: str) -> bool:
        """Revoke a key; False when the tenant has none of this id."""
        query = update(api_key).where(api_key.c.tenant == tenant, api_key.c.key_id == key_id)
        return (await self._connection.execute(query.values(revoked_at=func.now()))).rowcount > 0
