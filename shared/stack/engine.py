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
_BLOCK_TOKENS = 32  # prompts differ in their last words only, and shared are whole blocks; vLLM's own 128 on a CPU computed a quarter anew
# The model runs in the engine's own process: "uni" is turned into a worker process on a CPU, which imports everything once
# more (10 s and 650 MiB on two cores) for the threads' places, of which OMP_NUM_THREADS is enough here.
_EXECUTOR = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
_CONVERT_SECONDS = 600
_PROBE_SECONDS = 2.0
_LOAD_SECONDS = 60.0
MAX_RANK = 16
ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class EngineMissingError(Exception):
    """vLLM's environment or the model is not there; the message says how to get it."""


class AdapterRefusedError(Exception):
    """The model server did not load or unload an adapter; the message says what it said."""


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


def environment(adapters: int = 0) -> dict[str, str]:
    """VLLM's own settings: offline, no usage statistics, 1 GiB of cache, a thread a core; may adapters be loaded while it runs?"""
    cores = os.cpu_count() or 1
    own = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "OMP_NUM_THREADS": str(cores),
        **({"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"} if adapters else {}),
    }
    return {**os.environ, **{name: value for name, value in own.items() if name not in os.environ}}


def command(
    python: Path,
    model: str,
    name: str,
    port: int,
    *,
    dtype: str = "",
    eager: bool = True,
    adapters: int = 0,
) -> list[str]:
    """The command line.

    Args:
        python: of vLLM's environment.
        model: folder or name of the weights.
        name: under which it is served.
        port: on loopback.
        dtype: empty: bfloat16 where the CPU has it, else float32.
        eager: without compilation.
        adapters: how many adapters a batch may use; 0: none can be loaded.
    """
    chosen = dtype or ("bfloat16" if cpu.has_bf16() else "float32")
    return [
        str(python), "-m", "vllm.entrypoints.openai.api_server",
        "--model", model, "--served-model-name", name,
        "--host", "127.0.0.1", "--port", str(port),
        "--dtype", chosen, "--max-model-len", str(MAX_MODEL_LEN),
        "--distributed-executor-backend", _EXECUTOR,
        "--no-enable-chunked-prefill", "--max-num-batched-tokens", str(_MAX_BATCHED_TOKENS),
        "--max-num-seqs", str(_MAX_SEQUENCES), "--block-size", str(_BLOCK_TOKENS), "--uvicorn-log-level", "warning",
        *(["--enforce-eager"] if eager else []),
        *(_adapter_options(adapters) if adapters else []),
    ]  # fmt: skip


def _adapter_options(adapters: int) -> list[str]:
    """One place more than adapters: the CPU kernels of 0.32 look up "no adapter", -1, as the last place, which must be empty. Without
    the output layer, whose wrapper dies of a request for the log-probabilities of its prompt.
    """
    return [
        "--enable-lora",
        "--max-loras",
        str(adapters + 1),
        "--max-lora-rank",
        str(MAX_RANK),
        "--lora-target-modules",
        *ADAPTED,
    ]


def create_engine_child(settings: Settings, model: str, port: int, log: Path) -> Child:
    """vLLM, not started yet."""
    adapters = settings.llm_adapters
    line = command(settings.engine_python.absolute(), model, settings.llm_model, port, adapters=adapters)
    return Child("vLLM", line, environment(adapters), log)


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


def load_adapter(base_url: str, name: str, folder: Path, api_key: str = "none") -> None:
    """Have a running vLLM serve an adapter under a name of its own; one of the name that is loaded stays.

    Args:
        base_url: of the server, with /v1. It was started with adapters, and reads the same disk.
        name: under which requests ask for it.
        folder: with adapter_config.json and adapter_model.safetensors, as peft writes them.
        api_key: of the server.

    Raises:
        AdapterRefusedError: no server, none that takes adapters, no such folder for it, or a rank that is too high.
    """
    if name not in _listed(base_url, api_key):
        body: dict[str, object] = {"lora_name": name, "lora_path": str(folder.absolute())}
        _tell(f"{base_url}/load_lora_adapter", body, api_key)


def unload_adapter(base_url: str, name: str, api_key: str = "none") -> None:
    """Have it forget an adapter.

    Raises:
        AdapterRefusedError: no server, or it has no such adapter.
    """
    body: dict[str, object] = {"lora_name": name}
    _tell(f"{base_url}/unload_lora_adapter", body, api_key)


def _listed(base_url: str, api_key: str) -> list[str]:
    try:
        return served_models(base_url, api_key)
    except NoModelServerError as error:
        message = f"the model server does not answer ({error})"
        raise AdapterRefusedError(message) from error


def _tell(url: str, body: dict[str, object], api_key: str) -> None:
    try:
        answer = httpx.post(url, json=body, timeout=_LOAD_SECONDS, headers={"authorization": f"Bearer {api_key}"})
    except httpx.HTTPError as error:
        message = f"the model server does not answer ({type(error).__name__})"
        raise AdapterRefusedError(message) from error
    if answer.is_error:
        closed = answer.status_code == httpx.codes.NOT_FOUND and '"Not Found"' in answer.text
        hint = "; it takes no adapters: start it with LLM_ADAPTERS=1 (vLLM: --enable-lora)" if closed else ""
        message = f"the model server answered {answer.status_code}: {answer.text[:300]}{hint}"
        raise AdapterRefusedError(message)
