"""redis-py's client with one connection for everybody: what is asked for in one turn of the event loop travels together.

redis-py takes a connection out of its pool for each command and runs the command through retries, timers and metrics, which
costs several times what Redis itself does for a GET. Here commands are written one after the other on one connection and
answered in that order (Redis pipelining, https://redis.io/docs/latest/develop/use/pipelining/). How the connection is made
(password, TLS, database, protocol) and how an answer is read stays redis-py's.
"""

import asyncio
import contextvars
import math
from collections import deque
from collections.abc import Coroutine
from typing import Any, cast

import redis.asyncio as redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError


class SharedRedis(redis.Redis):
    """For commands on the way of a request. Not for what blocks (XREADGROUP with BLOCK): everybody would wait for it.

    A command is sent once. When one has no answer in time, or the connection breaks, all that are under way fail, and what
    became of them is not known; the next command connects anew.
    """

    seconds = 5.0
    _line: "_Line | None" = None
    _opening: "asyncio.Task[_Line] | None" = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """The answer of one command.

        Raises:
            redis.exceptions.TimeoutError: none within `seconds`.
            redis.exceptions.ConnectionError: Redis cannot be reached, or the connection broke.
            redis.exceptions.ResponseError: Redis refuses the command.
        """
        line = self._line
        try:
            async with asyncio.timeout(self.seconds):
                if line is None or line.broken:
                    line = await self._open()
                answer = await line.ask(args)
        except TimeoutError:
            message = f"no answer within {self.seconds} s"
            if line is not None:
                line.give_up(RedisConnectionError(f"the connection was given up: {message} to another command"))
            raise RedisTimeoutError(message) from None
        callback = self.response_callbacks.get(args[0])
        return callback(answer, **options) if callback else answer

    async def _open(self) -> "_Line":
        if self._opening is None:
            self._opening = _task(self._connect())
        return await asyncio.shield(self._opening)

    async def _connect(self) -> "_Line":
        try:
            connection: Any = cast(Any, self.connection_pool).make_connection()
            await connection.connect()
            self._line = _Line(connection)
            return self._line
        finally:
            self._opening = None

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001  (redis-py's signature)
        """Close the connection and the pool."""
        if self._line is not None:
            self._line.give_up(RedisConnectionError("the client was closed"))
            await self._line.ended()
        await super().aclose(close_connection_pool)


class _Line:
    """One connection and a task that reads the answers."""

    def __init__(self, connection: Any) -> None:
        self.broken = False
        self._connection = connection
        connection.socket_timeout = None  # whoever asks has a deadline; the line itself waits as long as it is needed
        self._unsent: list[bytes] = []
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._reading = _task(self._read())

    async def ask(self, command: tuple[Any, ...]) -> Any:
        """Send a command with the next turn of the loop; its answer. Who stops waiting leaves the others undisturbed."""
        if self.broken:
            raise RedisConnectionError("the connection broke while it was made")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._unsent:
            loop.call_soon(self._send)
        self._unsent += self._connection.pack_command(*command)
        self._asked.append(future)
        return await future

    def _send(self) -> None:
        # redis-py's own way of sending wants a task and a turn of the loop; a line that is full is seen by the deadlines.
        unsent, self._unsent = self._unsent, []
        if not self.broken:
            self._connection._writer.writelines(unsent)  # noqa: SLF001

    def give_up(self, error: RedisError) -> None:
        """Fail all that wait, and close."""
        self.broken = True
        while self._asked:
            future = self._asked.popleft()
            if not future.done():
                future.set_exception(error)
        if asyncio.current_task() is not self._reading:
            self._reading.cancel()

    async def ended(self) -> None:
        """After `give_up`: until the connection is closed."""
        await asyncio.wait([self._reading])

    async def _read(self) -> None:
        try:
            while True:
                try:
                    answer = await self._connection.read_response(timeout=math.inf, disconnect_on_error=False)
                except ResponseError as error:
                    answer = error
                self._answer(answer)
        except Exception as error:  # whatever it is, nobody reads on
            self.give_up(RedisConnectionError(f"{type(error).__name__}: {error}"))
        finally:
            self.broken = True
            await self._connection.disconnect(nowait=True)

    def _answer(self, answer: Any) -> None:
        future = self._asked.popleft()
        if future.done():  # nobody waits for it any more
            return
        if isinstance(answer, ResponseError):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _task(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """A task that belongs to no request, whichever request happens to begin it."""
    return asyncio.create_task(work, context=contextvars.Context())
