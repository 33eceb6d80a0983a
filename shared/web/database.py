"""A service's database as its app needs it: engine, lifespan, health check."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from sqlalchemy import text

from shared.db.engine import create_engine
from shared.settings import Settings


class Database:
    """The engine of one app; connections are opened at the first use, closed when the app stops."""

    def __init__(self, settings: Settings) -> None:
        self.engine = create_engine(settings.database_url, pool_size=settings.database_pool_size)

    @asynccontextmanager
    async def lifespan(self, _: Litestar) -> AsyncIterator[None]:
        """Closes the pool at the end."""
        yield
        await self.engine.dispose()

    async def check(self) -> str:
        """Health: "ok" when the database answers."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return "ok"
