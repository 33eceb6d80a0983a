"""Training: jobs that make models, versions of models with their cards, and the stages a version goes through."""

from typing import Annotated, Any, Literal

import msgspec

from shared.contracts.base import Contract, Page, Timestamp
from shared.contracts.policies import ModelKey

Objective = Literal["propensity", "recommendation", "uplift", "value", "bandit", "adapter", "copy"]
Trigger = Literal["schedule", "drift", "manual"]
JobState = Literal["pending", "in progress", "success", "failed", "cancelled"]
Stage = Literal["apprentice", "shadow", "canary", "live", "retired"]
Source = Literal[
    "decisions", "complete-journey", "movielens-100k", "cdnow", "synthetic-uplift", "approved-copy", "table"
]
Actor = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Columns(Contract, kw_only=True):
    """Which columns of a table are what. `features` left out: every column that is nothing else.

    `propensity`: the known chance of treatment, a column or a number in (0, 1); left out it is estimated. `value`: what a
    success earned. `observed_at` and `outcome_at`: when the features held and when the outcome was known.
    """

    outcome: str
    treatment: str | None = None
    entity: str | None = None
    propensity: str | float | None = None
    value: str | None = None
    observed_at: str | None = None
    outcome_at: str | None = None
    source: str | None = None
    features: list[str] = []


class Dataset(Contract, kw_only=True):
    """What to learn from. `decisions`: the tenant's own log with rewards in [start, end); `approved-copy`: the
    tenant's approved and rejected copy; `table`: a file (by command only).

    `hash`: the data must be exactly these, else the job fails.
    """

    source: Source = "decisions"
    start: Timestamp | None = None
    end: Timestamp | None = None
    path: str | None = None
    columns: Columns | None = None
    hash: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16,64}$")] | None = None
    options: dict[str, Any] = {}


class TrainingRequest(Contract, kw_only=True):
    """Train the next version of a model. `trials`: how many settings Optuna may try; `parameters`: fixed ones.

    The same data, code, parameters and seed make the same model, byte for byte.
    """

    model_key: ModelKey
    objective: Objective
    trigger: Trigger = "manual"
    dataset: Dataset = msgspec.field(default_factory=Dataset)
    trials: Annotated[int, msgspec.Meta(ge=0, le=500)] = 20
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    parameters: dict[str, Any] = {}
    requested_by: Actor = "unknown"


class TrainingJob(Contract, kw_only=True):
    """A training job. `problem` says why it failed; `version` is what it made."""

    job_id: str
    model_key: str
    objective: Objective
    trigger: Trigger
    state: JobState
    step: str = ""
    done: int = 0
    total: int = 0
    problem: str | None = None
    version: int | None = None
    created_at: Timestamp
    updated_at: Timestamp
    request: TrainingRequest


class TrainingJobs(Page, kw_only=True):
    """Jobs, newest first."""

    jobs: list[TrainingJob]


class Figure(Contract, kw_only=True):
    """A measured figure on data that training never saw, with a 95 % interval; `baseline`: of the simple rule to be beaten."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    higher_is_better: bool = True
    note: str = ""


class DataStamp(Contract, kw_only=True):
    """Which data a model was made of: their name, SHA-256, counts, and the time they span.

    `learnt_until`: the newest row that it was fitted to; what is later only measured it.
    """

    name: str
    hash: str
    rows: int
    columns: int
    positives: int = 0
    start: Timestamp | None = None
    end: Timestamp | None = None
    learnt_until: Timestamp | None = None


class Lineage(Contract, kw_only=True):
    """From data to what serves: data hash -> run in the registry -> model version -> scorer that decisions loads."""

    data_hash: str
    run_id: str = ""
    model_name: str = ""
    version: int = 0
    model_hash: str = ""
    scorer_id: str = ""


class ModelCard(Contract, kw_only=True):
    """What a model is, what it was made of, how good it is and where it must not be trusted (Mitchell et al. 2019).

    `importance`: mean absolute contribution of each input in log-odds; contributions of one prediction add up to it with
    `attribution_residual` left over at most. `reliability`: (predicted, observed, count) of each bin.
    """

    model_key: str
    version: int = 0
    tenant: str
    objective: Objective
    algorithm: str
    created_at: Timestamp
    code_version: str
    seed: int
    data: DataStamp
    parameters: dict[str, Any]
    figures: list[Figure]
    beats_baseline: bool
    baseline: str
    inputs: list[str] = []
    importance: dict[str, float] = {}
    attribution_residual: float | None = None
    reliability: list[tuple[float, float, int]] = []
    notes: list[str] = []
    limits: list[str] = []
    lineage: Lineage

    def figure(self, name: str) -> Figure | None:
        """A figure by name."""
        return next((one for one in self.figures if one.name == name), None)


class StageChange(Contract, kw_only=True):
    """One step of a version: who, when, why, from where to where."""

    number: int
    time: Timestamp
    actor: str
    before: Stage | None
    after: Stage
    reason: str


class ModelVersion(Contract, kw_only=True):
    """A trained version: where it stands, what it scored, the scorer it is (empty for models that no decision loads)."""

    model_key: str
    version: int
    objective: Objective
    stage: Stage
    model_hash: str
    scorer_id: str
    beats_baseline: bool
    created_at: Timestamp
    figures: list[Figure]
    history: list[StageChange] = []


class ModelVersions(Contract, kw_only=True):
    """All versions of a model, newest first."""

    versions: list[ModelVersion]


class ModelState(Contract, kw_only=True):
    """A model: its currently deployed version, its newest one, its last training job."""

    model_key: str
    objective: Objective
    currently_deployed_model: int | None
    newest_version: int
    last_training_job: JobState | None


class ModelList(Contract, kw_only=True):
    """All models of a tenant."""

    models: list[ModelState]


class CardAnswer(Contract, kw_only=True):
    """A model card as data and as Markdown."""

    card: ModelCard
    markdown: str


class MoveStage(Contract, kw_only=True):
    """Move a version to another stage."""

    to: Stage
    by: Actor
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
