"""Every Celery queue, task name and payload. New payload fields get a default, so that old jobs still run."""

from typing import ClassVar

from shared.contracts.base import Contract
from shared.contracts.imports import ImportFormat, ImportKind
from shared.contracts.policies import Outcome
from shared.contracts.retrieval import Kind


class TaskPayload(Contract, kw_only=True):
    """A task's argument. `task` is the Celery task name, `queue` where it goes; both belong to the type."""

    task: ClassVar[str]
    queue: ClassVar[str]

    tenant: str
    request_id: str | None = None
    traceparent: str | None = None


class RunImport(TaskPayload, kw_only=True):
    """Read a file on a disk that the worker sees into the tables of the kind's service.

    `follow`: afterwards queue what depends on it (facts, then vectors of people).
    """

    job_id: str
    kind: ImportKind
    path: str
    format: ImportFormat | None = None
    mapping: str | None = None
    images: str | None = None
    follow: bool = True


class RunProfilesImport(RunImport, kw_only=True):
    """Import profiles."""

    task: ClassVar[str] = "profiles.import"
    queue: ClassVar[str] = "profiles"


class RunEventsImport(RunImport, kw_only=True):
    """Import events."""

    task: ClassVar[str] = "events.import"
    queue: ClassVar[str] = "events"


class RunCatalogImport(RunImport, kw_only=True):
    """Import offers, assets or brands."""

    task: ClassVar[str] = "retrieval.import"
    queue: ClassVar[str] = "retrieval"


class RefreshFacts(TaskPayload, kw_only=True):
    """Recompute the facts of all profiles of the tenant, or of the named ones; `follow`: then embed who changed."""

    task: ClassVar[str] = "profiles.refresh_facts"
    queue: ClassVar[str] = "profiles"

    profile_ids: list[str] = []
    follow: bool = True


class IndexUsers(TaskPayload, kw_only=True):
    """Embed the consented summaries of all profiles whose text changed; drop the vectors of the others."""

    task: ClassVar[str] = "retrieval.index_users"
    queue: ClassVar[str] = "retrieval"


class IndexCatalog(TaskPayload, kw_only=True):
    """Embed what changed in the catalog and bring the live index up to date; `full` builds a new one and swaps."""

    task: ClassVar[str] = "retrieval.index_catalog"
    queue: ClassVar[str] = "retrieval"

    kind: Kind
    full: bool = False


class ForgetUser(TaskPayload, kw_only=True):
    """Remove a person's vector (erasure, consent withdrawn)."""

    task: ClassVar[str] = "retrieval.forget_user"
    queue: ClassVar[str] = "retrieval"

    profile_id: str


class ForgetEvents(TaskPayload, kw_only=True):
    """Remove a person's events (erasure)."""

    task: ClassVar[str] = "events.forget"
    queue: ClassVar[str] = "events"

    profile_id: str


class ForgetDecisions(TaskPayload, kw_only=True):
    """Remove a person's decisions, counters and observations (erasure)."""

    task: ClassVar[str] = "decisions.forget"
    queue: ClassVar[str] = "decisions"

    profile_id: str


class ForgetCopy(TaskPayload, kw_only=True):
    """Remove copy that was written for a person (erasure, consent withdrawn)."""

    task: ClassVar[str] = "governance.forget"
    queue: ClassVar[str] = "governance"

    profile_id: str


class RecordOutcomes(TaskPayload, kw_only=True):
    """Outcomes that came as events while decisions did not answer; repeating it changes nothing."""

    task: ClassVar[str] = "decisions.outcomes"
    queue: ClassVar[str] = "decisions"

    outcomes: list[Outcome]


class ForgetBatchItems(TaskPayload, kw_only=True):
    """Remove a person's items of batches (erasure)."""

    task: ClassVar[str] = "batches.forget"
    queue: ClassVar[str] = "batches"

    profile_id: str


class MaterialiseFeatures(TaskPayload, kw_only=True):
    """Compute the tenant's features from all events and let them serve; `run_id`: the run that waits for it.

    `asked_at`, epoch seconds: a computation that began later will do. `top`: look up the most frequent values anew.
    """

    task: ClassVar[str] = "features.materialise"
    queue: ClassVar[str] = "features"

    run_id: str | None = None
    asked_at: float = 0.0
    top: bool = False


class ForgetFeatures(TaskPayload, kw_only=True):
    """Remove a person's features (erasure)."""

    task: ClassVar[str] = "features.forget"
    queue: ClassVar[str] = "features"

    profile_id: str


class PlanBatch(TaskPayload, kw_only=True):
    """Read a batch's audience and cut the work into chunks; goes on where it was cut off."""

    task: ClassVar[str] = "batches.plan"
    queue: ClassVar[str] = "batches"

    batch_id: str


class RunChunks(TaskPayload, kw_only=True):
    """Work off chunks of the tenant in a slot, if it is still the one that was `asked`."""

    task: ClassVar[str] = "batches.run"
    queue: ClassVar[str] = "batches"

    slot: int
    asked: str


class RunTraining(TaskPayload, kw_only=True):
    """Do a training job."""

    task: ClassVar[str] = "training.run"
    queue: ClassVar[str] = "training"

    job_id: str


class LookAtRollouts(TaskPayload, kw_only=True):
    """Do what is due in roll-outs: of one tenant, of every tenant where `tenant` is empty. Repeating it changes nothing."""

    task: ClassVar[str] = "training.rollouts"
    queue: ClassVar[str] = "training"

    tenant: str = ""


class SweepMonitors(TaskPayload, kw_only=True):
    """Ask for the check of every monitor, of any tenant, that is due or whose retraining has ended."""

    task: ClassVar[str] = "training.monitors"
    queue: ClassVar[str] = "training"

    tenant: str = ""


class CheckMonitor(TaskPayload, kw_only=True):
    """Look at a model's monitor: carry its retraining on, and test its windows if that is due or was `asked` for."""

    task: ClassVar[str] = "training.monitor"
    queue: ClassVar[str] = "training"

    model_key: str
    asked: bool = False


class RunEvaluation(TaskPayload, kw_only=True):
    """Carry an evaluation on for a while; what is left is queued again. One that was sent for a `turn` that is over leaves."""

    task: ClassVar[str] = "evaluation.run"
    queue: ClassVar[str] = "evaluation"

    run_id: str
    turn: int = 0


IMPORTS: dict[ImportKind, type[RunImport]] = {
    "profiles": RunProfilesImport,
    "events": RunEventsImport,
    "offers": RunCatalogImport,
    "assets": RunCatalogImport,
    "brands": RunCatalogImport,
}
QUEUES = ("profiles", "events", "retrieval", "decisions", "governance", "batches", "evaluation", "features", "training")
PAYLOADS: tuple[type[TaskPayload], ...] = (
    RunProfilesImport,
    RunEventsImport,
    RunCatalogImport,
    RefreshFacts,
    IndexUsers,
    IndexCatalog,
    ForgetUser,
    ForgetEvents,
    ForgetDecisions,
    ForgetCopy,
    ForgetBatchItems,
    PlanBatch,
    RunChunks,
    RecordOutcomes,
    RunTraining,
    LookAtRollouts,
    SweepMonitors,
    CheckMonitor,
    RunEvaluation,
    MaterialiseFeatures,
    ForgetFeatures,
)
# What the beat sends, and after how many seconds again: payloads that need no argument, of all tenants. One that no worker
# took within that time is thrown away: the next one does the same.
SCHEDULE: dict[type[TaskPayload], float] = {
    SweepMonitors: 60.0,
    LookAtRollouts: 10.0,
}
