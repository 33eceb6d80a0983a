"""Telling a person in front of a terminal how far a long step is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Report(Protocol):
    """Called whenever a step moves on: its name, how much is done, of how much (0: not known)."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Step `step` is at `done` of `total`."""


def silent(step: str, done: int, total: int) -> None:
    """Reports to nobody."""


def _plain(console: Console) -> Report:
    began: dict[str, float] = {}
    ended: set[str] = set()

    def report(step: str, done: int, total: int) -> None:
        since = began.setdefault(step, time.perf_counter())
        if total and done >= total and step not in ended:
            ended.add(step)
            console.print(f"  {step}  {time.perf_counter() - since:.1f} s")

    return report


@contextmanager
def console_progress(console: Console) -> Iterator[Report]:
    """A line for each step, the ones still running with a spinner. Without a terminal: one plain line a finished step."""
    if not console.is_terminal:
        yield _plain(console)
        return
    columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), BarColumn(bar_width=24),
               MofNCompleteColumn(), TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total or None)
            progress.update(tasks[step], completed=done, total=total or None)

        yield report
