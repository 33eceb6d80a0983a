"""`simulate-loop`: the learning loop end to end on the suite that runs here."""

import asyncio
import json
import secrets
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import typer
from rich.table import Table

from services.commands.context import console, explained, running_settings
from services.commands.keys import with_keys
from services.gateway.keys import SCOPES
from services.simulation import loop_report
from services.simulation.api import Api
from services.simulation.loop import Given, Loop
from services.simulation.story import Reward, Step, Story, rewards, summary
from shared.errors import AtelierError, UnavailableError
from shared.settings import Settings

_SECONDS = 60.0


def simulate_loop(
    visits: Annotated[int, typer.Option(min=300, max=50_000, help="Visits of a stretch: what a version learns from.")] = 2000,
    window: Annotated[int, typer.Option(min=100, max=10_000, help="Decisions that a check tests.")] = 500,
    people: Annotated[int, typer.Option(min=50, max=100_000)] = 400,
    offers: Annotated[int, typer.Option(min=2, max=500)] = 6,
    rate: Annotated[float, typer.Option(min=1, max=90, help="Visits a second, if the suite keeps up.")] = 40.0,
    seed: Annotated[int, typer.Option(min=0)] = 3,
    patience: Annotated[float, typer.Option(min=1, max=3600, help="Seconds that one step may take.")] = 180.0,
    bad: Annotated[bool, typer.Option(help="Afterwards a version that learnt from lies is proposed; it must be stopped.")] = True,  # noqa: FBT002
    plot: Annotated[Path | None, typer.Option(help="Where to draw the run (PNG).")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to keep the figures (JSON).")] = None,
) -> None:  # fmt: skip
    """Inject drift and watch the suite that runs here find it, retrain, and roll the new version out, all over its public API.

    Ends with status 1 and a sentence if a step does not come in time, or if a version that learnt from lies goes live.
    """
    with explained():
        settings = running_settings()
        given = Given(
            seed=seed, people=people, offers=offers, visits=visits, window=window, rate=rate, patience=patience, bad=bad
        )
        story = Story(_print_step)
        loop, problem = play(settings, given, story)
        if loop is not None:
            _print(story, rewards(loop.traffic.seen))
            if out:
                found = summary(story, loop.traffic.seen, msgspec.to_builtins(given), problem)
                out.write_text(json.dumps(found, indent=2) + "\n")
            if plot and loop.traffic.seen:
                loop_report.draw(story.steps, loop.traffic.seen, plot)
                console.print(f"drawn in {plot}")
        if problem:
            raise UnavailableError(problem)


def play(settings: Settings, given: Given, story: Story) -> tuple[Loop | None, str | None]:
    """The loop as far as it came, and why not further."""
    tenant = f"loop-{secrets.token_hex(4)}"
    key = with_keys(settings, lambda keys: keys.create(tenant, list(SCOPES)))
    console.print(f"tenant {tenant}", style="dim")

    async def run() -> tuple[Loop | None, str | None]:
        loop = None
        headers = {"authorization": f"Bearer {key}"}
        try:
            async with httpx.AsyncClient(base_url=settings.self_url, headers=headers, timeout=_SECONDS) as http:
                loop = Loop(Api(http), given, story)
                await loop.play()
        except (AtelierError, httpx.HTTPError) as error:
            return loop, getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
        return loop, None

    return asyncio.run(run())


def _print_step(step: Step) -> None:
    since = "" if step.since is None else f"{step.since:+.1f} s"
    console.print(f"{since:>9}  [bold]{step.name}[/]  {step.said}", soft_wrap=True)


def _print(story: Story, earned: list[Reward]) -> None:
    steps = Table("step", "since the drift", "")
    for step in story.steps:
        steps.add_row(step.name, "" if step.since is None else f"{step.since:.1f} s", step.said)
    console.print(steps)
    table = Table("stretch", "version", "visits", "chance of a click", "of oracle", "oracle", "clicked")
    for one in earned:
        table.add_row(one.stretch, one.model, str(one.visits), f"{one.expected:.3f}", f"{one.expected / one.oracle:.0%}",
                      f"{one.oracle:.3f}", f"{one.clicked:.3f}")  # fmt: skip
    console.print(table)
