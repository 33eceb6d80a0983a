"""What a Celery task shell needs: one event loop per worker process, made after the fork, with clients and engine."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import structlog
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import telemetry
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender
from shared.context import CallContext, bound
from shared.contracts.tasks import TaskPayload
from shared.db.engine import create_engine
from shared.settings import Settings

PayloadT = TypeVar("PayloadT", bound=TaskPayload)

log = structlog.get_logger()


class WorkerRuntime:
    """The running parts of one worker process. `start` belongs into Celery's `worker_process_init`, never at import."""

    def __init__(self, settings: Settings, sender: TaskSender) -> None:
        self.settings = settings
        self.tasks = sender
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: AsyncEngine | None = None
        self._clients: Clients | None = None

    def start(self) -> None:
        """Start the loop in a thread of its own and open the pools on it. Does nothing when it runs already."""
        if self._loop is not None:
            return
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="atelier-worker-loop", daemon=True).start()
        self._loop = loop
        asyncio.run_coroutine_threadsafe(self._open(), loop).result()

    async def _open(self) -> None:
        self._engine = create_engine(self.settings.database_url, pool_size=2)
        self._clients = Clients(self.settings)

    def stop(self) -> None:
        """Close pools and loop."""
        if self._loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop = None

    async def _close(self) -> None:
        if self._clients is not None:
            await self._clients.__aexit__(None, None, None)
        if self._engine is not None:
            await self._engine.dispose()

    @property
    def engine(self) -> AsyncEngine:
        """This process's database engine."""
        if self._engine is None:
            raise RuntimeError("the worker runtime is not started")
        return self._engine

    @property
    def clients(self) -> Clients:
        """This process's service clients (over HTTP)."""
        if self._clients is None:
            raise RuntimeError("the worker runtime is not started")
        return self._clients

    def run(
        self, payload_type: type[PayloadT], raw: dict[str, Any], handler: Callable[[PayloadT], Awaitable[object]]
    ) -> Any:
        """Decode a payload, bind its tenant, run the handler on the process's loop, return plain data."""
        self.start()
        payload = msgspec.convert(raw, payload_type)
        assert self._loop is not None  # noqa: S101  (start sets it)
        return asyncio.run_coroutine_threadsafe(self._handle(payload, handler), self._loop).result()

    async def _handle(self, payload: PayloadT, handler: Callable[[PayloadT], Awaitable[object]]) -> Any:
        context = CallContext(tenant=payload.tenant, request_id=payload.request_id or str(uuid_utils.uuid7()))
        started = time.perf_counter()
        with bound(context), telemetry.server_span(payload.task, payload.traceparent or ""):
            result = await handler(payload)
            log.info("task.done", task=payload.task, seconds=round(time.perf_counter() - started, 3))
        return msgspec.to_builtins(result)
