"""Logical CSV records out of lines: quoted texts over several lines, and quotes that somebody forgot to close."""

import csv
from collections import deque
from collections.abc import Iterator

MAX_ROW_BYTES = 1_000_000
_MAX_ROW_LINES = 1_000

Line = tuple[int, str | bytes]


def _parse(text: str, delimiter: str) -> list[str] | None:
    """The fields of a complete record; None while a quote is open.

    Raises:
        csv.Error: text stands behind a closing quote.
    """
    try:
        return next(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
        raise


def _trim(record: list[str], text: str, delimiter: str) -> list[str]:
    """Fields without the blanks that pad them; looks closely only where a delimiter has a blank beside it."""
    if f" {delimiter}" in text or f"{delimiter} " in text or text[:1] == " " or text[-1:] == " ":
        return [field.strip() for field in record]
    return record


class Lines:
    """Lines that can be put back to be read again."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()

    def take(self) -> Line | None:
        """The next line, None at the end."""
        return self._again.popleft() if self._again else next(self._lines, None)

    def put_back(self, lines: list[Line]) -> None:
        """Read these, in this order, before anything else."""
        self._again.extendleft(reversed(lines))


def records(lines: Iterator[Line], delimiter: str, width: int) -> Iterator[tuple[int, list[str] | bytes | str]]:
    """Logical CSV records; bytes for unreadable lines, text for a line that opens a quote and never closes it.

    A stray quote spoils its own line only: what follows it is read again, unless it makes, with the line, one
    well-formed record of the right width.
    """
    source = Lines(lines)
    while (item := source.take()) is not None:
        number, text = item
        if isinstance(text, bytes):
            yield number, text
        elif '"' not in text:
            if text and not text.isspace():
                yield number, _trim(text.split(delimiter), text, delimiter)
        else:
            yield number, _quoted(text, source, delimiter, width)


def _quoted(text: str, source: Lines, delimiter: str, width: int) -> list[str] | str:
    """The record that starts with a line that has quotes; the line itself when its quote is never closed."""
    try:
        record = _parse(text, delimiter)
    except csv.Error:
        # Text behind a closing quote, in one line: taken as it is.
        return next(csv.reader([text], delimiter=delimiter), [])
    if record is not None:
        return _trim(record, text, delimiter)
    taken: list[Line] = []
    parts, size, quotes = [text], len(text), text.count('"')
    while len(taken) < _MAX_ROW_LINES and size < MAX_ROW_BYTES and (following := source.take()) is not None:
        taken.append(following)
        line = following[1]
        if isinstance(line, bytes):
            break
        parts.append(line)
        size, quotes = size + len(line) + 1, quotes + line.count('"')
        if '"' not in line or quotes % 2:
            continue
        try:
            record = _parse("\n".join(parts), delimiter)
        except csv.Error:
            break
        if record is not None:
            if len(record) == width:
                return _trim(record, "", delimiter)
            break
    source.put_back(taken)
    return text
