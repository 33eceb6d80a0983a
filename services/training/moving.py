"""Moving a version from stage to stage within one transaction, and what decisions have to be told of it then."""

import datetime as dt

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.training import stages
from services.training.errors import UnknownModelError, WrongStageError
from services.training.repository import TrainingRepository
from services.training.rollout_repository import MOTION, RolloutRepository
from shared.contracts.policies import Rollout
from shared.contracts.rollouts import RolloutStep
from shared.contracts.training import ModelVersion, MoveStage, StageChange


async def by_hand(connection: AsyncConnection, tenant: str, model_key: str, number: int, move: MoveStage) -> None:
    """Move a version as somebody says. A roll-out of it that is in motion ends with that.

    Raises:
        UnknownModelError: this tenant has none.
        WrongStageError: there is no such move from where it stands, or the model's plan says how versions get there.
    """
    rollouts = RolloutRepository(connection, tenant)
    running = await rollouts.newest(model_key, lock=True)
    if move.to in {"canary", "live"} and await rollouts.plan(model_key) is not None:
        message = f"{model_key} {number}: this model has a roll-out plan; propose the version, or roll back"
        raise WrongStageError(message)
    stood = (await known(TrainingRepository(connection), tenant, model_key, number)).stage
    await move_on(connection, tenant, model_key, number, move)
    if running and running.phase in MOTION and running.version == number:
        await rollouts.change(running, phase="rolled back", share=0.0, waiting="")
        step = RolloutStep(number=0, time=now(), actor=move.by, action="rolled back", phase="rolled back", share=0.0,
                           reason=f"moved to {move.to} by hand: {move.reason}")  # fmt: skip
        await rollouts.add_step(running, step)
    await settle(connection, tenant, model_key, rolled_back=(stood, move.to) == ("retired", "live"))


async def move_on(connection: AsyncConnection, tenant: str, model_key: str, number: int, move: MoveStage) -> None:
    """Move a version. One that goes live retires the one before in the same step.

    Raises:
        UnknownModelError: this tenant has none.
        WrongStageError: there is no such move from where it stands.
    """
    repository = TrainingRepository(connection)
    one = await known(repository, tenant, model_key, number)
    was_live = any(step.after == "live" for step in one.history)
    if problem := stages.objection(one.stage, move.to, was_live=was_live):
        message = f"{model_key} {number}: {problem}"
        raise WrongStageError(message)
    if move.to == "live" and (before := await repository.live(tenant, model_key)) is not None:
        other = await known(repository, tenant, model_key, before)
        await repository.move(
            tenant, model_key, before, _step(other, "retired", move.by, f"version {number} goes live")
        )
    await repository.move(tenant, model_key, number, _step(one, move.to, move.by, move.reason))


async def settle(connection: AsyncConnection, tenant: str, model_key: str, *, rolled_back: bool = False) -> None:
    """Write down which scorers decide by where versions and the roll-out stand now, for decisions to be told.

    `rolled_back`: what was live until now is not to be fallen back on.
    """
    repository, rollouts = TrainingRepository(connection), RolloutRepository(connection, tenant)
    number = await repository.live(tenant, model_key)
    live = (await known(repository, tenant, model_key, number)).scorer_id if number is not None else ""
    running = await rollouts.newest(model_key)
    found = await rollouts.delivery(model_key)
    body = Rollout(model_key=model_key, live=live)
    if running and running.phase == "canary":
        version = await known(repository, tenant, model_key, running.version)
        body = msgspec.structs.replace(
            body, challenger=version.scorer_id, share=running.share, salt=f"{model_key}:{running.number}"
        )
    if found and live and not rolled_back:
        before = found[0]
        body = msgspec.structs.replace(body, previous=before.previous if before.live == live else before.live)
    changed = body != found[0] if found else bool(live or body.challenger)
    if changed:
        await rollouts.deliver(body)


async def known(repository: TrainingRepository, tenant: str, model_key: str, number: int) -> ModelVersion:
    """A version, its row locked.

    Raises:
        UnknownModelError: this tenant has none.
    """
    found = await repository.version(tenant, model_key, number, lock=True)
    if found is None:
        message = f"No model {model_key[:80]!r} of version {number}."
        raise UnknownModelError(message)
    return found


def _step(one: ModelVersion, to: str, actor: str, reason: str) -> StageChange:
    values = {"number": len(one.history) + 1, "time": now(), "actor": actor, "before": one.stage, "after": to,
              "reason": reason}  # fmt: skip
    return msgspec.convert(values, StageChange)


def now() -> dt.datetime:
    """In UTC."""
    return dt.datetime.now(dt.UTC)
