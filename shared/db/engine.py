"""One Postgres, one schema per service: engines, the transaction boundary and raw connections for COPY."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import MetaData
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def service_metadata(service: str) -> MetaData:
    """The metadata of one service's tables, in a schema of the service's name."""
    return MetaData(schema=service, naming_convention=NAMING)


def create_engine(database_url: str, *, pool_size: int = 8) -> AsyncEngine:
    """An async engine for a `postgresql://` URL. Call it inside the event loop's process, after any fork."""
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    return create_async_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True, pool_timeout=5)


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """The one transaction boundary: commits when the block ends, rolls back when it raises.

    A failed COMMIT raises here, before any answer is sent.
    """
    async with engine.begin() as connection:
        yield connection
