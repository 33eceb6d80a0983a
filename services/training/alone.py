"""One at a time over all processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


@asynccontextmanager
async def alone(engine: AsyncEngine, name: str) -> AsyncIterator[bool]:
    """True while no other process is in a block of this name; a killed one's lock goes with its connection."""
    named = {"name": f"training:{name}"}
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT pg_try_advisory_lock(hashtext(:name))"), named)
        mine = bool(found.scalar_one())
        await connection.commit()
        try:
            yield mine
        finally:
            if mine:
                await connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), named)
                await connection.commit()
