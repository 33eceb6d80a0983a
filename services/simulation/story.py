"""What happened in a run of the learning loop: steps with their times, and what people were shown meanwhile. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from services.simulation.traffic import Seen


class Step(msgspec.Struct, frozen=True):
    """`at`: seconds since the traffic began; `since`: since the drift, None before it."""

    name: str
    at: float
    since: float | None
    said: str


class Reward(msgspec.Struct, frozen=True):
    """Of one stretch under one version: visits, mean true chance of a click, the best possible, the share that clicked."""

    stretch: str
    model: str
    visits: int
    expected: float
    oracle: float
    clicked: float


class Story:
    """Steps in their order.

    Args:
        hear: is told each step as it happens.
    """

    def __init__(self, hear: Callable[[Step], None]) -> None:
        self._hear = hear
        self.steps: list[Step] = []
        self.drift: float | None = None

    def tell(self, at: float, name: str, said: str) -> None:
        """Something happened."""
        step = Step(name, at, None if self.drift is None else at - self.drift, said)
        self.steps.append(step)
        self._hear(step)

    def named(self, name: str) -> Step | None:
        """The first step of a name."""
        return next((step for step in self.steps if step.name == name), None)


def rewards(seen: Iterable[Seen]) -> list[Reward]:
    """What each version earned in each stretch, in the order in which they came."""
    groups: dict[tuple[str, str], list[Seen]] = {}
    for one in seen:
        groups.setdefault((one.stretch, one.model), []).append(one)
    return [
        Reward(stretch, model, len(some), _mean([one.expected for one in some]), _mean([one.best for one in some]),
               _mean([float(one.clicked) for one in some]))
        for (stretch, model), some in groups.items()
    ]  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def summary(story: Story, seen: Iterable[Seen], given: dict[str, Any], problem: str | None) -> dict[str, Any]:
    """All figures as data; `problem`: why it did not come to its end."""
    steps = [
        {"step": step.name, "at": round(step.at, 1), "sinceDrift": None if step.since is None else round(step.since, 1), "said": step.said}
        for step in story.steps
    ]  # fmt: skip
    earned = [
        {"stretch": one.stretch, "model": one.model, "visits": one.visits, "expected": round(one.expected, 4),
         "oracle": round(one.oracle, 4), "clicked": round(one.clicked, 4)}
        for one in rewards(seen)
    ]  # fmt: skip
    return {"given": given, "problem": problem, "steps": steps, "rewards": earned}
