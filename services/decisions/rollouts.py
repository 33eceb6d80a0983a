"""Which scorers a policy's name stands for, and who is decided for by a challenger. Pure.

A roll-out as it is pinned keeps only what decides: `share` is 1 in the challenger's arm and 0 in the other, so that
raising the share of traffic pins nothing anew.
"""

from collections.abc import Sequence

import msgspec

from shared.contracts.assignment import share
from shared.contracts.policies import Rollout

CANARY, LIVE = "canary", "live"


def named(scorer: str, rollouts: Sequence[Rollout]) -> Rollout | None:
    """The roll-out that a policy's scorer names."""
    return next((one for one in rollouts if one.model_key == scorer), None)


def is_challenged(tenant: str, rollout: Rollout, unit: str) -> bool:
    """Does the challenger decide for this person? Raising the share keeps everybody in who was."""
    return bool(rollout.challenger) and share(tenant, f"rollout:{rollout.salt}", unit) < rollout.share


def fixed(rollout: Rollout, *, challenged: bool) -> Rollout:
    """The roll-out of one arm, with nothing in it that does not decide."""
    running = bool(rollout.challenger) and rollout.share > 0
    challenger = rollout.challenger if running else ""
    names = {rollout.live, rollout.previous, challenger}
    return msgspec.structs.replace(
        rollout, challenger=challenger, share=float(challenged and running), salt="",
        digests={name: value for name, value in rollout.digests.items() if name in names},
    )  # fmt: skip


def order(scorer: str, rollouts: Sequence[Rollout]) -> list[tuple[str, str]]:
    """(scorer, digest it must have, empty for any) in the order in which they are tried."""
    rollout = named(scorer, rollouts)
    if rollout is None:
        return [(scorer, "")]
    first = [rollout.challenger] if rollout.share > 0 else []
    names = dict.fromkeys(name for name in [*first, rollout.live, rollout.previous] if name)
    return [(name, rollout.digests.get(name, "")) for name in names]


def arm(scorer: str, rollouts: Sequence[Rollout]) -> dict[str, str]:
    """What the log says of a roll-out in which a challenger decides for some: `SCORER:canary` or `SCORER:live`."""
    rollout = named(scorer, rollouts)
    if rollout is None or not rollout.challenger:
        return {}
    return {"rollout": label(rollout.challenger, CANARY if rollout.share > 0 else LIVE)}


def label(challenger: str, name: str) -> str:
    """How the log names an arm."""
    return f"{challenger}:{name}"
