"""Batches: checked copy for an audience, as a job that can be watched, paused and cancelled, and whose counts add up."""

from typing import Annotated, Literal

import msgspec

from shared.contracts.approval import Provenance
from shared.contracts.base import Contract, Id, Locale, Page, Tag, Timestamp
from shared.contracts.generation import Sections
from shared.contracts.imports import RowError
from shared.contracts.profiles import AudienceQuery, Channel

BatchState = Literal["waiting", "planning", "running", "paused", "done", "cancelled", "failed"]
ItemStatus = Literal["written", "template", "withheld", "failed"]
ResultFormat = Literal["jsonl", "parquet"]


class BatchRequest(Contract, kw_only=True):
    """Copy for everybody in an audience, for offers on channels.

    Who gets what is decided as for a single person (consent, rules, caps, scores), with every decision logged: among
    `offer_ids`, or the `best` offers of the whole catalog. `from_file`: the audience comes as a file of profile ids.
    `share`: people of whom the same may be said share one text, in groups of at least `minimum_group`; smaller groups get a
    text that says less. `batch_id`: yours if you give one. `greeting`: begins with the first name where it is known. `when_model_down`: wait for it, or serve
    the approved template. `keep`: shared texts are stored for approval.
    """

    batch_id: Id | None = None
    name: Annotated[str, msgspec.Meta(max_length=300)] = ""
    audience: AudienceQuery = msgspec.field(default_factory=AudienceQuery)
    from_file: bool = False
    offer_ids: Annotated[list[Id], msgspec.Meta(max_length=30)] = []
    best: Annotated[int, msgspec.Meta(ge=1, le=20)] | None = None
    channels: Annotated[list[Channel], msgspec.Meta(min_length=1, max_length=4)] = msgspec.field(
        default_factory=lambda: ["email"]
    )
    placement: Tag = "default"
    locale: Locale | None = None
    share: bool = True
    minimum_group: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    greeting: bool = False
    keep: bool = False
    when_model_down: Literal["wait", "template"] = "wait"
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = 5
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0


class BatchCounts(Contract, kw_only=True):
    """What became of an audience's items. items = written + template + withheld + failed + open, always.

    `withheld` and `failed` by reason. `texts`: distinct texts behind the items; `calls` and tokens: of the model.
    `recomputed`: pieces of work that were begun again after a worker was lost. `erased`: items of people erased since.
    """

    people: int = 0
    items: int = 0
    written: int = 0
    template: int = 0
    withheld: dict[str, int] = {}
    failed: dict[str, int] = {}
    open: int = 0
    erased: int = 0
    texts: int = 0
    texts_open: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    chunks: int = 0
    recomputed: int = 0


class Batch(Contract, kw_only=True):
    """A batch and how far it is. `items_per_second` over the last minute, `seconds_left` by it; `note` says what it waits for."""

    batch_id: str
    state: BatchState
    request: BatchRequest
    counts: BatchCounts
    created_at: Timestamp
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    items_per_second: float | None = None
    seconds_left: float | None = None
    note: str = ""
    problem: str | None = None


class BatchPage(Page, kw_only=True):
    """Batches, newest first."""

    batches: list[Batch]


class BatchMove(Contract, kw_only=True):
    """Pause, resume or cancel a batch, or change its priority."""

    to: Literal["paused", "running", "cancelled"] | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] | None = None


class BatchAudience(Contract, kw_only=True):
    """A part of the people of a batch (service-internal): `first` of them before it; the batch begins with the last part."""

    profile_ids: Annotated[list[Id], msgspec.Meta(max_length=10_000)]
    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    last: bool = True


class AudienceTaken(Contract, kw_only=True):
    """What a file of people came to: read = taken + duplicates + rejected; the first errors by line."""

    batch: Batch
    read: int
    taken: int
    duplicates: int
    rejected: int
    errors: list[RowError]


class BatchItem(Contract, kw_only=True):
    """One item of the results: what to send to whom. Send `token` back with every outcome."""

    item: int
    profile_id: str
    channel: Channel
    offer_id: str | None
    status: ItemStatus
    reason: str | None
    sections: Sections | None
    asset_id: str | None
    decision_id: str | None
    token: str | None
    text_id: str | None
    shared_by: int
    provenance: Provenance | None


class ManifestFile(Contract, kw_only=True):
    """How a format of the results can be fetched."""

    format: ResultFormat
    path: str
    rows: int


class Manifest(Contract, kw_only=True):
    """What a batch made: counts that add up, the versions behind it, where the results are."""

    batch_id: str
    tenant: str
    state: BatchState
    request: BatchRequest
    counts: BatchCounts
    models: dict[str, int]
    prompts: dict[str, int]
    files: list[ManifestFile]
    created_at: Timestamp
    finished_at: Timestamp | None


class BatchErased(Contract, kw_only=True):
    """How many items of a person's were erased."""

    rows: int
