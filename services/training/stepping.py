"""One step of a roll-out within one transaction: the stage of the version, the roll-out, its row, what decisions are told."""

from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.training.moving import move_on, now, settle
from services.training.repository import TrainingRepository
from services.training.rollout_repository import RolloutRepository, Running
from shared.contracts.rollouts import Action, Measured, Phase, RolloutStep
from shared.contracts.training import MoveStage, Stage

ITSELF = "atelier"


class Move(msgspec.Struct, frozen=True):
    """What is done, where the roll-out stands afterwards, why, by which figures, by whom; `share` of traffic from then on."""

    action: Action
    phase: Phase
    reason: str
    figures: list[Measured] = []
    share: float = 0.0
    actor: str = ITSELF
    values: dict[str, Any] = {}


async def take(connection: AsyncConnection, tenant: str, one: Running, move: Move) -> None:
    """Take a step of a roll-out whose row is locked.

    Raises:
        WrongStageError: the version does not stand where the roll-out says.
    """
    rollouts = RolloutRepository(connection, tenant)
    values: dict[str, Any] = {"phase": move.phase, "share": move.share, "waiting": "", **move.values}
    if move.action in {"share raised", "went live"}:
        values["since"] = now()
    if move.action == "went live":
        values["before"] = await TrainingRepository(connection).live(tenant, one.model_key)
    for number, stage in _stages(one, move):
        reason = move.reason[:1000] or move.action
        await move_on(connection, tenant, one.model_key, number, MoveStage(to=stage, by=move.actor, reason=reason))
    await rollouts.change(one, **values)
    step = RolloutStep(number=0, time=now(), actor=move.actor, action=move.action, phase=move.phase, share=move.share,
                       reason=move.reason[:1000], figures=move.figures)  # fmt: skip
    await rollouts.add_step(one, step)
    await settle(connection, tenant, one.model_key, rolled_back=one.phase == "live")


def _stages(one: Running, move: Move) -> list[tuple[int, Stage]]:
    """(version, stage it goes to) of a step."""
    if move.action == "went live":
        return [(one.version, "live")]
    if move.action == "share raised" and one.phase == "shadow":
        return [(one.version, "canary")]
    if move.action == "rolled back" and one.phase == "live":
        # What goes live retires what is.
        return [(one.version, "retired")] if one.before is None else [(one.before, "live")]
    return [(one.version, "retired")] if move.action in {"rejected", "rolled back"} else []
