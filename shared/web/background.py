"""Work that a service does beside answering, from start to stop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger()

_AGAIN_SECONDS = 0.5


async def every(
    seconds: float,
    work: Callable[[], Awaitable[Any]],
    failed: str,
    lock: asyncio.Lock | None = None,
    *,
    at_once: bool = False,
) -> None:
    """Do the work again and again, with a pause before each time, before the first only if not `at_once`; a failure is
    logged under `failed` and forgotten.

    `lock` is held while the work is done: given to `background` as well, the work is not cut off in the middle.
    """
    pause = 0.0 if at_once else seconds
    while True:
        await asyncio.sleep(pause)
        pause = seconds
        try:
            async with lock or contextlib.nullcontext():
                await work()
        except Exception as error:
            log.warning(failed, kind=type(error).__name__, detail=str(error)[:200])


@asynccontextmanager
async def background(
    *works: Coroutine[Any, Any, None], quiet: Iterable[AbstractAsyncContextManager[Any]] = ()
) -> AsyncIterator[None]:
    """Run endless works inside the block; left, they are cancelled inside of all of `quiet`, and waited for.

    A query that is cut off leaves its connection unusable, and its locks in the database until somebody notices: what
    works with a database gives its lock here. Cancelled until they end: a client library that is just then giving up on a connection turns the cancellation into
    its own error, and a loop that forgives errors would run on for ever.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        async with contextlib.AsyncExitStack() as stack:
            for one in quiet:
                await stack.enter_async_context(one)
            for task in tasks:
                task.cancel()
        waiting = set(tasks)
        while waiting:
            ended, waiting = await asyncio.wait(waiting, timeout=_AGAIN_SECONDS)
            for task in waiting:
                task.cancel()
            for task in ended:
                if not task.cancelled() and (error := task.exception()):
                    log.warning("background.failed", kind=type(error).__name__, detail=str(error)[:200])
