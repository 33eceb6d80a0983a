"""Imports: what was asked, how far it is, what was refused and why."""

from typing import Literal

from shared.contracts.base import Contract

ImportKind = Literal["profiles", "events", "offers", "assets", "brands"]
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
