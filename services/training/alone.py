"""Work that one process at a time does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


@asynccontextmanager
async def alone(engine: AsyncEngine, what: str) -> AsyncIterator[bool]:
    """True while no other process works on it; a killed one's lock goes with its connection."""
    name = {"name": f"training:{what}"}
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT pg_try_advisory_lock(hashtext(:name))"), name)
        mine = bool(found.scalar_one())
        await connection.commit()
        try:
            yield mine
        finally:
            if mine:
                await connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), name)
                await connection.commit()
