"""Is a model good enough? Bounds on the figures of its card. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from services.training.errors import GateFailedError
from services.training.trained import Trained
from shared.contracts.base import FieldError


class Gate(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A bound on one figure. `of`: on its value, or on the unfavourable end of its 95 % interval; `beats_baseline`: the
    value must be better than the figure's own baseline.
    """

    figure: str
    at_least: float | None = None
    at_most: float | None = None
    beats_baseline: bool = False
    of: Literal["value", "interval"] = "value"


class Outcome(msgspec.Struct, frozen=True):
    """A gate, whether it is passed, and in words why not."""

    gate: Gate
    passed: bool
    said: str


def judge(trained: Trained, gates: Sequence[Gate]) -> list[Outcome]:
    """The outcome of every gate. A figure that was not measured fails its gate."""
    return [_judge(trained, gate) for gate in gates]


def _judge(trained: Trained, gate: Gate) -> Outcome:  # noqa: PLR0911  (one a bound)
    figure = next((one for one in trained.figures if one.name == gate.figure), None)
    if figure is None:
        return Outcome(gate, False, f"{gate.figure} was not measured")
    low, high = figure.value, figure.value
    if gate.of == "interval":
        if figure.low is None or figure.high is None:
            return Outcome(gate, False, f"{gate.figure} has no interval")
        low, high = figure.low, figure.high
    if gate.at_least is not None and not low >= gate.at_least:
        return Outcome(gate, False, f"{gate.figure} is {low:.4f}, at least {gate.at_least:g} is needed")
    if gate.at_most is not None and not high <= gate.at_most:
        return Outcome(gate, False, f"{gate.figure} is {high:.4f}, at most {gate.at_most:g} is allowed")
    if gate.beats_baseline:
        if figure.baseline is None:
            return Outcome(gate, False, f"{gate.figure} has no baseline")
        better = figure.value > figure.baseline if figure.higher_is_better else figure.value < figure.baseline
        if not better:
            return Outcome(gate, False, f"{gate.figure} is {figure.value:.4f}, its baseline {figure.baseline:.4f}")
    return Outcome(gate, True, "passed")


def insist(outcomes: Sequence[Outcome]) -> None:
    """All passed?

    Raises:
        GateFailedError: no; it names every gate that failed.
    """
    failed = [one for one in outcomes if not one.passed]
    if failed:
        errors = [FieldError(field=one.gate.figure, message=one.said) for one in failed]
        raise GateFailedError(f"refused: {'; '.join(one.said for one in failed)}", errors=errors)
