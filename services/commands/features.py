"""`features`: which numbers there are, computing them anew, and one person's."""

import datetime as dt
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from services.commands.context import console, explained
from services.commands.decision import as_tenant
from shared.clients.bundle import Clients
from shared.contracts.features import FeatureRun, MaterialiseRequest, OnlineAnswer, OnlineQuery
from shared.errors import AtelierError, InvalidInputError
from shared.progress import console_progress

app = typer.Typer(help="Features: list them, compute them anew, show a person's.", no_args_is_help=True)
Tenant = Annotated[str, typer.Option(help="The tenant.")]
_POLL_SECONDS = 0.3


class ComputingFailedError(AtelierError):
    """The features could not be computed; the message says why."""

    title = "Computing failed"


@app.command("list")
def list_features(tenant: Tenant = "demo") -> None:
    """Every feature that serves: its name in rules and policies, what it counts, its default."""
    with explained():
        found = as_tenant(tenant, lambda clients: clients.features.views())
        table = Table("feature", "of", "aggregate", "window", "default")
        for one in found.features:
            table.add_row(one.name, one.entity, one.aggregate, one.window, f"{one.default:g}")
        if found.features:
            console.print(table)
            console.print(f"version {found.version}, computed {found.computed_at:%Y-%m-%d %H:%M:%S} UTC")
        else:
            console.print("none are computed yet: atelier features materialise")
        if found.stored_version != found.version and found.features:
            console.print("other views are stored and not computed yet")


@app.command()
def materialise(
    tenant: Tenant = "demo",
    top: Annotated[bool, typer.Option("--top", help="Look up anew which values are the most frequent.")] = False,  # noqa: FBT002
) -> None:
    """Compute everybody's features anew from all events; the ones before serve until that is done."""
    with explained():
        began = time.perf_counter()
        one = as_tenant(tenant, lambda clients: clients.features.materialise(MaterialiseRequest(top=top)))
        with console_progress(console) as report:
            while one.state not in {"done", "failed"}:
                time.sleep(_POLL_SECONDS)
                one = as_tenant(tenant, _run(one.run_id))
                if one.step and one.state == "running":
                    report(one.step, one.done, one.total)
        if one.state == "failed":
            raise ComputingFailedError(one.problem or "it stopped")
        console.print(f"{one.events:,} events, {one.done:,} keys, version {one.version}, "
                      f"{time.perf_counter() - began:.1f} s")  # fmt: skip


@app.command()
def show(
    profile: Annotated[str, typer.Argument(help="The profile's id, or the offer's with --entity offer.")],
    entity: Annotated[str, typer.Option(help="profile, offer, product, category or brand.")] = "profile",
    at: Annotated[str | None, typer.Option(help="As of this moment, ISO 8601; left out: now.")] = None,
    tenant: Tenant = "demo",
) -> None:
    """The features of one person (or offer) as of now, the events of the last seconds included."""
    with explained():
        query = _query(profile, entity, at)

        async def read(clients: Clients) -> OnlineAnswer:
            return await clients.features.online(query)

        found = as_tenant(tenant, read)
        if not found.version:
            raise ComputingFailedError("none are computed yet: atelier features materialise")
        table = Table("feature", "value")
        for name, value in zip(found.names, found.values[0], strict=True):
            table.add_row(name, f"{value:,.4f}".rstrip("0").rstrip("."))
        console.print(table)


def _run(run_id: str) -> Callable[[Clients], Awaitable[FeatureRun]]:
    return lambda clients: clients.features.run(run_id)


def _query(name: str, entity: str, at: str | None) -> OnlineQuery:
    try:
        moment = dt.datetime.fromisoformat(at) if at else None
        if moment is not None and moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return msgspec.convert({"entity": entity, "ids": [name], "at": moment}, OnlineQuery)
    except (ValueError, msgspec.ValidationError) as error:
        raise InvalidInputError(str(error)) from error
