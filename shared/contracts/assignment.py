"""Who is in which arm: a hash of tenant, salt and unit, so that nobody moves and nothing is stored. Pure.

A contract between services: experiments gives out buckets, decisions finds a person's arms without asking for each one,
also while experiments is down.
"""

import hashlib

from shared.contracts.experiments import ActiveAnswer, Arm, AssignAnswer, Assignment, Experiment, RunningExperiment

BUCKETS = 10_000
_SPAN = 2**64


def share(tenant: str, salt: str, unit: str) -> float:
    """A number in [0, 1), uniform over units and independent between salts."""
    raw = hashlib.sha256("\0".join([tenant, salt, unit]).encode()).digest()
    return int.from_bytes(raw[:8], "big") / _SPAN


def bucket(tenant: str, layer: str, unit: str) -> int:
    """The unit's bucket in a layer, 0 to 9,999."""
    return int(share(tenant, f"layer:{layer}", unit) * BUCKETS)


def is_held_out(tenant: str, percent: float, unit: str) -> bool:
    """Is the unit in the holdout? Growing the holdout keeps everybody in it who was."""
    return share(tenant, "holdout", unit) * 100 < percent


def arm_of(tenant: str, experiment: Experiment, unit: str) -> Arm:
    """The unit's arm, by the weights."""
    total = sum(arm.weight for arm in experiment.variants)
    place = share(tenant, f"experiment:{experiment.experiment_key}", unit) * total
    for arm in experiment.variants:
        place -= arm.weight
        if place < 0:
            return arm
    return experiment.variants[-1]


def assign(tenant: str, active: ActiveAnswer, unit: str) -> AssignAnswer:
    """The unit's arms in what runs; somebody held out is in no experiment."""
    holdout = active.holdout
    held = holdout.percent > 0 and is_held_out(tenant, holdout.percent, unit)
    found = [] if held else [one for run in active.experiments if (one := _arm(tenant, run, unit))]
    return AssignAnswer(holdout=held, holdout_active=holdout.percent > 0, holdout_serve=holdout.serve if held else None,
                        assignments=found)  # fmt: skip


def _arm(tenant: str, running: RunningExperiment, unit: str) -> Assignment | None:
    if not running.first_bucket <= bucket(tenant, running.layer, unit) < running.end_bucket:
        return None
    arm, control = arm_of(tenant, running, unit), running.variants[0]
    served = control if arm.key in running.stopped_arms else arm
    return Assignment(experiment_key=running.experiment_key, layer=running.layer, arm=served.key, config=served.config,
                      prompt_version=served.prompt_version, is_control=served.key == control.key)  # fmt: skip
