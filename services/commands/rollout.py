"""Rolling a model's version out: `rollout show|propose|approve|rollback`. Plans are stored over HTTP, see docs/rollout.md."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from rich.table import Table

from services.commands.context import console, explained
from services.commands.decision import Tenant, as_tenant
from shared.clients.bundle import Clients
from shared.contracts.rollouts import ApproveRollout, Gate, Measured, ProposeVersion, RollBack, RolloutState

app = typer.Typer(help="Roll-out of a model's version: shadow, canary, live, and back.", no_args_is_help=True)
ModelName = Annotated[str, typer.Argument(help="Key of the model.")]
By = Annotated[str, typer.Option("--by", help="Who says so; kept with the step.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept with the step.")]


@app.command()
def show(model: ModelName, tenant: Tenant = "demo") -> None:
    """Where it stands, what it waits for, every step with its figures."""
    _show(tenant, lambda clients: clients.training.rollout(model))


@app.command()
def propose(
    model: ModelName,
    version: Annotated[int, typer.Argument(min=1, help="The version.")],
    by: By,
    reason: Why = "",
    tenant: Tenant = "demo",
) -> None:
    """Start the roll-out of a version: it is asked about the log first, and decides for nobody."""
    asked = ProposeVersion(version=version, by=by, reason=reason)
    _show(tenant, lambda clients: clients.training.propose(model, asked))


@app.command()
def approve(
    model: ModelName,
    gate: Annotated[Gate, typer.Argument(help="Where it may go.")],
    by: By,
    reason: Why = "",
    tenant: Tenant = "demo",
) -> None:
    """Agree that the version may go on, where the plan asks for people."""
    asked = ApproveRollout(gate=gate, by=by, reason=reason)
    _show(tenant, lambda clients: clients.training.approve(model, asked))


@app.command()
def rollback(model: ModelName, by: By, reason: Why, tenant: Tenant = "demo") -> None:
    """End the roll-out: what was live before decides again."""
    asked = RollBack(by=by, reason=reason)
    _show(tenant, lambda clients: clients.training.roll_back(model, asked))


def _show(tenant: str, use: Callable[[Clients], Awaitable[RolloutState]]) -> None:
    """Ask as the tenant, and print where the roll-out stands then."""
    with explained():
        state = as_tenant(tenant, use)
    table = Table("step", "when", "by", "share", "why", "figures")
    for step in state.history:
        table.add_row(step.action, f"{step.time:%Y-%m-%d %H:%M:%S}", step.actor, f"{step.share:.0%}", step.reason,
                      "\n".join(map(_said, step.figures)))  # fmt: skip
    console.print(table)
    live = f"version {state.live_version}" if state.live_version else "no version"
    console.print(f"{state.model_key}: version {state.version} is {state.phase}; {live} decides for everybody else")
    if state.waiting:
        console.print(f"waits for {state.waiting}")


def _said(one: Measured) -> str:
    if one.value is None:
        return f"{one.name}: {one.note or 'cannot be told yet'}"
    spread = "" if one.low is None or one.high is None else f" ({one.low:.3g} to {one.high:.3g})"
    return f"{one.name} {one.value:.3g}{spread}" + ("" if one.bound is None else f", bound {one.bound:g}")
