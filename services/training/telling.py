"""Telling decisions which scorers decide: what is written down here is said until they know it."""

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.training.rollout_repository import RolloutRepository
from shared.clients.decisions import DecisionsClient
from shared.db.engine import transaction
from shared.errors import AtelierError

log = structlog.get_logger()


async def tell(engine: AsyncEngine, decisions: DecisionsClient, tenant: str, model_key: str) -> bool:
    """Tell decisions what they do not know yet; False when they did not take it: it is told again at the next look."""
    async with transaction(engine) as connection:
        found = await RolloutRepository(connection, tenant).delivery(model_key)
    if found is None or found[2]:
        return True
    body, revision, _ = found
    try:
        await decisions.put_rollout(body)
    except AtelierError as error:
        log.warning(
            "training.decisions_not_told", model_key=model_key, kind=type(error).__name__, detail=error.detail[:200]
        )
        return False
    async with transaction(engine) as connection:
        await RolloutRepository(connection, tenant).told(model_key, revision)
    return True
