"""How far an import is, on disk; and the rejects file beside it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from shared.contracts.imports import RowError
from shared.files import replace_file
from shared.ingest.errors import ImportRunningError


class Counts(msgspec.Struct):
    """read = stored + duplicates + rejected."""

    read: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejects_bytes: int = 0
    first_errors: list[RowError] = []


class Checkpoint:
    """The state of one import of one file version; gone once the import has finished."""

    def __init__(self, folder: Path, fingerprint: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._state = folder / f"{fingerprint}.checkpoint.json"
        self._rejects = folder / f"{Path(name).stem[:80]}.{fingerprint}.rejects.jsonl"
        self._lock = folder / f"{fingerprint}.lock"
        self._counts = Counts()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps a second run of the same import out; a dead process holds nothing.

        Raises:
            ImportRunningError: another run has it.
        """
        with self._lock.open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ImportRunningError("This file is being imported already; wait for that run to end.") from error
            try:
                yield
            finally:
                self._lock.unlink(missing_ok=True)

    def counts(self) -> Counts:
        """The counts of the interrupted run, or zeros. Rejects written after its last batch are cut off."""
        if self._state.exists():
            self._counts = msgspec.json.decode(self._state.read_bytes(), type=Counts)
        if self._rejects.exists():
            with self._rejects.open("r+b") as file:
                file.truncate(self._counts.rejects_bytes)
        return self._counts

    def save(self, counts: Counts, errors: list[tuple[RowError, Any]]) -> None:
        """Keep the counts after a written batch, and append its rejected rows."""
        if errors:
            encoder = msgspec.json.Encoder(enc_hook=str)
            with self._rejects.open("ab") as file:
                for error, raw in errors:
                    named = msgspec.to_builtins(error) | {"row": raw}
                    file.write(encoder.encode(named) + b"\n")
                counts.rejects_bytes = file.tell()
        replace_file(self._state, msgspec.json.encode(counts))

    def finish(self) -> str | None:
        """Forget the checkpoint; the path of the rejects file if there is one."""
        self._state.unlink(missing_ok=True)
        if self._rejects.exists() and self._rejects.stat().st_size:
            return str(self._rejects)
        self._rejects.unlink(missing_ok=True)
        return None
