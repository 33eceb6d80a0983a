"""Rows out of files in constant memory, with the line each one starts on. A bad row is an item, not an exception."""

import csv
import datetime as dt
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from shared.contracts.imports import ImportFormat
from shared.ingest.errors import UnreadableFileError
from shared.ingest.mapping import Mapping

MAX_ROW_BYTES = 1_000_000
_MAX_ROW_LINES = 100
_BLOCK = 1 << 20
_PARQUET_ROWS = 10_000
_SNIFF_DELIMITERS = ",;\t|"
SUFFIXES: dict[str, ImportFormat] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip


class Row(NamedTuple):
    """One row: the line it starts on, its fields, and how far the file has been read."""

    line: int
    fields: dict[str, Any]


class BadRow(NamedTuple):
    """A row that cannot even be read."""

    line: int
    reason: str
    raw: str


Item = Row | BadRow


def format_of(path: Path, stated: ImportFormat | None = None) -> ImportFormat:
    """The stated format, else the one the file's suffix names (`.gz` is looked through).

    Raises:
        UnreadableFileError: no such file, a folder, or an unknown suffix.
    """
    if not path.exists():
        message = f"{path.name}: no such file"
        raise UnreadableFileError(message)
    if not path.is_file():
        message = f"{path.name}: not a file"
        raise UnreadableFileError(message)
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    found = stated or SUFFIXES.get(suffix.lower())
    if found is None:
        message = f"{path.name}: unknown suffix {suffix!r}; known are {', '.join(SUFFIXES)} (or state the format)"
        raise UnreadableFileError(message)
    return found


class Source:
    """One file to read; `position` is the number of bytes (Parquet: rows) read so far, `total` of how many."""

    def __init__(self, path: Path, kind: ImportFormat, mapping: Mapping) -> None:
        self.path = path
        self.kind = kind
        self.mapping = mapping
        self.total = path.stat().st_size
        self.position = 0
        self.columns: list[str] | None = None

    def __iter__(self) -> Iterator[Item]:
        """All rows of the file."""
        if self.kind == "parquet":
            return self._parquet()
        lines = self._lines()
        return self._csv(lines) if self.kind == "csv" else self._jsonl(lines)

    def _open(self) -> IO[bytes]:
        return gzip.open(self.path, "rb") if self.path.suffix == ".gz" else self.path.open("rb")  # type: ignore[return-value]

    def _lines(self) -> Iterator[tuple[int, str | bytes]]:
        """Physical lines with their numbers; bytes where a line is not text in the stated encoding, or too long."""
        number, rest = 0, b""
        encoding = self.mapping.encoding
        try:
            with self._open() as file:
                while block := file.read(_BLOCK):
                    self.position += len(block)
                    parts = (rest + block).split(b"\n")
                    rest = parts.pop()
                    for part in parts:
                        number += 1
                        yield number, _decode(part, encoding, first=number == 1)
                    if len(rest) > MAX_ROW_BYTES:
                        number += 1
                        yield number, rest[:200]
                        rest = self._skip_line(file)
        except (gzip.BadGzipFile, EOFError) as error:
            message = f"{self.path.name}: not a readable gzip file: {error}"
            raise UnreadableFileError(message) from error
        if rest:
            yield number + 1, _decode(rest, encoding, first=number == 0)

    def _skip_line(self, file: IO[bytes]) -> bytes:
        while block := file.read(_BLOCK):
            self.position += len(block)
            _, found, rest = block.partition(b"\n")
            if found:
                return rest
        return b""

    def _jsonl(self, lines: Iterator[tuple[int, str | bytes]]) -> Iterator[Item]:
        decoder = msgspec.json.Decoder()
        for number, line in lines:
            if isinstance(line, bytes):
                yield BadRow(number, _unreadable(line), line[:200].decode("latin-1"))
                continue
            if not line.strip():
                continue
            try:
                fields = decoder.decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                yield BadRow(number, f"not JSON: {error}", line[:200])
                continue
            if isinstance(fields, dict):
                yield (
                    BadRow(number, "contains a NUL character", line[:200]) if "\\u0000" in line else Row(number, fields)
                )
            else:
                yield BadRow(number, f"expected an object, got {type(fields).__name__}", line[:200])

    def _csv(self, lines: Iterator[tuple[int, str | bytes]]) -> Iterator[Item]:
        first = next(lines, None)
        if first is None:
            return
        if isinstance(first[1], bytes):
            message = f"{self.path.name}: the header line is not {self.mapping.encoding} text"
            raise UnreadableFileError(message)
        delimiter = self.mapping.delimiter or max(_SNIFF_DELIMITERS, key=first[1].count)
        header = [name.strip() for name in next(csv.reader([first[1]], delimiter=delimiter))]
        duplicate = next((name for name in header if header.count(name) > 1), None)
        if duplicate is not None:
            message = f"{self.path.name}: the header has the column {duplicate!r} twice"
            raise UnreadableFileError(message)
        self.columns = header
        for number, record in _records(lines, delimiter):
            if isinstance(record, bytes):
                yield BadRow(number, _unreadable(record), record[:200].decode("latin-1"))
            elif record is None:
                yield BadRow(number, "a quote is opened and never closed", "")
            elif len(record) == len(header):
                yield Row(number, dict(zip(header, record, strict=True)))
            elif record:
                yield BadRow(number, f"has {len(record)} fields, the header has {len(header)}",
                             delimiter.join(record)[:200])  # fmt: skip

    def _parquet(self) -> Iterator[Item]:
        try:
            file = pq.ParquetFile(self.path)
            self.columns = list(file.schema_arrow.names)
            self.total = file.metadata.num_rows
            number = 0
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                # By column and then zipped: three times as fast as to_pylist of the whole batch.
                for values in zip(*map(_values, batch.columns), strict=True):
                    number += 1
                    yield Row(number, dict(zip(self.columns, values, strict=True)))
                self.position = number
        except (pa.ArrowException, OSError) as error:
            message = f"{self.path.name}: not a readable Parquet file: {error}"
            raise UnreadableFileError(message) from error


def _values(column: Any) -> list[Any]:
    """A column's values. Times become plain datetimes (nanoseconds would come as pandas objects, slow to compare)."""
    if not pa.types.is_timestamp(column.type):
        plain: list[Any] = column.to_pylist()
        return plain
    times = column.cast(pa.timestamp("us"), safe=False).to_pylist()
    zone = dt.UTC if column.type.tz else None
    return [None if value is None else value.replace(tzinfo=zone) for value in times]


def _decode(part: bytes, encoding: str, *, first: bool) -> str | bytes:
    if len(part) > MAX_ROW_BYTES or b"\0" in part:
        return part
    try:
        text = part.decode(encoding)
    except UnicodeDecodeError:
        return part
    return text.removeprefix("\ufeff").rstrip("\r") if first else text.rstrip("\r")


def _unreadable(line: bytes) -> str:
    if b"\0" in line:
        return "contains a NUL character"
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not valid text: byte {line[error.start]:#04x} at position {error.start}"
    return f"longer than {MAX_ROW_BYTES:,} bytes"


def _parse(text: str, delimiter: str) -> list[str] | None:
    """The fields of a complete record; None while a quote is open."""
    try:
        return next(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
        return next(csv.reader([text], delimiter=delimiter), [])


def _records(
    lines: Iterator[tuple[int, str | bytes]], delimiter: str
) -> Iterator[tuple[int, list[str] | bytes | None]]:
    """Logical CSV records. A quote left open spoils its own line only: the lines after it are read again."""
    again: list[tuple[int, str | bytes]] = []
    while True:
        item = again.pop(0) if again else next(lines, None)
        if item is None:
            return
        number, text = item
        if isinstance(text, bytes):
            yield number, text
            continue
        if '"' not in text:
            if text:
                yield number, text.split(delimiter)
            continue
        record, taken = _parse(text, delimiter), list[tuple[int, str | bytes]]()
        while record is None and len(taken) < _MAX_ROW_LINES and len(text) < MAX_ROW_BYTES:
            following = again.pop(0) if again else next(lines, None)
            if following is None:
                break
            taken.append(following)
            if isinstance(following[1], bytes):
                break
            text = f"{text}\n{following[1]}"
            if '"' in following[1]:
                record = _parse(text, delimiter)
        if record is None:
            again = taken + again
        yield number, record
