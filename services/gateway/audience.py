"""Reading a file of people: profile ids, each once, and what could not be read. No I/O but the file."""

from pathlib import Path
from typing import Any

import msgspec

from shared.contracts.base import Id
from shared.contracts.imports import ImportFormat, RowError
from shared.errors import InvalidInputError
from shared.ingest.mapping import Mapping
from shared.ingest.paths import loose
from shared.ingest.readers import BadRow, Source

_COLUMN = "profileid"
_ERRORS = 20


class People(msgspec.Struct):
    """Who is in a file. read = people + duplicates + rejected."""

    profile_ids: list[str]
    read: int = 0
    duplicates: int = 0
    rejected: int = 0
    errors: list[RowError] = []


def read_people(path: Path, form: ImportFormat) -> People:
    """The people of a file with a column profileId (any spelling of it), in their order.

    Raises:
        UnreadableFileError: it is no such file.
        InvalidInputError: it has no such column.
    """
    found = People([])
    seen: set[str] = set()
    for row in Source(path, form, Mapping()):
        found.read += 1
        if isinstance(row, BadRow):
            _reject(found, row.line, row.reason, row.raw)
            continue
        names = {loose(name): name for name in row.fields}
        if _COLUMN not in names:
            if form != "jsonl":
                message = f"the file has no column profileId; it has {', '.join(list(row.fields)[:10])}"
                raise InvalidInputError(message)
            _reject(found, row.line, "has no profileId", "")
            continue
        _take(found, seen, row.line, row.fields[names[_COLUMN]])
    return found


def _take(found: People, seen: set[str], line: int, value: Any) -> None:
    try:
        profile_id = msgspec.convert(str(value) if isinstance(value, int) else value, Id)
    except msgspec.ValidationError as error:
        _reject(found, line, str(error), repr(value))
        return
    if profile_id in seen:
        found.duplicates += 1
        return
    seen.add(profile_id)
    found.profile_ids.append(profile_id)


def _reject(found: People, line: int, reason: str, given: str) -> None:
    found.rejected += 1
    if len(found.errors) < _ERRORS:
        found.errors.append(RowError(file="audience", line=line, field="profileId", reason=reason, given=given[:100]))
