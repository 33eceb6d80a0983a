"""A small load generator: raw HTTP/1.1 over kept connections, closed loop or at a fixed rate.

At a fixed rate the clock of a request starts when it was due, not when a connection was free, so a slow server cannot
hide its queue (coordinated omission).
"""

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

OK = b"HTTP/1.1 200"


class Load(NamedTuple):
    """Answers a second, and the seconds of each."""

    rate: float
    seconds: list[float]


def post(path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> bytes:
    """A request as bytes."""
    content = json.dumps(body, separators=(",", ":")).encode()
    lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def get(path: str) -> bytes:
    """A request without a body, as bytes."""
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def wait_for(port: int, path: str, seconds: float) -> None:
    """Until the server answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
                if s.recv(100).startswith(OK):
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise TimeoutError(path)


class Connection:
    """One kept connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def ask(self, request: bytes) -> bytes:
        """Send, read one answer; its body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(OK), head
        low = head.lower()
        if b"content-length:" in low:
            return await self._reader.readexactly(int(low.split(b"content-length:")[1].split(b"\r\n")[0]))
        body = b""
        while size := int((await self._reader.readuntil(b"\r\n")).strip(), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
        return body


async def closed(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """Every connection asks again as soon as it is answered, for some seconds or until the requests are used up."""
    queue = iter(requests)
    taken: list[float] = []
    began = time.perf_counter()

    async def one() -> None:
        connection = await Connection(port).open()
        for request in queue:
            start = time.perf_counter()
            if start - began > seconds:
                return
            await connection.ask(request)
            taken.append(time.perf_counter() - start)

    await asyncio.gather(*(one() for _ in range(connections)))
    return Load(len(taken) / (time.perf_counter() - began), taken)


async def opened(port: int, requests: Sequence[bytes], rate: float, seconds: float, connections: int = 64) -> Load:
    """A fixed rate, evenly spaced."""
    pool: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        pool.put_nowait(await Connection(port).open())
    taken: list[float] = []
    count = int(rate * seconds)
    began = time.perf_counter() + 0.1

    async def one(n: int) -> None:
        due = began + n / rate
        connection = await pool.get()
        await connection.ask(requests[n % len(requests)])
        taken.append(time.perf_counter() - due)
        pool.put_nowait(connection)

    tasks = set()
    for n in range(count):
        wait = began + n / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(n))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return Load(count / (time.perf_counter() - began), taken)
