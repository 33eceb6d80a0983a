"""Running an import: read, shape, convert, write in batches; report what was refused; resume where it stopped."""

import asyncio
import gc
import hashlib
import itertools
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from shared.contracts.imports import ImportFormat, ImportKind, ImportReport, RowError
from shared.fields import field_error
from shared.ingest.checkpoint import Checkpoint, Counts
from shared.ingest.mapping import Mapping
from shared.ingest.readers import BadRow, Source, format_of
from shared.ingest.shaping import Shaper
from shared.ingest.values import ShapeError

T = TypeVar("T", bound=msgspec.Struct)
BATCH_ROWS = 20_000
_FIRST_ERRORS = 20
_GIVEN_LIMIT = 120
_NAMED_FIELD = re.compile(r"(?:unknown|missing required) field `([^`]*)`")
_REFUSALS = (msgspec.ValidationError, ValueError, OverflowError, RecursionError)


class Written(msgspec.Struct):
    """What a sink did with one batch; `rejected` are (index in the batch, field, reason)."""

    stored: int
    duplicates: int
    rejected: list[tuple[int, str, str]] = []


class Sink(Protocol[T]):
    """Where the rows of one kind go. One call of `write` is one transaction, safe to repeat."""

    contract: type[T]

    async def write(self, rows: list[T]) -> Written:
        """Store a batch."""
        ...


class Progress(msgspec.Struct, frozen=True):
    """How far an import is: rows read, and the share of the file in [0, 1]."""

    rows: int
    share: float
    rejected: int


class ImportSource(msgspec.Struct, frozen=True):
    """The file, its format (None: by suffix) and how its columns map onto ours."""

    path: Path
    format: ImportFormat | None = None
    mapping: Mapping = Mapping()


class _Batch(msgspec.Struct, Generic[T]):
    """A slice of the file: the good rows with their lines, and the errors."""

    rows: list[T]
    lines: list[int]
    raws: list[dict[str, Any]]
    errors: list[tuple[RowError, Any]]
    read: int


async def run_import(
    sink: Sink[T],
    *,
    kind: ImportKind,
    source: ImportSource,
    data_dir: Path,
    tenant: str,
    progress: Callable[[Progress], None] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> ImportReport:
    """Import one file. Memory does not grow with the file; reading overlaps with writing.

    An import that was interrupted goes on after its last written batch when the same file is imported again; the
    batches are idempotent, so even a lost checkpoint loses and doubles nothing.

    Raises:
        UnreadableFileError: the file as a whole cannot be read.
        MappingError: the mapping does not fit the kind or the file.
        ImportRunningError: this import is running already.
    """
    form = format_of(source.path, source.format)
    checkpoint = Checkpoint(data_dir / "imports", _fingerprint(source, kind, tenant), source.path.name)
    reader = Source(source.path, form, source.mapping)
    shaper = Shaper(sink.contract, source.mapping)
    started = time.perf_counter()
    with checkpoint.held():
        counts = checkpoint.counts()
        resumed_at = counts.read
        batches = _batches(reader, shaper, sink.contract, batch_rows, skip=resumed_at)
        async with aclosing(_ahead(batches)) as ahead:
            async for batch in ahead:
                await _write(sink, batch, counts, source.path.name)
                checkpoint.save(counts, batch.errors)
                if progress:
                    share = min(reader.position / reader.total, 1.0) if reader.total else 1.0
                    progress(Progress(rows=counts.read, share=share, rejected=counts.rejected))
        rejects_file = checkpoint.finish()
    seconds = time.perf_counter() - started
    return ImportReport(
        kind=kind,
        file=source.path.name,
        read=counts.read,
        stored=counts.stored,
        duplicates=counts.duplicates,
        rejected=counts.rejected,
        seconds=round(seconds, 3),
        rows_per_second=round((counts.read - resumed_at) / seconds, 1) if seconds else 0.0,
        rejects_file=rejects_file,
        first_errors=counts.first_errors,
        resumed_at=resumed_at,
        ignored_columns=sorted(shaper.dropped),
    )


async def _ahead(batches: Iterator[_Batch[T]]) -> AsyncGenerator[_Batch[T]]:
    """Batches, the next one being read in a thread while the last one is written.

    The cycle collector is off meanwhile: rows make no cycles, and walking millions of them costs a fifth of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    pending = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while (batch := await pending) is not None:
            pending = asyncio.create_task(asyncio.to_thread(next, batches, None))
            yield batch
    finally:
        await asyncio.gather(pending, return_exceptions=True)
        if collecting:
            gc.enable()


def _fingerprint(source: ImportSource, kind: str, tenant: str) -> str:
    digest = hashlib.sha256()
    stat = source.path.stat()
    with source.path.open("rb") as file:
        digest.update(file.read(65_536))
    for part in (kind, tenant, stat.st_size, stat.st_mtime_ns, msgspec.json.encode(source.mapping)):
        digest.update(repr(part).encode())
    return digest.hexdigest()[:24]


async def _write(sink: Sink[T], batch: _Batch[T], counts: Counts, name: str) -> None:
    written = await sink.write(batch.rows) if batch.rows else Written(stored=0, duplicates=0)
    for index, field, reason in written.rejected:
        error = RowError(file=name, line=batch.lines[index], field=field, reason=reason)
        batch.errors.append((error, batch.raws[index]))
    batch.errors.sort(key=lambda entry: entry[0].line)
    counts.first_errors += [error for error, _ in batch.errors[: _FIRST_ERRORS - len(counts.first_errors)]]
    counts.read += batch.read
    counts.stored += written.stored
    counts.duplicates += written.duplicates
    counts.rejected += len(batch.errors)


def _batches(reader: Source, shaper: Shaper, contract: type[T], size: int, *, skip: int) -> Iterator[_Batch[T]]:
    items = itertools.islice(iter(reader), skip, None)
    name = reader.path.name
    checked = False
    while chunk := list(itertools.islice(items, size)):
        if not checked and reader.columns is not None:
            shaper.check_columns(reader.columns)
            checked = True
        batch: _Batch[T] = _Batch(rows=[], lines=[], raws=[], errors=[], read=len(chunk))
        shaped: list[dict[str, Any]] = []
        for item in chunk:
            if isinstance(item, BadRow):
                batch.errors.append((RowError(file=name, line=item.line, field="", reason=item.reason), item.raw))
                continue
            try:
                shaped.append(shaper.shape(item.fields))
            except ShapeError as error:
                row_error = RowError(file=name, line=item.line, field=error.field, reason=str(error),
                                     given=repr(error.given)[:_GIVEN_LIMIT])  # fmt: skip
                batch.errors.append((row_error, item.fields))
                continue
            batch.lines.append(item.line)
            batch.raws.append(item.fields)
        _convert(batch, shaped, contract, name)
        yield batch


def _convert(batch: _Batch[T], shaped: list[dict[str, Any]], contract: type[T], name: str) -> None:
    """All rows at once, the common case; one by one when some row is bad."""
    try:
        batch.rows = msgspec.convert(shaped, list[contract], strict=False)  # type: ignore[valid-type]
    except _REFUSALS:
        lines, raws = batch.lines, batch.raws
        batch.lines, batch.raws = [], []
        for line, raw, fields in zip(lines, raws, shaped, strict=True):
            try:
                batch.rows.append(msgspec.convert(fields, contract, strict=False))
            except _REFUSALS as error:
                batch.errors.append((_row_error(name, line, str(error), fields), raw))
            else:
                batch.lines.append(line)
                batch.raws.append(raw)


def _row_error(name: str, line: int, message: str, fields: dict[str, Any]) -> RowError:
    found = field_error(message, fields)
    field = found.field
    if (named := _NAMED_FIELD.search(message)) is not None:
        field = named.group(1) if field == "body" else f"{field}.{named.group(1)}"
    return RowError(file=name, line=line, field=field, reason=found.message, given=found.given)
