"""Does a run pass the gates? The bounds stand in one file, `gates.yaml`. Pure."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from evals.runs import Difference, Run

FILE = Path(__file__).with_name("gates.yaml")


class Gate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A bound on one metric of one suite; `low_above` on the lower end of its interval."""

    suite: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None
    low_above: float | None = None
    regression: float | None = None


class Outcome(msgspec.Struct, kw_only=True):
    """A gate and whether it is passed; `said` is for people."""

    gate: Gate
    passed: bool
    said: str


def read(path: Path = FILE) -> list[Gate]:
    """The gates of a file."""
    return msgspec.yaml.decode(path.read_bytes(), type=list[Gate])


def judge(run: Run, gates: Sequence[Gate], differences: Sequence[Difference] = ()) -> list[Outcome]:
    """The outcome of every gate of the run's suite."""
    moved = {one.name: one for one in differences}
    return [_judge(run, gate, moved.get(gate.metric)) for gate in gates if gate.suite == run.suite]


def _judge(run: Run, gate: Gate, moved: Difference | None) -> Outcome:
    metric = run.metric(gate.metric)
    if metric is None:
        return Outcome(gate=gate, passed=False, said="the run has no such metric")
    if gate.at_least is not None and metric.value < gate.at_least:
        return Outcome(gate=gate, passed=False, said=f"{metric.value:.4f} is below {gate.at_least:g}")
    if gate.at_most is not None and metric.value > gate.at_most:
        return Outcome(gate=gate, passed=False, said=f"{metric.value:.4f} is above {gate.at_most:g}")
    if gate.low_above is not None and metric.low <= gate.low_above:
        return Outcome(
            gate=gate, passed=False, said=f"its interval begins at {metric.low:.4f}, not above {gate.low_above:g}"
        )
    if gate.regression is not None and moved is not None:
        worse = -moved.difference if metric.higher_is_better else moved.difference
        if worse > gate.regression:
            return Outcome(
                gate=gate, passed=False, said=f"{worse:.4f} worse than the compared run; {gate.regression:g} is allowed"
            )
    return Outcome(gate=gate, passed=True, said=f"{metric.value:.4f}")
