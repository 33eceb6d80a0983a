"""Every Celery queue, task name and payload. New payload fields get a default, so that old jobs still run."""

from typing import ClassVar

from shared.contracts.base import Contract
from shared.contracts.imports import ImportFormat, ImportKind
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


IMPORTS: dict[ImportKind, type[RunImport]] = {
    "profiles": RunProfilesImport,
    "events": RunEventsImport,
    "offers": RunCatalogImport,
    "assets": RunCatalogImport,
    "brands": RunCatalogImport,
}
QUEUES = ("profiles", "events", "retrieval")
PAYLOADS: tuple[type[TaskPayload], ...] = (
    RunProfilesImport,
    RunEventsImport,
    RunCatalogImport,
    RefreshFacts,
    IndexUsers,
    IndexCatalog,
    ForgetUser,
    ForgetEvents,
)
