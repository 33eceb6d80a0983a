"""Looking back at decisions: `decision replay|why|show`, and `ope`: what another policy would have earned."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
import uuid_utils
from rich.table import Table

from services.commands.context import console, explained, running_settings
from shared.clients.bundle import Clients
from shared.context import CallContext, bound
from shared.contracts.evaluation import OffPolicyAnswer, OffPolicyRequest
from shared.errors import InvalidInputError

ResultT = TypeVar("ResultT")
app = typer.Typer(help="Decisions that were made: show, replay bit for bit, explain.", no_args_is_help=True)
DecisionId = Annotated[str, typer.Argument(help="The decision's id.")]
Tenant = Annotated[str, typer.Option(help="The tenant.")]
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def as_tenant(tenant: str, use: Callable[[Clients], Awaitable[ResultT]]) -> ResultT:
    """Run one use of the services as a tenant."""

    async def run() -> ResultT:
        async with Clients(running_settings()) as clients:
            with bound(CallContext(tenant=tenant, request_id=str(uuid_utils.uuid7()))):
                return await use(clients)

    return asyncio.run(run())


@app.command()
def show(decision_id: DecisionId, tenant: Tenant = "demo") -> None:
    """The record: funnel, versions, every candidate with its score and probability."""
    with explained():
        found = as_tenant(tenant, lambda clients: clients.decisions.record(decision_id))
        console.print_json(msgspec.json.encode(found).decode())


@app.command()
def replay(decision_id: DecisionId, tenant: Tenant = "demo") -> None:
    """Make the decision again from its log and compare every bit; status 1 when one differs."""
    with explained():
        found = as_tenant(tenant, lambda clients: clients.decisions.replay(decision_id))
        counts = ", ".join(f"{count} {name}" for name, count in found.compared.items())
        if not found.identical:
            console.print(f"[bold red]differs[/] in {', '.join(found.differs)} ({counts})")
            raise typer.Exit(1)
        console.print(f"[bold green]identical[/], bit for bit ({counts})")


@app.command()
def why(
    decision_id: DecisionId, offer: Annotated[str, typer.Option(help="The offer's id.")], tenant: Tenant = "demo"
) -> None:
    """Which stage removed an offer, or by how much each term let it lead or trail."""
    with explained():
        found = as_tenant(tenant, lambda clients: clients.decisions.why(decision_id, offer))
        console.print(f"{found.offer_id}: [bold]{found.verdict}[/]")
        for line in found.details:
            console.print(f"  {line}")
        table = Table("term", "adds to ln(score)", "the first pick leads by")
        for name, value in found.contributions.items():
            table.add_row(name, f"{value:+.6f}", f"{found.lead[name]:+.6f}")
        table.add_row("sum", f"{sum(found.contributions.values()):+.6f}", f"{sum(found.lead.values()):+.6f}")
        console.print(table)
        console.print(f"residual {found.residual:.1e}; rank {found.rank or '-'}; probability {found.probability:.6f}")


def window(text: str, now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """The window 7d, 12h or 2w before now, or START/END in ISO 8601.

    Raises:
        InvalidInputError: it is neither.
    """
    if text[:-1].isdigit() and text[-1:] in _UNITS:
        return now - dt.timedelta(**{_UNITS[text[-1]]: int(text[:-1])}), now
    try:
        start, end = (dt.datetime.fromisoformat(part) for part in text.split("/"))
    except ValueError as error:
        message = f"window {text!r}: give 12h, 7d, 2w, or START/END as 2026-11-01T00:00Z/2026-12-01T00:00Z"
        raise InvalidInputError(message) from error
    return tuple(t if t.tzinfo else t.replace(tzinfo=dt.UTC) for t in (start, end))  # type: ignore[return-value]


def read_policy(text: str) -> dict[str, Any]:
    """A policy change as JSON, or the path of a file that holds it.

    Raises:
        InvalidInputError: it is not a JSON object.
    """
    raw = text if text.lstrip().startswith("{") else Path(text).read_text()
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError as error:
        message = f"policy: not a JSON object ({error})"
        raise InvalidInputError(message) from error


def ope(
    policy: Annotated[str, typer.Option(help='Changes of the live policy: JSON, or a file, e.g. \'{"exploration": {"kind": "none"}}\'.')],
    log: Annotated[str, typer.Option(help="Window of the log: 7d, 12h, 2w, or START/END.")] = "7d",
    reward: Annotated[str, typer.Option(help="objective or value.")] = "objective",
    tenant: Tenant = "demo",
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,  # noqa: FBT002
) -> None:  # fmt: skip
    """What would this policy have earned? Estimated from the log, with intervals; refused where the log cannot say."""
    with explained():
        start, end = window(log, dt.datetime.now(dt.UTC))
        try:
            request = msgspec.convert(
                {"start": start, "end": end, "policy": read_policy(policy), "reward": reward}, OffPolicyRequest
            )
        except msgspec.ValidationError as error:
            raise InvalidInputError(str(error)) from error
        found = as_tenant(tenant, lambda clients: clients.evaluation.off_policy(request))
        if as_json:
            console.print_json(msgspec.json.encode(found).decode())
        else:
            _print(found)


def _print(found: OffPolicyAnswer) -> None:
    skipped = "".join(f", {count} left out ({reason})" for reason, count in found.skipped.items())
    console.print(f"{found.decisions} decisions{skipped}")
    for title, baseline, estimates in (("first slot", found.baseline_first_slot, found.first_slot),
                                       ("slates", found.baseline_slate, found.slates)):  # fmt: skip
        if not estimates:
            continue
        table = Table(title, "value", "95 % interval", "effective n", "largest weight", "")
        table.add_row("what was earned", f"{baseline:.5f}", "", "", "", "")
        for one in estimates:
            if one.value is None:
                table.add_row(
                    one.name, "-", "", f"{one.effective_sample_size:.0f}", f"{one.max_weight:.1f}", one.refused
                )
            else:
                table.add_row(one.name, f"{one.value:.5f}", f"{one.ci_low:.5f} to {one.ci_high:.5f}",
                              f"{one.effective_sample_size:.0f}", f"{one.max_weight:.1f}", "")  # fmt: skip
        console.print(table)
    for note in found.notes:
        console.print(note)
