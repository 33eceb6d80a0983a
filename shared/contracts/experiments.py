"""Experiments: arms as changes of the decision policy, a holdout that never ends, readouts that may be looked at any time."""

from typing import Annotated, Any, Literal

import msgspec

from shared.contracts.base import Contract, FieldError, Id, Tag, Timestamp, Value

Status = Literal["draft", "running", "stopped"]
Metric = Tag


class Arm(Value, frozen=True, kw_only=True):
    """One arm. `config`: a JSON merge patch (RFC 7386) on the decision policy; `prompt_version`: the copy to serve."""

    key: Id
    weight: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    config: dict[str, Any] = {}
    prompt_version: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class Guardrail(Value, frozen=True, kw_only=True):
    """A metric that must not get worse: `direction` is the harmful one, `threshold` the relative change tolerated."""

    metric: Metric
    direction: Literal["increase", "decrease"]
    threshold: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0


class Experiment(Contract, kw_only=True):
    """An experiment. The first variant is the control. Experiments of one layer never share a person."""

    experiment_key: Id
    layer: Tag = "default"
    hypothesis: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    primary_metric: Metric = "reward"
    guardrail_metrics: Annotated[list[Guardrail], msgspec.Meta(max_length=10)] = []
    variants: Annotated[list[Arm], msgspec.Meta(min_length=2, max_length=20)]
    traffic_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 100.0
    status: Status = "draft"
    stopped_arms: list[str] = []


class ExperimentList(Contract, kw_only=True):
    """All experiments of a tenant."""

    experiments: list[Experiment]


class HoldoutSettings(Contract, kw_only=True):
    """The share of people who always get the baseline: a random eligible offer, or nothing."""

    percent: Annotated[float, msgspec.Meta(ge=0, le=50)] = 0.0
    serve: Literal["random", "nothing"] = "random"


class RunningExperiment(Experiment, kw_only=True):
    """An experiment with the buckets of its layer that it was given: [first, end) of 10,000."""

    first_bucket: int
    end_bucket: int


class ActiveAnswer(Contract, kw_only=True):
    """What runs now: all that is needed to say who is in which arm (see `assignment`)."""

    holdout: HoldoutSettings
    experiments: list[RunningExperiment]


class AssignRequest(Contract, kw_only=True):
    """Which arms is this unit (a profile id) in?"""

    unit: Id


class Assignment(Contract, kw_only=True):
    """One arm of one experiment; a stopped arm's people get the control."""

    experiment_key: str
    layer: str
    arm: str
    config: dict[str, Any]
    prompt_version: str | None
    is_control: bool


class AssignAnswer(Contract, kw_only=True):
    """A unit's arms; somebody held out is in none. `holdout_active`: this tenant holds somebody out."""

    holdout: bool
    holdout_active: bool
    holdout_serve: str | None
    assignments: list[Assignment]


class Observation(Contract, kw_only=True):
    """One thing measured on a unit. `exposure` says it took part; `covariate` is its value before the experiment (CUPED)."""

    experiment_key: Id
    unit: Id
    arm: Id
    metric: Metric
    value: float
    time: Timestamp
    idempotency_key: Id


class ObservationBatch(Contract, kw_only=True):
    """Up to 1,000 observations."""

    observations: Annotated[list[Observation], msgspec.Meta(min_length=1, max_length=1000)]


class ObservationsStored(Contract, kw_only=True):
    """What was new, known before, or refused by index."""

    stored: int
    duplicates: int
    rejected: int
    errors: list[FieldError]


class ArmReadout(Contract, kw_only=True):
    """One arm's figures for one metric: units exposed, mean per unit (after CUPED where there is a covariate)."""

    metric: str
    arm: str
    units: int
    mean: float | None


class Comparison(Contract, kw_only=True):
    """An arm against the control. All intervals hold at any number of looks; null before there is enough data."""

    metric: str
    arm: str
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    incremental_value: float | None
    incremental_low: float | None
    incremental_high: float | None
    variance_reduction: float
    significant: bool


class SampleRatio(Contract, kw_only=True):
    """Are the arms as large as they should be? `p_value` may be looked at any time; `ok` false below 0.001."""

    expected: dict[str, float]
    observed: dict[str, int]
    p_value: float
    ok: bool


class GuardrailState(Contract, kw_only=True):
    """Has a guardrail broken for an arm, and why."""

    metric: str
    arm: str
    broken: bool
    reason: str


class Readout(Contract, kw_only=True):
    """What an experiment says so far."""

    experiment_key: str
    status: str
    stopped_arms: list[str]
    arms: list[ArmReadout]
    comparisons: list[Comparison]
    srm: SampleRatio
    guardrails: list[GuardrailState]
    notes: list[str]
