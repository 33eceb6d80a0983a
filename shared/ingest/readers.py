"""Rows out of files in constant memory, with the line each one starts on. A bad row is an item, not an exception."""

import csv
import datetime as dt
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.contracts.imports import ImportFormat
from shared.fields import has_nul
from shared.ingest.errors import UnreadableFileError
from shared.ingest.mapping import Mapping
from shared.ingest.records import MAX_ROW_BYTES, Line, records

_BLOCK = 1 << 20
_PARQUET_ROWS = 10_000
_SNIFF_DELIMITERS = ",;\t|"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_RAW_LIMIT = 200
_NUL = "contains a NUL character"
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
    return format_of_name(path.name, stated)


def format_of_name(name: str, stated: ImportFormat | None = None) -> ImportFormat:
    """The stated format, else the one that a file's name tells.

    Raises:
        UnreadableFileError: an unknown suffix.
    """
    path = Path(name)
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    found = stated or SUFFIXES.get(suffix.lower())
    if found is None:
        message = f"{name}: unknown suffix {suffix!r}; known are {', '.join(SUFFIXES)} (or state the format)"
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
        self._end_of_line = b"\n"

    def __iter__(self) -> Iterator[Item]:
        """All rows of the file."""
        if self.kind == "parquet":
            return self._parquet()
        lines = self._lines()
        return self._csv(lines) if self.kind == "csv" else self._jsonl(lines)

    def _open(self) -> IO[bytes]:
        return gzip.open(self.path, "rb") if self.path.suffix == ".gz" else self.path.open("rb")  # type: ignore[return-value]

    def _lines(self) -> Iterator[Line]:
        """Physical lines with their numbers; bytes where a line is not text in the stated encoding, or too long."""
        number, rest = 0, b""
        encoding = self.mapping.encoding
        try:
            with self._open() as file:
                while block := file.read(_BLOCK):
                    if number == 0 and not rest:
                        self._end_of_line = self._check_start(block)
                    self._tell(file)
                    parts = (rest + block).split(self._end_of_line)
                    rest = parts.pop()
                    for part in parts:
                        number += 1
                        yield number, _decode(part, encoding, first=number == 1)
                    if len(rest) > MAX_ROW_BYTES:
                        number += 1
                        yield number, rest[:_RAW_LIMIT]
                        rest = self._skip_line(file)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            message = f"{self.path.name}: not a readable gzip file: {error}"
            raise UnreadableFileError(message) from error
        if rest:
            yield number + 1, _decode(rest, encoding, first=number == 0)

    def _check_start(self, block: bytes) -> bytes:
        """The line ending of a file that starts so: old spreadsheets end lines with a carriage return alone."""
        if block.startswith(_UTF16_MARKS):
            message = f"{self.path.name}: is UTF-16; save it as UTF-8"
            raise UnreadableFileError(message)
        return b"\r" if b"\r" in block and b"\n" not in block else b"\n"

    def _tell(self, file: IO[bytes]) -> None:
        """Progress in bytes of the file as it lies on the disk, packed or not."""
        self.position = file.fileobj.tell() if isinstance(file, gzip.GzipFile) else file.tell()

    def _skip_line(self, file: IO[bytes]) -> bytes:
        while block := file.read(_BLOCK):
            self._tell(file)
            _, found, rest = block.partition(self._end_of_line)
            if found:
                return rest
        return b""

    def _jsonl(self, lines: Iterator[Line]) -> Iterator[Item]:
        decoder = msgspec.json.Decoder()
        for number, line in lines:
            if isinstance(line, bytes):
                yield BadRow(number, _unreadable(line), line[:_RAW_LIMIT].decode("latin-1"))
                continue
            text = line.strip()
            if not text:
                continue
            if number == 1 and (text == "[" or text.startswith("[{")):
                message = f"{self.path.name}: is one JSON array; JSONL has one object a line"
                raise UnreadableFileError(message)
            try:
                fields = decoder.decode(text)
            except (msgspec.DecodeError, RecursionError) as error:
                yield BadRow(number, f"not JSON: {error}", line[:_RAW_LIMIT])
                continue
            if not isinstance(fields, dict):
                yield BadRow(number, f"expected an object, got {type(fields).__name__}", line[:_RAW_LIMIT])
            elif "\\u0000" in line and has_nul(fields):
                yield BadRow(number, _NUL, line[:_RAW_LIMIT])
            else:
                yield Row(number, fields)

    def _csv(self, lines: Iterator[Line]) -> Iterator[Item]:
        first = next(lines, None)
        if first is None:
            return
        if isinstance(first[1], bytes):
            message = f"{self.path.name}: the header line is not {self.mapping.encoding} text"
            raise UnreadableFileError(message)
        delimiter = self.mapping.delimiter or max(_SNIFF_DELIMITERS, key=first[1].count)
        header = self._header(first[1], delimiter)
        width = len(header)
        for number, record in records(lines, delimiter, width):
            if isinstance(record, bytes):
                yield BadRow(number, _unreadable(record), record[:_RAW_LIMIT].decode("latin-1"))
            elif isinstance(record, str):
                yield BadRow(number, "a quote is opened and never closed", record[:_RAW_LIMIT])
            elif len(record) == width:
                yield Row(number, dict(zip(header, record, strict=True)))
            elif len(record) > width and not any(record[width:]):
                yield Row(number, dict(zip(header, record, strict=False)))
            else:
                yield BadRow(number, f"has {len(record)} fields, the header has {width}",
                             delimiter.join(record)[:_RAW_LIMIT])  # fmt: skip

    def _header(self, line: str, delimiter: str) -> list[str]:
        """The column names, trimmed, without the nameless ones that trailing delimiters make."""
        header = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
        while header and not header[-1]:
            header.pop()
        wrong = next((name for name in header if not name or header.count(name) > 1), None)
        if wrong is not None:
            problem = f"the column {wrong!r} twice" if wrong else "a column without a name"
            message = f"{self.path.name}: the header has {problem}"
            raise UnreadableFileError(message)
        self.columns = header
        return header

    def _parquet(self) -> Iterator[Item]:
        try:
            file = pq.ParquetFile(self.path)
            self.columns = list(file.schema_arrow.names)
            self.total = file.metadata.num_rows
            number = 0
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                # By column and then zipped: three times as fast as to_pylist of the whole batch.
                nul = _nul_rows(batch)
                for values in zip(*map(_values, batch.columns), strict=True):
                    fields = dict(zip(self.columns, values, strict=True))
                    number += 1
                    if nul and number - self.position - 1 in nul:
                        yield BadRow(number, _NUL, repr(fields)[:_RAW_LIMIT])
                    else:
                        yield Row(number, fields)
                self.position = number
        except (pa.ArrowException, OSError) as error:
            message = f"{self.path.name}: not a readable Parquet file: {error}"
            raise UnreadableFileError(message) from error


def _nul_rows(batch: Any) -> set[int]:
    """The rows of a Parquet batch with a NUL character, looked for by column; only nested values are walked."""
    found: set[int] = set()
    for column in batch.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            if pc.any(pc.match_substring(column, "\0")).as_py():
                found.update(i for i, value in enumerate(column.to_pylist()) if has_nul(value))
        elif pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type):
            found.update(i for i, value in enumerate(column.to_pylist()) if has_nul(value))
    return found


def _values(column: Any) -> list[Any]:
    """A column's values. NaN, which data frames write for "missing", is null.

    Times become plain datetimes (nanoseconds would come as pandas objects, slow to compare).
    """
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
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
        return _NUL
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not valid text: byte {line[error.start]:#04x} at position {error.start}"
    return f"longer than {MAX_ROW_BYTES:,} bytes"
