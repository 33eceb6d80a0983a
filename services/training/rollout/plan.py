"""What a plan allows and what is due next. Pure."""

import datetime as dt
from collections.abc import Iterable
from itertools import pairwise

from shared.contracts.base import FieldError
from shared.contracts.rollouts import Approval, Gate, RolloutPlan
from shared.errors import InvalidInputError


def check(plan: RolloutPlan) -> None:
    """Can it be followed?

    Raises:
        InvalidInputError: the shares do not rise, or fewer decisions are read than are needed.
    """
    shares = [step.share for step in plan.canary]
    for n, (before, after) in enumerate(pairwise(shares), 1):
        if after <= before:
            fault = FieldError(field=f"canary[{n}].share", message="must be above the step before it", given=str(after),
                               allowed=f"above {before:g}, up to 0.95")  # fmt: skip
            raise InvalidInputError(f"canary[{n}].share: shares must rise from step to step", errors=[fault])
    gate = plan.shadow
    if gate.least_decisions > gate.most_decisions:
        fault = FieldError(field="shadow.leastDecisions", message="is more than mostDecisions", given=str(gate.least_decisions),
                           allowed=f"up to {gate.most_decisions}")  # fmt: skip
        raise InvalidInputError("shadow.leastDecisions is more than shadow.mostDecisions", errors=[fault])


def needed(plan: RolloutPlan, gate: Gate) -> int:
    """How many people must agree before this gate."""
    return plan.approvals_canary if gate == "canary" else plan.approvals_live


def person(actor: str) -> str:
    """Who is meant: names are compared without capitals and outer blanks."""
    return actor.strip().casefold()


def lacking(plan: RolloutPlan, gate: Gate, approvals: Iterable[Approval]) -> str:
    """Which approvals are missing, in words; empty when enough different people have agreed."""
    count = len({person(one.actor) for one in approvals if one.gate == gate})
    wanted = needed(plan, gate)
    return "" if count >= wanted else f"approvals for {gate}: {count} of {wanted}"


def unripe(plan: RolloutPlan, step: int, since: dt.datetime, now: dt.datetime, decisions: int) -> str:
    """What a canary step still lacks, in words; empty when the next one is due."""
    wanted = plan.canary[step]
    left = wanted.least_seconds - (now - since).total_seconds()
    found = [f"{left:.0f} s"] if left > 0 else []
    found += [f"{decisions} of {wanted.least_decisions} decisions"] if decisions < wanted.least_decisions else []
    return "" if not found else f"share {wanted.share:g}: " + ", ".join(found)
