"""The versions of models: registered with their cards and scorers, read, moved from stage to stage."""

import asyncio
from typing import TypeVar

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.training import cards, moving, stages, text_adapter
from services.training.errors import UnknownModelError
from services.training.moving import now
from services.training.registry import Registry
from services.training.repository import TrainingRepository
from services.training.telling import tell
from services.training.trained import Order, Trained
from services.training.versions import code_version
from shared.clients.bundle import Clients
from shared.clients.http import RemoteProblemError
from shared.contracts.training import (
    CardAnswer,
    ModelList,
    ModelVersion,
    ModelVersions,
    MoveStage,
    StageChange,
    TrainingRequest,
)
from shared.db.engine import transaction
from shared.errors import UnavailableError

KnownT = TypeVar("KnownT")

log = structlog.get_logger()


class ModelKeeper:
    """Keeps models; what decides is never touched."""

    def __init__(self, engine: AsyncEngine, registry: Registry, clients: Clients) -> None:
        self._engine = engine
        self._registry = registry
        self._clients = clients

    async def register(self, tenant: str, request: TrainingRequest, order: Order, trained: Trained) -> int:
        """Keep a model as the next version, an apprentice; its scorer is there for a policy to name.

        Raises:
            RegistryDownError: the registry or the disk does not take it.
            UnavailableError: decisions do not answer; nothing is kept.
        """
        card = cards.card_of(trained, order, request.objective, code_version(), now())
        made = await asyncio.to_thread(self._registry.record, tenant, card, trained)
        try:
            scorer_id, limits = await self._hand_over(f"{request.model_key}.v{made.version}", trained)
        except UnavailableError:
            await asyncio.to_thread(self._registry.withdraw, tenant, request.model_key, made)
            raise
        line = msgspec.structs.replace(card.lineage, run_id=made.run_id, model_name=made.model_name, version=made.version,
                                       scorer_id=scorer_id)  # fmt: skip
        card = msgspec.structs.replace(card, version=made.version, lineage=line, limits=[*card.limits, *limits])
        first = StageChange(number=1, time=now(), actor=request.requested_by, before=None, after=stages.FIRST,
                            reason=f"trained, {request.trigger}")  # fmt: skip
        async with transaction(self._engine) as connection:
            await TrainingRepository(connection).add_version(tenant, card, stages.FIRST, first)
        log.info("training.registered", model_key=card.model_key, version=made.version, model_hash=trained.hash[:16])
        return made.version

    async def _hand_over(self, scorer_id: str, trained: Trained) -> tuple[str, list[str]]:
        """Store the scorer with decisions: its id, or why they do not take it (a column of a table that no request has)."""
        if trained.scorer is None:
            return "", []
        try:
            await self._clients.decisions.put_scorer(msgspec.structs.replace(trained.scorer, model_id=scorer_id))
        except RemoteProblemError as error:
            return "", [f"decisions do not load it: {error.detail[:300]}"]
        return scorer_id, []

    async def models(self, tenant: str) -> ModelList:
        """All models."""
        async with transaction(self._engine) as connection:
            return ModelList(models=await TrainingRepository(connection).models(tenant))

    async def versions(self, tenant: str, model_key: str) -> ModelVersions:
        """All versions of a model, newest first.

        Raises:
            UnknownModelError: this tenant has none.
        """
        async with transaction(self._engine) as connection:
            found = await TrainingRepository(connection).versions(tenant, model_key)
        if not found:
            message = f"No model {model_key[:80]!r}."
            raise UnknownModelError(message)
        return ModelVersions(versions=found)

    async def version(self, tenant: str, model_key: str, number: int) -> ModelVersion:
        """One version with its history.

        Raises:
            UnknownModelError: this tenant has none.
        """
        async with transaction(self._engine) as connection:
            return _known(await TrainingRepository(connection).version(tenant, model_key, number), model_key, number)

    async def card(self, tenant: str, model_key: str, number: int) -> CardAnswer:
        """A version's card.

        Raises:
            UnknownModelError: this tenant has none.
        """
        async with transaction(self._engine) as connection:
            card = _known(await TrainingRepository(connection).card(tenant, model_key, number), model_key, number)
        return CardAnswer(card=card, markdown=cards.markdown(card))

    async def files(self, tenant: str, model_key: str, number: int) -> dict[str, bytes]:
        """The files of a version, as they were stored.

        Raises:
            UnknownModelError: this tenant has none.
            DamagedModelError: they are not what was stored.
        """
        line = (await self.card(tenant, model_key, number)).card.lineage
        return await asyncio.to_thread(self._registry.files, tenant, model_key, line.run_id)

    async def move(self, tenant: str, model_key: str, number: int, move: MoveStage) -> ModelVersion:
        """Move a version to another stage; decisions are told who decides now, retrieval which adapter words go through. A version
        that goes live retires the one before in the same step.

        Raises:
            UnknownModelError: this tenant has none.
            WrongStageError: there is no such move from where it stands, or the model has a roll-out plan.
            UnavailableError: retrieval, which is to use an adapter, does not answer; nothing is moved.
        """
        objective = (await self.version(tenant, model_key, number)).objective
        files = await self.files(tenant, model_key, number) if (objective, move.to) == ("adapter", "live") else {}
        async with transaction(self._engine) as connection:
            await moving.by_hand(connection, tenant, model_key, number, move)
            if files:
                await self._clients.retrieval.put_adapter(text_adapter.served(model_key, number, files))
            elif objective == "adapter" and await TrainingRepository(connection).live(tenant, model_key) is None:
                await self._clients.retrieval.drop_adapter(model_key)
        await tell(self._engine, self._clients.decisions, tenant, model_key)
        return await self.version(tenant, model_key, number)


def _known(found: KnownT | None, model_key: str, number: int) -> KnownT:
    if found is None:
        message = f"No model {model_key[:80]!r} of version {number}."
        raise UnknownModelError(message)
    return found
