"""Batches that are planned already: items and texts without people, profiles or decisions behind them."""

import datetime as dt

import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.batches import planning
from services.batches.planning import ItemPlan
from services.batches.repository import BatchRepository, Cursor
from shared.contracts.batches import BatchRequest
from shared.db.engine import transaction


async def planned(
    engine: AsyncEngine, tenant: str, items: int, *, texts: int | None = None, chunk: int = 100, priority: int = 5
) -> str:
    """A running batch of so many items that share so many texts, in chunks of `chunk` texts; its id."""
    batch_id = str(uuid_utils.uuid7())
    request = BatchRequest(offer_ids=["o"], priority=priority, minimum_group=1)
    distinct = [planning.shared_texts(f"offer-{n}", "email", "en", []) for n in range(texts or items)]
    rows = [
        ItemPlan(f"p{n}", "email", distinct[n % len(distinct)][0].offer_id, texts=distinct[n % len(distinct)])
        for n in range(items)
    ]
    async with transaction(engine) as connection:
        repository = BatchRepository(connection)
        await repository.add(tenant, batch_id, request, "planning", dt.datetime.now(dt.UTC))
        stored = await repository.lease_plan(tenant, batch_id, dt.datetime.now(dt.UTC))
        assert stored
        assert await repository.add_page(tenant, stored, rows, items, Cursor(done=True))
        await repository.choose_texts(tenant, batch_id, 1)
        chosen = await repository.chosen_texts(tenant, batch_id)
        await repository.begin(tenant, batch_id, planning.chunked(chosen, tokens=10**12, most=chunk))
    return batch_id
