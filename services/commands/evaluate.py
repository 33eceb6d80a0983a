"""`evaluate`: stored copy judged by metrics, watched while the worker is at it."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from services.commands.context import console, explained, problems
from services.commands.decision import as_tenant
from shared.clients.bundle import Clients
from shared.contracts.evaluation import Calibration, EvaluationRequest, EvaluationRun
from shared.errors import InvalidInputError

_POLL_SECONDS = 0.5
_ENDED = {"done", "cancelled", "failed"}


def evaluate(
    tenant: Annotated[str, typer.Option(help="Whose copy.")] = "demo",
    state: Annotated[list[str] | None, typer.Option(help="Only copy in this state; several times for several.")] = None,
    offer: Annotated[list[str] | None, typer.Option(help="Only copy of this offer; several times for several.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Only copy of this prompt version.")] = None,
    since: Annotated[str | None, typer.Option(help="Only copy stored since, as 2026-11-01T00:00:00Z.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Only this metric; several times for several.")] = None,
    judge: Annotated[bool, typer.Option("--judge", help="Ask the judge too, after calibrating it.")] = False,  # noqa: FBT002
    limit: Annotated[int, typer.Option(min=1, max=20_000, help="Most pieces of copy; drawn by the seed.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same report.")] = 0,
    gate: Annotated[list[str] | None, typer.Option(help='A bound, e.g. "claim_support>=0.99"; status 3 if it does not hold.')] = None,
    run: Annotated[str | None, typer.Option(help="Show or go on watching this run instead of starting one.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the run named by --run.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,  # noqa: FBT002
) -> None:  # fmt: skip
    """Evaluate stored copy: claims, facts, attributes, diversity, RAGAS, and with --judge a calibrated model.

    The worker does it; Ctrl-C only stops watching, `evaluate --run ID` goes on. Metrics and their limits: docs/evals.md.
    """
    with explained():
        if run is None:
            request = _request(
                {"states": state or [], "offerIds": offer or [], "promptVersion": prompt, "since": since,
                 "metrics": metric or [], "judge": judge, "limit": limit, "seed": seed,
                 "gates": [_gate(text) for text in gate or []]}
            )  # fmt: skip
            found = as_tenant(tenant, lambda clients: clients.evaluation.start(request))
        elif cancel:
            found = as_tenant(tenant, lambda clients: clients.evaluation.cancel(run))
        else:
            found = as_tenant(tenant, lambda clients: clients.evaluation.run(run))
        found = _watched(tenant, found, quiet=as_json)
        if as_json:
            console.print_json(msgspec.json.encode(found).decode())
        else:
            show(found)
        if found.state == "failed":
            raise typer.Exit(1)
        if any(result.passed is False for result in found.gates):
            raise typer.Exit(3)


def _request(given: dict[str, Any]) -> EvaluationRequest:
    try:
        return msgspec.convert(given, EvaluationRequest)
    except msgspec.ValidationError as error:
        raise InvalidInputError(str(error)) from error


def _gate(text: str) -> dict[str, Any]:
    """METRIC>=NUMBER and its like."""
    for op in (">=", "<=", ">", "<"):
        name, found, bound = text.partition(op)
        if found:
            try:
                return {"metric": name.strip(), "op": op, "threshold": float(bound)}
            except ValueError:
                break
    message = f"gate {text!r}: give METRIC>=NUMBER, with >=, >, <= or <"
    raise InvalidInputError(message)


def _watched(tenant: str, found: EvaluationRun, *, quiet: bool) -> EvaluationRun:
    """The run once it has ended; meanwhile a line says how far it is."""
    if found.state in _ENDED:
        return found
    said = problems if quiet else console
    said.print(f"run {found.run_id}", soft_wrap=True)
    try:
        with said.status("queued") as line:
            return as_tenant(tenant, lambda clients: _followed(clients, found.run_id, line.update))
    except KeyboardInterrupt:
        said.print(
            f"the run goes on; see it with: atelier evaluate --tenant {tenant} --run {found.run_id}", soft_wrap=True
        )
        raise typer.Exit(130) from None


async def _followed(clients: Clients, run_id: str, tell: Callable[[str], None]) -> EvaluationRun:
    while True:
        found = await clients.evaluation.run(run_id)
        if found.state in _ENDED:
            return found
        tell(line_of(found))
        await asyncio.sleep(_POLL_SECONDS)


def line_of(found: EvaluationRun) -> str:
    """How far a run is, in a line."""
    progress = found.progress
    if found.state == "queued":
        return "queued: waits for a worker"
    total = "" if progress.stage_total is None else f" of {progress.stage_total:,}"
    rate = "" if progress.rate is None else f", {progress.rate:,.1f} a second"
    left = "" if progress.seconds_left is None else f", {progress.seconds_left:,.0f} s left in this stage"
    return f"{progress.stage}: {progress.stage_done:,}{total}{rate}{left}"


def show(found: EvaluationRun) -> None:
    """The report of a run as tables."""
    what = f"{found.progress.samples or 0} samples, seed {found.request.seed}"
    console.print(f"run {found.run_id}: [bold]{found.state}[/], {what}", soft_wrap=True)
    if found.problem:
        console.print(f"[bold red]{found.problem}[/]")
    table = Table("metric", "mean", "95 % interval", "n", "without a value", "against", "gates")
    for one in found.summaries:
        missing = ", ".join(f"{reason} {n}" for reason, n in [*one.abstained.items(), *one.errors.items()])
        against = ", ".join(f"{basis} {n}" for basis, n in one.basis.items())
        interval = "" if one.low is None or one.high is None else f"{one.low:.3f} to {one.high:.3f}"
        table.add_row(one.metric, "-" if one.mean is None else f"{one.mean:.3f}", interval, str(one.n), missing, against,
                      "yes" if one.gates else "no")  # fmt: skip
    console.print(table)
    for name, value in found.figures.items():
        console.print(f"{name}: {value:.3f}")
    if found.judge:
        _show_judge(found.judge)
    for result in found.gates:
        verdict = {True: "[green]holds[/]", False: "[bold red]does not hold[/]", None: "says nothing"}[result.passed]
        console.print(f"gate {result.metric} {result.op} {result.threshold:g}: {verdict} {result.note or ''}".rstrip())
    cost = found.cost
    if cost.calls or cost.cached:
        paid = "" if cost.price is None else f", {cost.price:.4f} {cost.currency}"
        console.print(f"judge: {cost.calls} calls, {cost.cached} answers kept from before, {cost.prompt_tokens:,} tokens read, "
                      f"{cost.completion_tokens:,} written, {cost.seconds:.1f} s of calls{paid}")  # fmt: skip
    for note in found.notes:
        console.print(note)


def _show_judge(judge: Calibration) -> None:
    table = Table("judge", "agreement", "kappa", "95 % interval", "asked twice: same", "without an answer", "may gate",
                  title=f"{judge.model} on the labelled set {judge.set_version}", title_justify="left")  # fmt: skip
    for name, one in judge.metrics.items():
        table.add_row(name, f"{one.agreement:.2f}", f"{one.kappa:.2f}", f"{one.kappa_low:.2f} to {one.kappa_high:.2f}",
                      f"{one.retest:.0%}", ", ".join(f"{reason} {n}" for reason, n in one.abstained.items()),
                      "yes" if one.may_gate else f"no, needs {judge.needed_kappa:g}")  # fmt: skip
    console.print(table)
    bias = "nothing, no pair was answered" if judge.position_bias is None else f"{judge.position_bias:.0%}"
    console.print(f"position bias: {bias} of {judge.pairs} pairs change with their order")
