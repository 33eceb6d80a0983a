"""`python -m evals SUITE`: run a suite, keep the run as JSON and as a page, and hold it to the gates."""

import importlib
import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from evals import adapters, gates, report, runs
from evals.suites import generation
from services.commands.adapter import folder_of, judged
from services.commands.context import explained
from shared.progress import console_progress

SUITES = {"grounding": "grounding", "safety": "safety", "off-policy": "off_policy", "ranking": "ranking",
          "retrieval": "retrieval", "generation": "generation", "personalization": "personalization",
          "injection": "injection"}  # fmt: skip
FAST = ("grounding", "safety", "off-policy")
OUT = Path(".atelier") / "evals"
console = Console()


def main(
    suite: Annotated[
        str, typer.Argument(help=f"One of {', '.join(SUITES)}; `fast` runs {', '.join(FAST)}; `all` runs every one.")
    ],
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit with status 1 when a gate of evals/gates.yaml fails.")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(help="A kept run (JSON) of the same suite, or a folder of them.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same report, as far as a model server does.")
    ] = 0,
    size: Annotated[
        int | None,
        typer.Option(min=4, help="Cases of a suite that asks the model (generation, personalization, injection)."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where runs and pages are kept.")] = OUT,
    adapter: Annotated[
        str,
        typer.Option(help="generation: judge an adapter of the chat model, a folder or MODEL@VERSION of the registry."),
    ] = "",
    tenant: Annotated[str, typer.Option(help="Whose MODEL@VERSION.")] = "demo",
    figures: Annotated[
        Path | None, typer.Option(help="A folder for evals-SUITE.json as well: the figures without their cases.")
    ] = None,
) -> None:
    """Run evaluation suites over the functions that serve."""
    wanted = {"fast": list(FAST), "all": list(SUITES)}.get(suite, [suite])
    unknown = [name for name in wanted if name not in SUITES]
    if unknown:
        console.print(f"no suite named {suite!r}; there are {', '.join(SUITES)}, fast, all", style="red")
        raise typer.Exit(2)
    if adapter:
        _adapter(adapter, tenant, suite, seed, size, out)
        return
    failed = 0
    for name in wanted:
        try:
            failed += _one(name, seed, size, out, compare, figures)
        except runs.BadRunError as error:
            console.print(f"{name}: {error}", style="red")
            raise typer.Exit(2) from error
    if gate and failed:
        console.print(f"{failed} gate{'s' if failed > 1 else ''} failed", style="bold red")
        raise typer.Exit(1)


def _adapter(given: str, tenant: str, suite: str, seed: int, size: int | None, out: Path) -> None:
    """Judge an adapter; a registered version is moved to where the judgement puts it. Status 1 when it may not be used."""
    if suite != "generation":
        console.print("--adapter is judged by the suite generation", style="red")
        raise typer.Exit(2)
    model, _, version = given.partition("@")
    try:
        with explained():
            folder = folder_of(tenant, model, int(version)) if version.isdecimal() else Path(given)
        with console.status(f"{given} ..."):
            found = adapters.judge(folder, seed, size or generation.SIZE)
    except runs.BadRunError as error:
        console.print(f"{given}: {error}", style="red")
        raise typer.Exit(2) from error
    out.mkdir(parents=True, exist_ok=True)
    for name, one in (("without", found.before), ("with", found.after)):
        (out / f"generation-{name}-adapter.json").write_bytes(runs.encode(one))
    _show(found.after, gates.judge(found.after, gates.read()), found.differences)
    console.print(found.said())
    if version.isdecimal():
        with explained():
            stage = judged(tenant, model, int(version), found.objections, found.said()).stage
            console.print(f"{model} {version} is {stage}")
    if found.objections:
        console.print("worse, not to be used: " + "; ".join(found.objections), style="bold red")
        raise typer.Exit(1)
    console.print("no worse than without", style="green")


def _one(name: str, seed: int, size: int | None, out: Path, compare: Path | None, figures: Path | None) -> int:
    """Run, keep and show one suite; how many gates it failed."""
    began = time.perf_counter()
    run = _run(importlib.import_module(f"evals.suites.{SUITES[name]}").run, name, seed, size)
    baseline = compare / f"{name}.json" if compare and compare.is_dir() else compare
    differences = runs.compare(run, runs.read(baseline)) if baseline else []
    outcomes = gates.judge(run, gates.read(), differences)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_bytes(runs.encode(run))
    (out / f"{name}.html").write_text(report.page(run, outcomes, differences, str(baseline or "")))
    if figures:
        figures.mkdir(parents=True, exist_ok=True)
        (figures / f"evals-{name}.json").write_bytes(runs.encode(runs.figures(run)))
    _show(run, outcomes, differences)
    console.print(f"{name}: {time.perf_counter() - began:.1f} s, {out / f'{name}.html'}\n", style="dim")
    return sum(not one.passed for one in outcomes)


def _run(suite: Callable[..., runs.Run], name: str, seed: int, size: int | None) -> runs.Run:
    """A suite's run; a long one says itself how far it is, one that asks the model takes a size."""
    takes = inspect.signature(suite).parameters
    given: dict[str, Any] = {"size": size} if size and "size" in takes else {}
    if "report" in takes:
        with console_progress(console) as told:
            return suite(seed, report=told, **given)
    with console.status(f"{name} ..."):
        return suite(seed, **given)


def _show(run: runs.Run, outcomes: list[gates.Outcome], differences: list[runs.Difference]) -> None:
    judged = {one.gate.metric: one for one in outcomes}
    moved = {one.name: one for one in differences}
    table = Table("metric", "value", "95 %", "cases", "gate", *(["difference"] if moved else []), title=run.suite)
    for metric in [metric for metric in run.metrics if not metric.table]:
        gate, delta = judged.pop(metric.name, None), moved.get(metric.name)
        said = "" if gate is None else "[green]passed[/]" if gate.passed else f"[bold red]failed[/] {gate.said}"
        cells = [metric.name, f"{metric.value:.4f}", f"{metric.low:.4f} to {metric.high:.4f}", str(metric.n), said]
        table.add_row(*cells, *([f"{delta.difference:+.4f} ({delta.verdict})" if delta else ""] if moved else []))
    for name, gate in judged.items():
        said = "[green]passed[/]" if gate.passed else f"[bold red]failed[/] {gate.said}"
        table.add_row(name, "", "", "", said)
    console.print(table)
    if placed := len(report.tables(run.metrics)):
        console.print(f"and {placed} tables in the page", style="dim")
    for note in run.notes:
        console.print(note, style="yellow" if "not available" in note else "dim", highlight=False)


if __name__ == "__main__":
    typer.run(main)
