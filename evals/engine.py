"""The model server of a run: the one that LLM_BASE_URL names, else the bundled vLLM, started on loopback and stopped afterwards."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from evals.runs import BadRunError
from shared.settings import Settings, load_settings
from shared.stack import engine
from shared.stack.valkey import free_port

_START_SECONDS = 420
_POLL_SECONDS = 0.5


@contextmanager
def running(adapters: int = 0) -> Iterator[Settings]:
    """Settings whose model server answers; the bundled one takes so many adapters.

    Raises:
        BadRunError: there is none, and the bundled one cannot be started.
    """
    settings = load_settings()
    settings = msgspec.structs.replace(settings, llm_adapters=max(settings.llm_adapters, adapters))
    if settings.llm_base_url:
        if not engine.is_ready(settings.llm_base_url, settings.llm_model, settings.llm_api_key):
            raise BadRunError(f"{settings.llm_base_url} does not serve {settings.llm_model}")
        yield settings
        return
    log = settings.atelier_data / "evals" / "vllm.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        model = engine.prepare_model(settings, log)
    except engine.EngineMissingError as error:
        raise BadRunError(str(error)) from error
    port = free_port()
    child = engine.create_engine_child(settings, model, port, log)
    child.start()
    try:
        url, began = f"http://127.0.0.1:{port}/v1", time.monotonic()
        while not engine.is_ready(url, settings.llm_model):
            if not child.running or time.monotonic() - began > _START_SECONDS:
                raise BadRunError(f"vLLM does not start: {child.last_lines(20)}")
            time.sleep(_POLL_SECONDS)
        yield msgspec.structs.replace(settings, llm_base_url=url)
    finally:
        child.stop()
