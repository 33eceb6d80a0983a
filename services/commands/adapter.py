"""Adapters of the chat model on a running vLLM: `adapter load|unload`. Which tenant's copy they write is GENERATION_ADAPTERS' word."""

from pathlib import Path
from typing import Annotated

import typer

from services.commands.context import console, explained, running_settings
from services.commands.decision import Tenant, as_tenant
from services.training.registry import Registry
from shared.contracts.training import ModelVersion, MoveStage, Stage
from shared.errors import ConflictError, InvalidInputError
from shared.settings import load_settings
from shared.stack import engine

app = typer.Typer(help="Adapters of the chat model on the running vLLM.", no_args_is_help=True)
ModelName = Annotated[str, typer.Argument(help="Name of the model.")]
Number = Annotated[int, typer.Argument(help="Its version.")]
_UNJUDGED: tuple[Stage, ...] = ("apprentice", "retired")


def served_name(tenant: str, model_key: str, version: int) -> str:
    """The name of an adapter on the model server: no two tenants or versions share one."""
    return f"{tenant}.{model_key}.v{version}"


def folder_of(tenant: str, model_key: str, version: int) -> Path:
    """The files of a registered adapter, checked against their sums.

    Raises:
        InvalidInputError: it is no adapter of the chat model.
        DamagedModelError: they are not what was stored.
    """
    card = as_tenant(tenant, lambda clients: clients.training.card(model_key, version)).card
    if card.objective != "copy":
        message = f"{model_key} {version} is a model of {card.objective}, not an adapter of the chat model"
        raise InvalidInputError(message)
    registry = Registry("", load_settings().atelier_data / "models" / "registry")
    registry.files(tenant, model_key, card.lineage.run_id)
    return registry.place(tenant, model_key, card.lineage.run_id)


def judged(tenant: str, model_key: str, version: int, objections: list[str], figures: str) -> ModelVersion:
    """Move a version to where its judgement puts it: an apprentice that is no worse to shadow, one that is worse to retired."""
    to: Stage = "retired" if objections else "shadow"
    reason = "; ".join([*(["worse: " + ", ".join(objections)] if objections else ["judged no worse"]), figures])
    one = as_tenant(tenant, lambda clients: clients.training.version(model_key, version))
    if one.stage == to or (to == "shadow" and one.stage != "apprentice"):
        return one
    move = MoveStage(to=to, by="evals", reason=reason[:1000])
    return as_tenant(tenant, lambda clients: clients.training.move(model_key, version, move))


@app.command()
def load(model: ModelName, version: Number, tenant: Tenant = "demo") -> None:
    """Load a judged version into the running vLLM, without a restart."""
    with explained():
        stage = as_tenant(tenant, lambda clients: clients.training.version(model, version)).stage
        if stage in _UNJUDGED:
            message = (
                f"{model} {version} is {stage}: judge it first, python -m evals generation --adapter {model}@{version}"
            )
            raise ConflictError(message)
        settings, name = running_settings(), served_name(tenant, model, version)
        engine.load_adapter(settings.llm_base_url, name, folder_of(tenant, model, version), settings.llm_api_key)
        console.print(f"{name} is served; GENERATION_ADAPTERS={tenant}={name} has it write")


@app.command()
def unload(model: ModelName, version: Number, tenant: Tenant = "demo") -> None:
    """Have the running vLLM forget a version; the model as it is writes on."""
    with explained():
        settings, name = running_settings(), served_name(tenant, model, version)
        engine.unload_adapter(settings.llm_base_url, name, settings.llm_api_key)
        console.print(f"{name} is not served any more")
