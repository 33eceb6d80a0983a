"""Rolling a model version out: the plan with its gates and guardrails, approvals, and what happened."""

from typing import Annotated, Literal

import msgspec

from shared.contracts.base import Contract, Timestamp, Value
from shared.contracts.policies import ModelKey
from shared.contracts.training import Actor

Phase = Literal["shadow", "canary", "live", "rejected", "rolled back"]
Gate = Literal["canary", "live"]
Action = Literal["proposed", "shadow passed", "approved", "share raised", "went live", "rejected", "rolled back"]
Reason = Annotated[str, msgspec.Meta(max_length=1000)]
Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=90 * 86_400)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class ShadowGate(Value, frozen=True, kw_only=True):
    """What must hold on the log before anybody is decided for by the new version.

    `least_decisions` of the newest `most_decisions` with their waiting time over must be usable. `value_drop`: by how much
    of the live value the version may earn less; passed when the 95 % interval of the difference lies above, failed when
    below, else more log is waited for, `most_seconds` long. `calibration_error`: expected calibration error at most.
    `scoring_ms`: median milliseconds for all offers at most. `again_seconds`: between two looks.
    """

    least_decisions: Count = 500
    most_decisions: Annotated[int, msgspec.Meta(ge=100, le=50_000)] = 5_000
    value_drop: Part = 0.05
    calibration_error: Part = 0.05
    scoring_ms: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 5.0
    most_seconds: Seconds = 14 * 86_400
    again_seconds: Seconds = 300


class CanaryStep(Value, frozen=True, kw_only=True):
    """Decide for a share of the known people, so long and so often at least."""

    share: Annotated[float, msgspec.Meta(gt=0, le=0.95)]
    least_seconds: Seconds = 3_600
    least_decisions: Count = 1_000


class Guardrails(Value, frozen=True, kw_only=True):
    """What ends a canary at once. `reward_drop`: by how much of the live mean reward the canary's may be lower;
    `dismiss_rise`: by how many dismissals a decision it may be higher: both broken when the always-valid interval at
    `alpha` says so. `degraded_rise`: by how much the share of degraded decisions may be higher. `calibration_error`: of the
    canary, on decisions whose waiting time is over.
    """

    reward_drop: Part = 0.1
    dismiss_rise: Part = 0.02
    degraded_rise: Part = 0.05
    calibration_error: Part = 0.1
    alpha: Annotated[float, msgspec.Meta(ge=0.001, le=0.2)] = 0.05


class RolloutPlan(Contract, kw_only=True):
    """How versions of a model go live. `approvals_canary`, `approvals_live`: how many different people must agree before."""

    model_key: ModelKey
    shadow: ShadowGate = ShadowGate()
    canary: Annotated[list[CanaryStep], msgspec.Meta(min_length=1, max_length=10)] = msgspec.field(
        default_factory=lambda: [CanaryStep(share=0.05), CanaryStep(share=0.25), CanaryStep(share=0.5)]
    )
    guardrails: Guardrails = Guardrails()
    approvals_canary: Annotated[int, msgspec.Meta(ge=0, le=2)] = 0
    approvals_live: Annotated[int, msgspec.Meta(ge=0, le=2)] = 0


class ProposeVersion(Contract, kw_only=True):
    """Start the roll-out of a version."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    by: Actor
    reason: Reason = ""


class ApproveRollout(Contract, kw_only=True):
    """Agree that the version may go on: to its `canary` (while in shadow) or `live` (while in canary)."""

    gate: Gate
    by: Actor
    reason: Reason = ""


class RollBack(Contract, kw_only=True):
    """End the roll-out: what was live before decides again."""

    by: Actor
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Measured(Contract, kw_only=True):
    """A figure of a gate or guardrail with its interval and its bound. `passed` null: it cannot be told yet."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    passed: bool | None = None
    note: str = ""


class Approval(Contract, kw_only=True):
    """Who agreed to what."""

    gate: Gate
    actor: str
    time: Timestamp
    reason: str


class RolloutStep(Contract, kw_only=True):
    """One step of a roll-out: who, when, why, by which figures; afterwards the version is in `phase` with `share`."""

    number: int
    time: Timestamp
    actor: str
    action: Action
    phase: Phase
    share: float
    reason: str
    figures: list[Measured] = []


class RolloutState(Contract, kw_only=True):
    """A roll-out: where it stands, what it waits for, what happened. `told`: decisions know of it.

    `live_version` decides for everybody else, `before` did when the version went live.
    """

    model_key: str
    number: int
    version: int
    phase: Phase
    share: float
    step: int
    since: Timestamp
    waiting: str
    passed: bool
    before: int | None
    live_version: int | None
    told: bool
    plan: RolloutPlan
    approvals: list[Approval]
    history: list[RolloutStep]
