"""Imports: what was asked, how far it is, what was refused and why."""

from typing import Annotated, Literal

import msgspec

from shared.contracts.base import Contract, Timestamp

ImportKind = Literal["profiles", "events", "offers", "assets", "brands"]
ImportState = Literal["waiting", "queued", "running", "done", "failed"]
ImportFormat = Literal["csv", "jsonl", "parquet"]


class RowError(Contract, kw_only=True):
    """One refused row: `line` counts from 1 in the file as an editor shows it (Parquet: row number from 1)."""

    file: str
    line: int
    field: str
    reason: str
    given: str | None = None


class ImportReport(Contract, kw_only=True):
    """The counts of an import. read = stored + duplicates + rejected, always.

    `stored` counts rows that are new or changed, `duplicates` rows whose natural key was there with the same content.
    """

    kind: ImportKind
    file: str
    read: int
    stored: int
    duplicates: int
    rejected: int
    seconds: float
    rows_per_second: float
    rejects_file: str | None
    first_errors: list[RowError]
    resumed_at: int = 0
    ignored_columns: list[str] = []


class ImportRequest(Contract, kw_only=True):
    """Announce a file: its kind, its name (the suffix names the format unless `format` does), and a mapping (YAML text).

    The file itself follows as the raw body of `PUT /v1/imports/{jobId}/file`.
    """

    kind: ImportKind
    file: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f]+$")]
    format: ImportFormat | None = None
    mapping: Annotated[str, msgspec.Meta(max_length=100_000)] | None = None


class ImportJob(Contract, kw_only=True):
    """An import and how far it is: rows read, share of the file in [0, 1]. `report` once it is done.

    States: waiting (for its file), queued, running, done, failed (`problem` says why).
    """

    job_id: str
    kind: ImportKind
    file: str
    state: ImportState
    created_at: Timestamp
    format: ImportFormat | None = None
    mapping: str | None = None
    rows: int = 0
    share: float = 0.0
    rejected: int = 0
    report: ImportReport | None = None
    problem: str | None = None
