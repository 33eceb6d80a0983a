"""What things are worth: policies from the log, and stored copy by metrics and judges."""

from typing import Annotated, Any, Literal

import msgspec

from shared.contracts.approval import CopyState
from shared.contracts.base import Contract, Id, Page, Timestamp

DeterministicMetric = Literal[
    "claim_support", "personal_facts", "no_forbidden_facts", "attribute_recall", "conformance", "image_match", "diversity",
    "non_llm_string_similarity", "rouge_score", "chrf_score", "semantic_similarity", "non_llm_context_recall",
    "non_llm_context_precision",
]  # fmt: skip
JudgeMetric = Literal["verdict", "faithfulness", "answer_relevancy", "context_precision", "context_recall"]
MetricName = DeterministicMetric | JudgeMetric
RunState = Literal["queued", "running", "done", "cancelled", "failed"]
Stage = Literal["selecting", "deterministic", "corpus", "calibration", "judge", "closing"]
Basis = Literal["person", "record"]


class OffPolicyRequest(Contract, kw_only=True):
    """What would this policy have earned in [start, end)? `policy`: a JSON merge patch on the policy that was live.

    `reward`: the objective (0 or 1 an item), or the value of conversions in the policy's currency.
    """

    start: Timestamp
    end: Timestamp
    policy: dict[str, Any] = {}
    reward: Literal["objective", "value"] = "objective"
    max_decisions: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 20_000
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0


class ValueEstimate(Contract, kw_only=True):
    """One estimator's answer with its 95 % interval; `refused` says why there is none."""

    name: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    standard_error: float | None
    effective_sample_size: float
    max_weight: float
    refused: str | None


class OffPolicyAnswer(Contract, kw_only=True):
    """The candidate's value beside what was really earned. `first_slot`: a decision's first item; `slates`: all items."""

    decisions: int
    skipped: dict[str, int]
    baseline_first_slot: float | None
    baseline_slate: float | None
    first_slot: list[ValueEstimate]
    slates: list[ValueEstimate]
    notes: list[str]


class Gate(Contract, kw_only=True):
    """A bound that the mean of a metric must hold."""

    metric: MetricName
    op: Literal[">=", ">", "<=", "<"] = ">="
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]


class GateResult(Contract, kw_only=True):
    """A gate and what became of it. `passed` null: the metric is a judge's that may not gate; `note` says why."""

    metric: MetricName
    op: Literal[">=", ">", "<=", "<"]
    threshold: float
    value: float | None
    passed: bool | None
    note: str | None = None


class EvaluationRequest(Contract, kw_only=True):
    """Evaluate stored copy: every given condition must hold; of more than `limit` pieces a sample is drawn by `seed`.

    `metrics` empty: all that need no judge, with `judge` those of the judge too. The judge's metrics need `judge`.
    """

    states: list[CopyState] = []
    offer_ids: Annotated[list[Id], msgspec.Meta(max_length=500)] = []
    prompt_version: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    since: Timestamp | None = None
    metrics: Annotated[list[MetricName], msgspec.Meta(max_length=50)] = []
    judge: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 500
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    gates: Annotated[list[Gate], msgspec.Meta(max_length=50)] = []


class Progress(Contract, kw_only=True):
    """How far a run is. `done` of `total` counts the metrics of its samples, one by one.

    The other figures are of the stage the run is in (in `calibration` a unit is a question to the judge): units a second,
    seconds left, null while nothing can be said.
    """

    stage: Stage
    samples: int | None
    done: int
    total: int | None
    stage_done: int
    stage_total: int | None
    rate: float | None
    seconds_left: float | None


class EvaluationCost(Contract, kw_only=True):
    """What the judge cost: calls, tokens and seconds of calls; `cached` answers cost none. `price` by the settings' prices."""

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    price: float | None = None
    currency: str | None = None


class Agreement(Contract, kw_only=True):
    """A judge's metric against the labels: share equal, Cohen's kappa with its 95 % bootstrap interval, test-retest.

    An abstention is a verdict of its own that equals no label. `retest`: share of items judged the same when asked again.
    """

    items: int
    abstained: dict[str, int]
    agreement: float
    kappa: float
    kappa_low: float
    kappa_high: float
    retest: float
    may_gate: bool


class Calibration(Contract, kw_only=True):
    """How a judge does on the labelled set. `position_bias`: share of pairs whose better one changes with their order."""

    model: str
    version: str
    set_version: str
    needed_kappa: float
    metrics: dict[str, Agreement]
    pairs: int
    pairs_abstained: dict[str, int]
    position_bias: float | None
    created_at: Timestamp


class CalibrationList(Contract, kw_only=True):
    """Every judge that was calibrated, newest first."""

    calibrations: list[Calibration]


class MetricSummary(Contract, kw_only=True):
    """One metric over the samples of a run: mean with a 95 % bootstrap interval, both null when nothing was scored.

    `abstained` and `errors`: reason -> samples. `basis`: what the reference was -> samples. `gates`: may it stop anything?
    """

    metric: MetricName
    kind: Literal["deterministic", "judge"]
    version: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    abstained: dict[str, int]
    errors: dict[str, int]
    basis: dict[str, int]
    gates: bool
    note: str | None = None


class EvaluationRun(Contract, kw_only=True):
    """An evaluation and how far it is. Summaries have intervals once it has ended. `figures`: of all samples together."""

    run_id: str
    state: RunState
    request: EvaluationRequest
    progress: Progress
    cost: EvaluationCost
    summaries: list[MetricSummary]
    figures: dict[str, float]
    gates: list[GateResult]
    judge: Calibration | None
    notes: list[str]
    problem: str | None
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None


class EvaluationRuns(Page, kw_only=True):
    """A page of runs, newest first."""

    runs: list[EvaluationRun]


class SampleResult(Contract, kw_only=True):
    """One metric of one piece of copy: a value in [0, 1], or the reason why there is none."""

    sample_id: str
    metric: MetricName
    value: float | None
    status: Literal["ok", "abstained", "error"]
    reason: str | None
    basis: Basis | None


class EvaluationResults(Page, kw_only=True):
    """A page of results in the order of sample and metric."""

    results: list[SampleResult]


class ResultQuery(Contract, kw_only=True):
    """Which results of a run."""

    metric: MetricName | None = None
    status: Literal["ok", "abstained", "error"] | None = None
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200


class ForgetResults(Contract, kw_only=True):
    """Delete everything that was found out about these pieces of copy (service-internal; erasure)."""

    copy_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=500)]


class ResultsForgotten(Contract, kw_only=True):
    """How many results and kept scores went."""

    rows: int
