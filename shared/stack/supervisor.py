"""The embedded default: every part that no setting names is started on loopback, in order, watched, and stopped.

Order: vLLM in the background (it is the slowest), Postgres and Valkey, migrations, the services, the worker.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import msgspec

from shared.progress import Report, silent
from shared.settings import Settings
from shared.stack import engine
from shared.stack.child import Child
from shared.stack.postgres import Postgres
from shared.stack.run_folder import RunFolder, Running, is_free
from shared.stack.valkey import Valkey

_READY_SECONDS = 600.0  # the first start converts the text model, beside vLLM doing the same
_ENGINE_SECONDS = 600.0
_SERVER_SECONDS = 10.0  # a model server of somebody else's is there or it is not
_TEND_SECONDS = 1.0
_POLL_SECONDS = 0.2
_RESTARTS = 5
_CALM_SECONDS = 60.0


class StartError(Exception):
    """A part did not come up; the message names it, the end of its log, and the log."""


class Parts(msgspec.Struct, frozen=True):
    """What the suite itself consists of: commands of its processes, and the function that migrates a database."""

    services: Sequence[str]
    worker: Sequence[str]
    beat: Sequence[str]
    migrate: Callable[[str], object]


class Stack:
    """A suite that runs. `engine_problem` says why there is no model server, "" while all is well."""

    def __init__(self, settings: Settings, run: RunFolder, parts: Parts) -> None:
        self._run = run
        self._parts = parts
        self._report: Report = silent
        self._logs = run.path.parent / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._children: list[Child] = []
        self._restarts: dict[str, list[float]] = {}
        self._servers = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._engine_ready: Future[bool] = Future()
        self.engine_problem = ""
        self.settings = msgspec.structs.replace(settings, atelier_data=settings.atelier_data.absolute())

    def start(self, report: Report = silent) -> None:
        """Start all, telling `report` each step; returns when the services answer. vLLM may still be loading, see `wait_for_engine`.

        Raises:
            StartError: a part did not come up.
        """
        self._report, given = report, self.settings
        port = self._public_port(given)
        llm = given.llm_base_url or f"http://127.0.0.1:{self._run.port('vllm', 8901)}/v1"
        named = msgspec.structs.replace(given, port=port, llm_base_url=llm)
        threading.Thread(target=self._start_engine, args=(named, not given.llm_base_url), daemon=True).start()
        with ThreadPoolExecutor(2) as pool:
            database, redis = pool.submit(self._postgres, given), pool.submit(self._valkey, given)
            self.settings = msgspec.structs.replace(
                named,
                database_url=database.result(),
                redis_url=redis.result(),
                internal_token=given.internal_token or self._run.secret("internal-token"),
            )
        with self._step("database schema"):
            self._parts.migrate(self.settings.database_url)
        services = self._launch("services", self._parts.services)
        with self._step("services"):
            self._wait_for(services, f"{self.settings.self_url}/health/live")
        self._launch("worker", self._parts.worker)
        self._launch("beat", self._parts.beat)
        self._run.publish(
            Running(pid=os.getpid(), url=self.settings.self_url, database_url=self.settings.database_url,
                    redis_url=self.settings.redis_url, llm_base_url=self.settings.llm_base_url)
        )  # fmt: skip

    def _public_port(self, given: Settings) -> int:
        if is_free(given.port):
            return given.port
        if "PORT" in os.environ:
            message = f"port {given.port} is taken by another program; set PORT to a free one"
            raise StartError(message)
        return self._run.port("public")

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self._report(name, 0, 0)
        yield
        self._report(name, 1, 1)

    def _postgres(self, given: Settings) -> str:
        if given.database_url:
            return given.database_url
        with self._step("Postgres"):
            server = Postgres(given.atelier_data / "postgres")
            self._servers.callback(server.stop)
            return server.url

    def _valkey(self, given: Settings) -> str:
        if given.redis_url:
            return given.redis_url
        with self._step("Valkey"):
            server = Valkey(given.atelier_data / "valkey", port=self._run.port("valkey"), log=self._logs / "valkey.log")
            self._run.record("valkey", server.process.pid)
            self._servers.callback(server.stop)
            return server.url

    def _start_engine(self, settings: Settings, ours: bool) -> None:  # noqa: FBT001
        try:
            if ours:
                log = self._logs / "vllm.log"
                with self._step("chat model"):
                    model = engine.prepare_model(settings, log)
                port = int(settings.llm_base_url.rsplit(":", 1)[1].split("/")[0])
                self._add(engine.create_engine_child(settings, model, port, log))
            self._report("vLLM", 0, 0)
            seconds = _ENGINE_SECONDS if ours else _SERVER_SECONDS
            self._engine_ready.set_result(self._engine_comes_up(settings, seconds))
        except Exception as error:
            self.engine_problem = str(error)
            self._engine_ready.set_result(False)

    def _engine_comes_up(self, settings: Settings, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._stopping.wait(_POLL_SECONDS):
            if engine.is_ready(settings.llm_base_url, settings.llm_model, settings.llm_api_key):
                self._report("vLLM", 1, 1)
                return True
            child = next((c for c in self._children if c.name == "vLLM"), None)
            if child and not child.running and len(self._restarts.get("vLLM", [])) >= _RESTARTS:
                break
        self.engine_problem = f"no model server answers at {settings.llm_base_url}, see {self._logs / 'vllm.log'}"
        return False

    def wait_for_engine(self) -> bool:
        """Wait until vLLM serves the model, tending the other parts; False when it does not, see `engine_problem`."""
        while True:
            try:
                return self._engine_ready.result(timeout=_TEND_SECONDS)
            except TimeoutError:
                self.tend()

    def _environment(self) -> dict[str, str]:
        set_here = ("database_url", "redis_url", "llm_base_url", "llm_model", "port", "internal_token")
        values = {name.upper(): str(getattr(self.settings, name)) for name in set_here}
        return {**os.environ, **values, "ATELIER_DATA": str(self.settings.atelier_data.absolute()),
                "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "DO_NOT_TRACK": "1"}  # fmt: skip

    def _launch(self, name: str, line: Sequence[str]) -> Child:
        child = Child(name, line, self._environment(), self._logs / f"{name}.log")
        self._add(child)
        return child

    def _add(self, child: Child) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            self._begin(child)
            self._children.append(child)

    def _begin(self, child: Child) -> None:
        child.start()
        if child.process:
            self._run.record(child.name, child.process.pid)

    def _wait_for(self, child: Child, url: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if not child.running:
                break
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url, timeout=2).status_code == httpx.codes.OK:
                    return
            time.sleep(_POLL_SECONDS)
        message = f"{child.name} did not come up. The end of {child.log}:\n{child.last_lines()}"
        raise StartError(message)

    def tend(self) -> list[str]:
        """Start again what has died; returns a line for each. A part that dies five times a minute stays down."""
        said = []
        with self._lock:
            for child in self._children:
                if child.running or self._stopping.is_set():
                    continue
                now = time.monotonic()
                recent = [at for at in self._restarts.get(child.name, []) if now - at < _CALM_SECONDS]
                if len(recent) >= _RESTARTS:
                    continue
                self._restarts[child.name] = [*recent, now]
                said.append(f"{child.name} ended with status {child.exit_status}; started again (log: {child.log})")
                self._begin(child)
        return said

    def stop(self) -> None:
        """Stop everything that was started here, the servers last."""
        self._stopping.set()
        with self._lock:
            for child in reversed(self._children):
                child.ask()
            for child in reversed(self._children):
                child.stop()
        self._servers.close()
