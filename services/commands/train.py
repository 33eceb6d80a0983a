"""`train`: make a model. Of the tenant's own log: as a job of the running suite. Of files and public data: here, on request
registered with the suite that runs.
"""

import asyncio
import datetime as dt
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
import uuid_utils
from rich.table import Table

from services.commands.context import console, explained, running_settings
from services.commands.decision import Tenant, as_tenant
from services.training import cards, gates, pipelines, plans
from services.training.assembly import assemble
from services.training.trained import Order, Trained
from services.training.versions import code_version
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender, create_celery
from shared.context import CallContext, bound
from shared.contracts.training import Columns, TrainingJob, TrainingRequest
from shared.db.engine import create_engine
from shared.errors import InvalidInputError, UnavailableError
from shared.files import replace_file
from shared.progress import console_progress
from shared.settings import load_settings

ResultT = TypeVar("ResultT")
_POLL_SECONDS = 0.5
_DEFAULTS = {"propensity": "decisions", "recommendation": "complete-journey", "uplift": "table", "value": "cdnow", "bandit": "decisions",
             "adapter": "table", "copy": "approved-copy"}  # fmt: skip


def train(
    objective: Annotated[str | None, typer.Argument(help=f"One of {', '.join(plans.SOURCES)}.")] = None,
    file: Annotated[Path | None, typer.Argument(help="CSV or Parquet file to learn from (all but bandit).")] = None,
    pipeline: Annotated[Path | None, typer.Option(help="A pipeline file, or the name of one of the repository's.")] = None,
    dataset: Annotated[str | None, typer.Option(help="decisions, complete-journey, movielens-100k, cdnow, synthetic-uplift, approved-copy; a file is a table.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model; the objective's if left out.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Column of the outcome (0/1, yes/no, a number; recommendation: what was bought).")] = None,
    treatment: Annotated[str | None, typer.Option(help="Column that says who was treated (uplift).")] = None,
    propensity: Annotated[str | None, typer.Option(help="Known chance of treatment: a number or a column; estimated if left out.")] = None,
    entity: Annotated[str | None, typer.Option(help="Column of the person or household.")] = None,
    value: Annotated[str | None, typer.Option(help="Column of an amount.")] = None,
    observed: Annotated[str | None, typer.Option(help="Column of the time at which the inputs held, or of the purchase.")] = None,
    features: Annotated[str, typer.Option(help="Columns to learn from, with commas; all others if left out.")] = "",
    space: Annotated[str | None, typer.Option(help="text, or image: the outcome names the tenant's assets, of the suite that runs (adapter).")] = None,
    trials: Annotated[int, typer.Option(min=0, max=500, help="Settings that Optuna may try; 0 takes the defaults.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, data and code make the same model.")] = 0,
    register: Annotated[bool, typer.Option("--register", help="Keep the model in the registry of the running suite.")] = False,  # noqa: FBT002
    out: Annotated[Path | None, typer.Option(help="Folder for the model's files and its card.")] = None,
    tenant: Tenant = "demo",
) -> None:  # fmt: skip
    """Train a model and show how good it is beside a simple rule.

    From the decision log a job of the running suite does it and the version is registered; from files and public data it happens
    here. `--pipeline FILE` runs a pinned data set, trainer, parameters, seed and gates; a gate that fails ends with status 1.
    """
    with explained():
        if pipeline is not None:
            request, wanted = _of_pipeline(pipeline)
        elif objective is None or objective not in plans.SOURCES:
            message = f"objective {objective!r} is none; there are {', '.join(plans.SOURCES)} (or give --pipeline)"
            raise InvalidInputError(message)
        else:
            columns = None
            if file is not None:
                fields = {"outcome": outcome or value or "", "treatment": treatment, "entity": entity, "value": value, "observedAt": observed,
                          "propensity": _number_or_name(propensity), "features": [f for f in features.split(",") if f]}  # fmt: skip
                columns = msgspec.convert(fields, Columns)
            source = "table" if file is not None else dataset or _DEFAULTS[objective]
            body = {"modelKey": model or objective, "objective": objective, "trials": trials, "seed": seed, "requestedBy": "command", "parameters": {"space": space} if space else {},
                    "dataset": {"source": source, "path": str(file.absolute()) if file else None}}  # fmt: skip
            request, wanted = _request(body), None
            request.dataset.columns = columns
        plans.check(request)
        if request.dataset.source in plans.REMOTE:
            _show_job(_remote(request, tenant), tenant)
            return
        trained = _here(request, tenant)
        _finish(request, tenant, trained, wanted, register=register, out=out)


def _request(body: dict[str, Any]) -> TrainingRequest:
    try:
        return msgspec.convert(body, TrainingRequest)
    except msgspec.ValidationError as error:
        raise InvalidInputError(str(error)) from error


def _number_or_name(given: str | None) -> str | float | None:
    try:
        return float(given) if given is not None else None
    except ValueError:
        return given


def _of_pipeline(path: Path) -> tuple[TrainingRequest, pipelines.Pipeline]:
    found = pipelines.read(path)
    return found.request("pipeline"), found


def _order(request: TrainingRequest, tenant: str) -> Order:
    return Order(
        tenant=tenant,
        model_key=request.model_key,
        seed=request.seed,
        trials=request.trials,
        threads=os.cpu_count() or 1 if request.objective == "copy" else 1,
        parameters=request.parameters,
    )


def _here(request: TrainingRequest, tenant: str) -> Trained:
    with console_progress(console) as report:
        report("data", 0, 1)
        order = _order(request, tenant)
        if plans.asks_suite(request):
            work = as_tenant(tenant, lambda clients: plans.plan(request, order, clients))
        else:
            work = asyncio.run(plans.plan(request, order, None))
        report("data", 1, 1)
        return work(report)


def _finish(
    request: TrainingRequest,
    tenant: str,
    trained: Trained,
    wanted: pipelines.Pipeline | None,
    *,
    register: bool,
    out: Path | None,
) -> None:
    order = _order(request, tenant)
    card = cards.card_of(trained, order, request.objective, code_version(), dt.datetime.now(dt.UTC))
    _print_figures(card.figures)
    verdict = "[green]beats[/]" if trained.beats_baseline else "[bold red]does not beat[/]"
    console.print(
        f"{trained.algorithm}: {verdict} {trained.baseline}; model {trained.hash[:16]}, data {trained.data.hash[:16]}"
    )
    for note in trained.notes:
        console.print(f"  {note}", style="dim")
    if wanted is not None:
        outcomes = gates.judge(trained, wanted.gates)
        for one in outcomes:
            console.print(
                f"gate {one.gate.figure}: {'[green]passed[/]' if one.passed else f'[bold red]failed[/] {one.said}'}"
            )
        gates.insist(outcomes)
        if wanted.model_hash and not trained.hash.startswith(wanted.model_hash):
            message = f"the model is {trained.hash[:16]}, the pipeline pins {wanted.model_hash[:16]}"
            raise InvalidInputError(message)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in {
            **trained.files,
            **trained.people,
            "card.md": cards.markdown(card).encode(),
            "card.json": msgspec.json.encode(card),
        }.items():
            replace_file(out / name, data)
        console.print(f"kept in {out}")
    if register:
        version = _registered(request, order, trained)
        console.print(f"registered as {request.model_key} version {version}, an apprentice")


def _registered(request: TrainingRequest, order: Order, trained: Trained) -> int:
    settings = running_settings()

    async def run() -> int:
        engine = create_engine(settings.database_url, pool_size=2)
        try:
            async with Clients(settings) as clients:
                with bound(CallContext(tenant=order.tenant, request_id=str(uuid_utils.uuid7()))):
                    service = assemble(settings, engine, clients, TaskSender(create_celery(settings.redis_url)))
                    return await service.register(order.tenant, request, order, trained)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def _remote(request: TrainingRequest, tenant: str) -> TrainingJob:
    """Queue a job and follow it to its end."""
    with console_progress(console) as report:
        job = as_tenant(tenant, lambda clients: clients.training.train(request))
        while job.state in {"pending", "in progress"}:
            time.sleep(_POLL_SECONDS)
            job = as_tenant(tenant, _asked(job.job_id))
            report(job.step or job.state, job.done, job.total)
    return job


def _asked(job_id: str) -> Callable[[Clients], Awaitable[TrainingJob]]:
    return lambda clients: clients.training.job(job_id)


def _show_job(job: TrainingJob, tenant: str) -> None:
    if job.state != "success" or job.version is None:
        message = f"training {job.state}: {job.problem}"
        raise UnavailableError(message)
    version = job.version
    found = as_tenant(tenant, lambda clients: clients.training.card(job.model_key, version))
    _print_figures(found.card.figures)
    console.print(f"{job.model_key} version {version}, an apprentice; scorer {found.card.lineage.scorer_id or 'none'}")


def _print_figures(figures: list[Any]) -> None:
    table = Table("figure", "value", "95 %", "baseline", "")
    for one in figures:
        interval = "" if one.low is None else f"{one.low:.4f} to {one.high:.4f}"
        table.add_row(
            one.name, f"{one.value:.4f}", interval, "" if one.baseline is None else f"{one.baseline:.4f}", one.note
        )
    console.print(table)


def models(tenant: Tenant = "demo") -> None:
    """The tenant's models: what is deployed, the newest version, the last training job."""
    with explained():
        found = as_tenant(tenant, lambda clients: clients.training.models())
        table = Table("model", "objective", "currently deployed", "newest", "last training job")
        for one in found.models:
            table.add_row(
                one.model_key,
                one.objective,
                str(one.currently_deployed_model or "-"),
                str(one.newest_version),
                one.last_training_job or "-",
            )
        console.print(
            table
            if found.models
            else f"tenant {tenant} has no models; folder {load_settings().atelier_data / 'models'}"
        )
