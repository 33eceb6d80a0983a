"""vLLM on loopback: its CPU build, in its own virtual environment, serving the default chat model.

The package has no usable `vllm serve` command under its name, so the module behind it is started. A request with a seed
whose prompt is prefilled in pieces kills the CPU engine of 0.32 ("CPU Generator does not use offset"): prompts are
never cut here. See README, "Production", for the server to use on a GPU.
"""

import os
import subprocess
from pathlib import Path

import httpx

from shared import cpu
from shared.settings import Settings
from shared.stack.child import Child

DEFAULT_MODEL = "smollm2-135m-instruct"
MAX_MODEL_LEN = 2048
_MAX_BATCHED_TOKENS = 8192
_MAX_SEQUENCES = 64
_CONVERT_SECONDS = 600
_PROBE_SECONDS = 2.0


class EngineMissingError(Exception):
    """vLLM's environment or the model is not there; the message says how to get it."""


class NoModelServerError(Exception):
    """No model server answers; the message says where it was looked for."""


def prepare_model(settings: Settings, log: Path) -> str:
    """What vLLM shall serve: the converted default model (made here if it is not there), else the named one.

    Raises:
        EngineMissingError: no environment, or the conversion failed.
    """
    python = settings.engine_python.absolute()
    if not python.exists():
        message = f"{settings.engine_python} is not there: run `make engine`, or set LLM_BASE_URL to a server"
        raise EngineMissingError(message)
    if settings.llm_model != DEFAULT_MODEL:
        return settings.llm_model
    target = settings.atelier_data.absolute() / "models" / DEFAULT_MODEL
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("convert_chat_model.py")
        with log.open("ab") as out:
            done = subprocess.run(  # noqa: S603  (our own script)
                [str(python), str(script), str(target)], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                timeout=_CONVERT_SECONDS, check=False,
            )  # fmt: skip
        if done.returncode:
            message = f"the chat model could not be converted, see {log}"
            raise EngineMissingError(message)
    return str(target)


def environment() -> dict[str, str]:
    """VLLM's own settings: offline, no usage statistics, 1 GiB of cache, every core."""
    cores = os.cpu_count() or 1
    own = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": f"0-{cores - 1}",
    }
    return {**os.environ, **{name: value for name, value in own.items() if name not in os.environ}}


def command(python: Path, model: str, name: str, port: int, *, dtype: str = "", eager: bool = True) -> list[str]:
    """The command line. `dtype` empty: bfloat16 where the CPU has it, else float32."""
    chosen = dtype or ("bfloat16" if cpu.has_bf16() else "float32")
    return [
        str(python), "-m", "vllm.entrypoints.openai.api_server",
        "--model", model, "--served-model-name", name,
        "--host", "127.0.0.1", "--port", str(port),
        "--dtype", chosen, "--max-model-len", str(MAX_MODEL_LEN),
        "--no-enable-chunked-prefill", "--max-num-batched-tokens", str(_MAX_BATCHED_TOKENS),
        "--max-num-seqs", str(_MAX_SEQUENCES), "--uvicorn-log-level", "warning",
        *(["--enforce-eager"] if eager else []),
    ]  # fmt: skip


def create_engine_child(settings: Settings, model: str, port: int, log: Path) -> Child:
    """vLLM, not started yet."""
    line = command(settings.engine_python.absolute(), model, settings.llm_model, port)
    return Child("vLLM", line, environment(), log)


def served_models(base_url: str, api_key: str = "none") -> list[str]:
    """The names of the models that an OpenAI-compatible server lists.

    Raises:
        NoModelServerError: nothing that answers so is there.
    """
    try:
        answer = httpx.get(f"{base_url}/models", timeout=_PROBE_SECONDS, headers={"authorization": f"Bearer {api_key}"})
        return [str(model["id"]) for model in answer.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        message = f"{base_url}: {type(error).__name__}"
        raise NoModelServerError(message) from error


def is_ready(base_url: str, model: str, api_key: str = "none") -> bool:
    """Does the server list the model?"""
    try:
        return model in served_models(base_url, api_key)
    except NoModelServerError:
        return False
