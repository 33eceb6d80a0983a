"""`simulate`: a synthetic population plays against the real API, policy beside policy."""

import asyncio
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.table import Table

from services.commands.context import console, explained, running_settings
from services.commands.keys import with_keys
from services.gateway.keys import SCOPES
from services.gateway.service import KeyService
from services.simulation import report
from services.simulation.driver import POLICIES, Driver, Played
from services.simulation.world import make_world
from shared.errors import InvalidInputError
from shared.progress import console_progress
from shared.settings import Settings

_DEFAULT = "squarecb,greedy,random"
_SECONDS = 60.0


def simulate(
    days: Annotated[int, typer.Option(min=2, max=365, help="Days to play; tastes change half way.")] = 10,
    people: Annotated[int, typer.Option(min=10, max=100_000, help="People, one visit a day each.")] = 150,
    offers: Annotated[int, typer.Option(min=2, max=500)] = 8,
    seeds: Annotated[int, typer.Option(min=1, max=200, help="Worlds to play, one after the other.")] = 1,
    first_seed: Annotated[int, typer.Option(min=0)] = 1,
    policies: Annotated[str, typer.Option(help=f"Some of {', '.join(POLICIES)}.")] = _DEFAULT,
    plot: Annotated[Path | None, typer.Option(help="Where to draw the curves (PNG).")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to keep the figures (JSON).")] = None,
) -> None:
    """Let a synthetic population with planted tastes, sleeping dogs and drift drive the suite that runs here.

    Every policy gets a tenant of its own and the same visits. Printed beside it: what an oracle would have had.
    """
    with explained():
        names = policies.split(",")
        if unknown := sorted(set(names) - set(POLICIES)):
            message = f"no policy named {', '.join(unknown)}; there are {', '.join(POLICIES)}"
            raise InvalidInputError(message)
        settings = running_settings()
        played: list[dict[str, Played]] = []
        with console_progress(console) as progress:
            for n, seed in enumerate(range(first_seed, first_seed + seeds)):
                done = 0

                def step(shown: int = n) -> None:
                    nonlocal done
                    done += 1
                    progress(f"world {shown + 1} of {seeds}", done, days * len(names))

                played.append(play(settings, names, seed, people, offers, days, step))
        _print(played, names)
        if plot:
            report.draw(played, plot)
            console.print(f"drawn in {plot}")
        if out:
            out.write_text(json.dumps(summary(played, names, people, offers, days), indent=2) + "\n")


def play(
    settings: Settings, names: list[str], seed: int, people: int, offers: int, days: int, step: Callable[[], None]
) -> dict[str, Played]:
    """One world under every policy, at the same time."""
    world = make_world(seed, people=people, offers=offers, days=days)
    run = secrets.token_hex(4)

    async def create(keys: KeyService) -> dict[str, str]:
        return {name: await keys.create(f"sim-{name}-{run}", list(SCOPES)) for name in names}

    keys = with_keys(settings, create)

    async def one(name: str) -> Played:
        headers = {"authorization": f"Bearer {keys[name]}"}
        async with httpx.AsyncClient(base_url=settings.self_url, headers=headers, timeout=_SECONDS) as api:
            return await Driver(api).play(name, world, step)

    async def all_policies() -> list[Played]:
        return await asyncio.gather(*map(one, names))

    return dict(zip(names, asyncio.run(all_policies()), strict=True))


def summary(
    played: list[dict[str, Played]], names: list[str], people: int, offers: int, days: int
) -> dict[str, object]:
    """The figures as data."""
    explorers = [name for name in names if name in report.EXPLORING]
    others = [name for name in names if name not in report.EXPLORING]
    return {
        "people": people, "offers": offers, "days": days, "seeds": len(played),
        "wins": {f"{one} over {other}": report.wins(played, one, other) for one in explorers for other in others},
        "runs": [[report.figures(found) for found in one.values()] for one in played],
    }  # fmt: skip


def _print(played: list[dict[str, Played]], names: list[str]) -> None:
    table = Table("policy", "clicks", "of oracle", "regret", "over cap", "empty", "parity", "dogs")
    for name in names:
        rows = [report.figures(one[name]) for one in played]

        def mean(key: str, found: list[dict[str, float]] = rows) -> float:
            return sum(row[key] for row in found) / len(found)

        table.add_row(name, f"{mean('expected_rate'):.4f}", f"{mean('share_of_oracle'):.1%}", f"{mean('regret'):.0f}",
                      f"{sum(r['cap_violations'] for r in rows)}", f"{sum(r['unanswered'] for r in rows)}",
                      f"{mean('parity'):.2f}", f"{mean('sleeping_dogs_woken'):.0f}")  # fmt: skip
    console.print(table)
    for one in (name for name in names if name in report.EXPLORING):
        for other in (name for name in names if name not in report.EXPLORING):
            console.print(f"{one} beats {other} in {report.wins(played, one, other)} of {len(played)} worlds")
