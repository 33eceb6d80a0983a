"""What a running suite leaves on disk for other commands: who holds it, where its parts are; and what to clean up."""

import fcntl
import os
import secrets
import socket
from pathlib import Path
from typing import IO, Self

import msgspec
import psutil

from shared.files import replace_file
from shared.stack.valkey import free_port

_SAME_PROCESS_SECONDS = 2.0


class AlreadyRunningError(Exception):
    """Another process runs the suite on this data folder."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A running suite: the holder's process and the addresses of its parts."""

    pid: int
    url: str
    database_url: str
    redis_url: str
    llm_base_url: str


class _Process(msgspec.Struct, frozen=True):
    name: str
    pid: int
    created: float


class RunFolder:
    """`ATELIER_DATA/run`: a lock, secrets, remembered ports, the addresses, the processes."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "run"
        self.path.mkdir(parents=True, exist_ok=True)
        self._processes: list[_Process] = []
        self._lock: IO[bytes]

    def __enter__(self) -> Self:
        """Be the one who runs the suite here; leftovers of a killed one are stopped first.

        Raises:
            AlreadyRunningError: another process is; says which and where.
        """
        self._lock = (self.path / "up.lock").open("a+b")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise AlreadyRunningError(self._who()) from None
        self._stop_leftovers()
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        for name in ("running.json", "processes.json"):
            (self.path / name).unlink(missing_ok=True)
        self._lock.close()

    def _who(self) -> str:
        running = self.running()
        if running is None:
            return "Atelier is being started here by another process; wait for it, or stop it."
        return f"Atelier runs here already: process {running.pid}, {running.url}. Stop that one first (Ctrl-C there)."

    def _stop_leftovers(self) -> None:
        path = self.path / "processes.json"
        if not path.exists():
            return
        try:
            left = msgspec.json.decode(path.read_bytes(), type=list[_Process])
        except msgspec.MsgspecError:
            left = []
        for known in left:
            try:
                process = psutil.Process(known.pid)
                if abs(process.create_time() - known.created) < _SAME_PROCESS_SECONDS:
                    gone = [process, *process.children(recursive=True)]
                    for one in gone:
                        one.terminate()
                    for one in psutil.wait_procs(gone, timeout=10)[1]:
                        one.kill()
            except psutil.NoSuchProcess:
                continue
        path.unlink()

    def record(self, name: str, pid: int) -> None:
        """Remember a process that must not outlive us."""
        try:
            created = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return
        self._processes = [p for p in self._processes if p.name != name] + [_Process(name, pid, created)]
        self._write("processes.json", self._processes)

    def publish(self, running: Running) -> None:
        """Tell other commands where the parts are."""
        self._write("running.json", running)

    def running(self) -> Running | None:
        """The suite that runs on this folder, None if none does."""
        try:
            known = msgspec.json.decode((self.path / "running.json").read_bytes(), type=Running)
        except (OSError, msgspec.MsgspecError):
            return None
        return known if psutil.pid_exists(known.pid) else None

    def secret(self, name: str) -> str:
        """A secret of this data folder, made at its first use, readable by its owner only."""
        path = self.path / name
        if not path.exists():
            self.keep_secret(name, secrets.token_urlsafe(32))
        return path.read_text(encoding="ascii").strip()

    def keep_secret(self, name: str, value: str) -> None:
        """Store a secret."""
        with os.fdopen(os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(value)

    def port(self, name: str, preferred: int | None = None) -> int:
        """The port this part had before if it is free, else the preferred one, else any free one; remembered."""
        path = self.path / "ports.json"
        known = msgspec.json.decode(path.read_bytes(), type=dict[str, int]) if path.exists() else {}
        chosen = next((p for p in (known.get(name), preferred) if p and is_free(p)), None) or free_port()
        self._write("ports.json", known | {name: chosen})
        return chosen

    def _write(self, name: str, value: object) -> None:
        replace_file(self.path / name, msgspec.json.encode(value))


def is_free(port: int) -> bool:
    """Can a server listen on this loopback port?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
