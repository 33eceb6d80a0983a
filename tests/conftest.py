"""Real servers for every test: Postgres and Valkey once a session, a fresh database made by the real migrations."""

import functools
import gc
import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    RAGAS_DO_NOT_TRACK="true",
    DO_NOT_TRACK="1",
    VLLM_NO_USAGE_STATS="1",
    TOKENIZERS_PARALLELISM="false",
    # Two processes test on two cores: threads that wait for each other would spin while the other process has the core.
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
)

import psycopg
import pytest
import redis
from filelock import FileLock
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncEngine
from xdist.scheduler import LoadFileScheduling

from shared.db.engine import create_engine
from shared.db.migrate import upgrade
from shared.settings import Settings
from shared.stack.engine import DEFAULT_MODEL, EngineMissingError, create_engine_child, is_ready, prepare_model
from shared.stack.postgres import Postgres
from shared.stack.valkey import Valkey, free_port

# What tests import is a million objects that stay: looking through them as often as Python does took a tenth of the time.
gc.set_threshold(5000, 10, 20)
pytest_plugins = ("tests.journeys.suite",)
ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_connect = socket.socket.connect


def _connect_here(self: socket.socket, address: Any) -> Any:
    if isinstance(address, tuple) and address[0] not in LOOPBACK and not str(address[0]).startswith("127."):
        message = f"a test tried to reach {address!r}; tests stay on this machine"
        raise RuntimeError(message)
    return _connect(self, address)


socket.socket.connect = _connect_here  # type: ignore[method-assign]


class _ByFile(LoadFileScheduling):
    """Where several processes test (`-n 2`): a file stays together, and all that needs vLLM, so that it starts once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "engine" if _needs_engine(file) else file


@functools.cache
def _needs_engine(file: str) -> bool:
    return "pytest.mark.engine" in (ROOT / file).read_text(encoding="utf-8")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFile:
    return _ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs vLLM comes first: it is the longest, and no process should end alone with it."""
    items.sort(key=lambda item: item.get_closest_marker("engine") is None)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A short path: Unix sockets allow about 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix="atl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Postgres]:
    # As root the package makes a system user: two processes of tests may not do so at once.
    with FileLock(Path(tempfile.gettempdir()) / "atelier-tests.lock"):
        server = Postgres(server_folder / "pg")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(server_folder: Path) -> Iterator[Valkey]:
    server = Valkey(server_folder / "valkey")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    return postgres.url


@pytest.fixture(scope="session")
def redis_url(valkey: Valkey) -> str:
    return valkey.url


@pytest.fixture(scope="session")
def migrated_services() -> list[str]:
    return sorted(p.parent.name for p in (ROOT / "services").glob("*/migrations"))


@pytest.fixture(scope="session")
def database(postgres: Postgres, migrated_services: list[str]) -> str:
    """The URL of a database that the real migrations made."""
    url = postgres.create_database("atelier_test")
    for service in migrated_services:
        upgrade(service, url)
    return url


@pytest.fixture
def clean_database(database: str, migrated_services: list[str], redis_url: str) -> str:
    """The same database with every table of every service empty, and an empty Redis."""
    redis.from_url(redis_url).flushdb()
    empty(database, migrated_services)
    return database


def empty(database_url: str, services: Sequence[str]) -> None:
    """Empty the tables of some services. Only what holds rows is truncated: each truncation makes new files."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        # A request that a test left hanging must fail the next test at once, with a lock error, not hang it.
        connection.execute("SET lock_timeout = '15s'")
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s) AND tablename <> 'alembic_version'",
            (list(services),),
        ).fetchall()
        names = [sql.Identifier(*table) for table in tables]
        asked = sql.SQL(", ").join(sql.SQL("EXISTS (SELECT FROM {})").format(name) for name in names)
        holds = connection.execute(sql.SQL("SELECT {}").format(asked)).fetchone() or ()
        full = [name for name, held in zip(names, holds, strict=True) if held]
        while full:
            try:
                connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(full)))
                break
            except psycopg.errors.DeadlockDetected:  # with a host that is still at work on these tables: it goes first
                continue


@pytest.fixture(scope="session")
def settings(database: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a suite whose servers are the session's; no model server."""
    return Settings(
        atelier_data=tmp_path_factory.mktemp("data"),
        database_url=database,
        redis_url=redis_url,
        redis_ms=3000,  # a machine that does something else for a second is no dead Redis
        internal_token="test-token",
        llm_base_url="",
        port=free_port(),  # nobody there: services that a test does not run are unreachable, also beside `atelier up`
    )


@pytest.fixture(scope="session")
def engine_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds the converted chat model; vLLM's environment is needed (`make engine`)."""
    data = tmp_path_factory.mktemp("engine")
    settings = Settings(atelier_data=data, engine_python=ROOT / ".venv-engine" / "bin" / "python")
    try:
        prepare_model(settings, data / "convert.log")
    except EngineMissingError as error:
        pytest.skip(str(error))
    return data / "models"


@contextmanager
def model_server(engine_models: Path, adapters: int = 0) -> Iterator[str]:
    """The URL of a real vLLM with the default chat model; `adapters`: how many a batch may use."""
    python = ROOT / ".venv-engine" / "bin" / "python"
    settings = Settings(atelier_data=engine_models.parent, engine_python=python, llm_adapters=adapters)
    port = free_port()
    child = create_engine_child(
        settings, str(engine_models / DEFAULT_MODEL), port, engine_models / f"vllm-{adapters}.log"
    )
    child.start()
    url, deadline = f"http://127.0.0.1:{port}/v1", time.monotonic() + 600
    try:
        while not is_ready(url, DEFAULT_MODEL):
            assert child.running, child.last_lines(20)
            assert time.monotonic() < deadline, child.last_lines(20)
            time.sleep(0.5)
        yield url
    finally:
        child.stop()


@pytest.fixture(scope="session")
def engine_url(engine_models: Path) -> Iterator[str]:
    """One for all tests that need no adapters: with them vLLM 0.32 on a CPU now and then dies (docs/lora.md)."""
    with model_server(engine_models) as url:
        yield url


@pytest.fixture
async def engine(clean_database: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the emptied database."""
    made = create_engine(clean_database, pool_size=4)
    yield made
    await made.dispose()
