"""Settings from the environment: one typed struct per concern, read once at start and passed along, never at import."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


class SettingsError(Exception):
    """A setting cannot be read; the message names the variable, what was given and what is allowed."""


def describe(text: str) -> msgspec.Meta:
    """The documentation of one setting; `docs/settings.md` is checked against it."""
    return msgspec.Meta(description=text)


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is Path:
        return Path(value)
    message = f"no setting may be of type {kind}"
    raise TypeError(message)


def read_env(cls: type[SettingsT], environ: Mapping[str, str] | None = None) -> SettingsT:
    """Fill a settings struct from environment variables named like its fields in upper case.

    Raises:
        SettingsError: a variable does not convert to its field's type.
    """
    source = os.environ if environ is None else environ
    given = {f.name: source[f.name.upper()] for f in msgspec.structs.fields(cls) if source.get(f.name.upper())}
    for name, value in given.items():
        try:
            msgspec.convert({name: value}, cls, strict=False, dec_hook=_decode)
        except msgspec.ValidationError as error:
            message = f"{name.upper()}={value!r} is not valid: {error}"
            raise SettingsError(message) from error
    return msgspec.convert(given, cls, strict=False, dec_hook=_decode)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every process of the suite needs to know. Empty URLs mean: the bundled server started by `atelier up`."""

    atelier_data: Annotated[Path, describe("Folder of everything written at run time")] = Path(".atelier")
    atelier_service: Annotated[
        str, describe("What this process serves: all, or one service; `atelier serve` sets it")
    ] = "all"
    database_url: Annotated[str, describe("Postgres, postgresql://user:password@host:port/name")] = ""
    redis_url: Annotated[
        str, describe("Redis or Valkey, redis://host:port/0; broker, results, limits, idempotency")
    ] = ""
    redis_ms: Annotated[
        int, describe("Milliseconds Redis may take on the way of a request before it goes on without")
    ] = 400
    qdrant_url: Annotated[str, describe("Qdrant server, http://host:6333; empty: Qdrant's engine inside retrieval")] = (
        ""
    )
    llm_base_url: Annotated[str, describe("OpenAI-compatible server (vLLM), http://host:8000/v1")] = ""
    llm_model: Annotated[str, describe("Name of the chat model as the server lists it")] = "smollm2-135m-instruct"
    llm_api_key: Annotated[str, describe("API key of the model server, if it wants one")] = "none"
    llm_adapters: Annotated[
        int, describe("Adapters of the chat model that one batch of the bundled vLLM may use; 0: none can be loaded")
    ] = 0
    engine_python: Annotated[Path, describe("Python of vLLM's own environment, started when LLM_BASE_URL is empty")] = (
        Path(".venv-engine/bin/python")
    )
    host: Annotated[str, describe("Address the public API listens on")] = "127.0.0.1"
    port: Annotated[int, describe("Port the public API listens on")] = 8080
    public_url: Annotated[
        str, describe("URL under which this process reaches itself; empty: http://127.0.0.1:PORT")
    ] = ""
    internal_token: Annotated[str, describe("Secret that services show each other; made by `atelier up` if empty")] = ""
    profiles_url: Annotated[str, describe("Where the profiles service runs; empty: in this process")] = ""
    events_url: Annotated[str, describe("Where the events service runs; empty: in this process")] = ""
    retrieval_url: Annotated[str, describe("Where the retrieval service runs; empty: in this process")] = ""
    generation_url: Annotated[str, describe("Where the generation service runs; empty: in this process")] = ""
    experiments_url: Annotated[str, describe("Where the experiments service runs; empty: in this process")] = ""
    governance_url: Annotated[str, describe("Where the governance service runs; empty: in this process")] = ""
    evaluation_url: Annotated[str, describe("Where the evaluation service runs; empty: in this process")] = ""
    batches_url: Annotated[str, describe("Where the batches service runs; empty: in this process")] = ""
    features_url: Annotated[str, describe("Where the features service runs; empty: in this process")] = ""
    features_broker_url: Annotated[
        str, describe("Where accepted events are streamed, redis:// or kafka://host:port; empty: REDIS_URL")
    ] = ""
    training_url: Annotated[str, describe("Where the training service runs; empty: in this process")] = ""
    decisions_url: Annotated[str, describe("Where the decisions service runs; empty: in this process")] = ""
    log_level: Annotated[str, describe("debug, info, warning or error; no customer text is logged at info")] = "info"
    log_json: Annotated[bool, describe("One JSON object a line (true) or readable lines (false)")] = True
    max_body_bytes: Annotated[int, describe("Largest JSON body accepted")] = 1_000_000
    max_image_bytes: Annotated[int, describe("Largest image upload accepted")] = 10_000_000
    max_import_bytes: Annotated[int, describe("Largest import file accepted over HTTP")] = 2_000_000_000
    otel_exporter_otlp_endpoint: Annotated[
        str, describe("OTLP/HTTP collector for traces; empty: none are exported")
    ] = ""
    database_pool_size: Annotated[int, describe("Postgres connections per service process")] = 8

    @property
    def redis_seconds(self) -> float:
        """How long Redis may take on the way of a request."""
        return self.redis_ms / 1000

    @property
    def self_url(self) -> str:
        """The URL of this process, for calls that must not go through the in-process transport (token streams)."""
        return self.public_url or f"http://127.0.0.1:{self.port}"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The suite's settings from the environment."""
    return read_env(Settings, environ)
