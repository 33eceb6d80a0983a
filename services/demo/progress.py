"""Telling a person in front of a terminal how far a long step is."""

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


@contextmanager
def console_progress(console: Console) -> Iterator[Report]:
    """A line for each step, the ones still running with a spinner. Without a terminal: one plain line a finished step."""
    if not console.is_terminal:
        yield lambda step, done, total: console.print(f"  {step}") if total and done >= total else None
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
