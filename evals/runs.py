"""What a run of a suite is: metrics with intervals, the cases behind them, and what it was made with."""

import hashlib
import math
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from evals import statistics

VERSION = 1


class Shown(msgspec.Struct, kw_only=True):
    """A picture beside a case. `image`: a data URI, "" without one; `right`: of an answer, whether it is a right one."""

    label: str
    image: str = ""
    right: bool | None = None


class Case(msgspec.Struct, kw_only=True):
    """One case that went wrong, or less well, as it is shown: worst first. `beside`: label -> text, shown side by side."""

    id: str
    value: float
    text: str
    note: str = ""
    pictures: list[Shown] = []
    beside: dict[str, str] = {}


class Metric(msgspec.Struct, kw_only=True):
    """A figure with its 95 % interval. `by_case`: the values it is the mean of, by which two runs are compared in pairs.
    `abstained`: reason -> number of cases that gave no value. `signed`: a difference, 0 is its middle. With a `table`, it is shown there at `row` and `column`, and the
    highest of those with the same `among` is marked.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    higher_is_better: bool = True
    by_case: dict[str, float] = {}
    abstained: dict[str, int] = {}
    note: str = ""
    signed: bool = False
    table: str = ""
    row: str = ""
    column: str = ""
    among: str = ""


class Run(msgspec.Struct, kw_only=True):
    """One run of one suite. `worst` and `best` cases, the extreme ones first; `notes`: what a reader must know first,
    such as data that could not be had; `about`: how the data is made.
    """

    suite: str
    seed: int
    data: str
    code: str
    made_with: dict[str, str]
    metrics: list[Metric]
    worst: list[Case]
    best: list[Case] = []
    notes: list[str] = []
    about: list[str] = []
    version: int = VERSION

    def metric(self, name: str) -> Metric | None:
        """A metric by name."""
        return next((metric for metric in self.metrics if metric.name == name), None)


class BadRunError(Exception):
    """A run that cannot be written, read or compared; the message says why."""


def mean_of(name: str, by_case: Mapping[str, float], seed: int, **more: Any) -> Metric:
    """The mean of the cases' values with its bootstrap interval."""
    value, low, high = statistics.mean_interval(list(by_case.values()), seed)
    return Metric(name=name, value=value, low=low, high=high, n=len(by_case), by_case=dict(by_case), **more)


def data_hash(paths: Iterable[Path]) -> str:
    """The first 16 digits of SHA-256 over the files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def code_version() -> str:
    """The commit, marked when something is changed; "unknown" outside of a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def figures(run: Run) -> Run:
    """A run without its cases: small enough to be kept in a repository, too little to be compared case by case."""
    plain = [msgspec.structs.replace(metric, by_case={}) for metric in run.metrics]
    return msgspec.structs.replace(run, metrics=plain, worst=[], best=[])


def encode(run: Run) -> bytes:
    """As JSON, to be read by people too.

    Raises:
        BadRunError: a value is not a finite number: nothing may ever be decided by it.
    """
    for metric in run.metrics:
        values = {"value": metric.value, "low": metric.low, "high": metric.high, **metric.by_case}
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise BadRunError(f"{run.suite}.{metric.name}: {', '.join(bad[:5])} is not a finite number")
    return msgspec.json.format(msgspec.json.encode(run, order="deterministic"), indent=1)


def read(path: Path) -> Run:
    """A run that was kept.

    Raises:
        BadRunError: there is none, or it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except OSError as error:
        raise BadRunError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise BadRunError(f"{path}: {error}") from error


class Difference(msgspec.Struct, kw_only=True):
    """A metric of two runs on the same cases."""

    name: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    verdict: str


def compare(after: Run, before: Run) -> list[Difference]:
    """Paired differences with 95 % intervals.

    Raises:
        BadRunError: another suite, or other data: their cases are not the same.
    """
    if after.suite != before.suite:
        raise BadRunError(f"a run of {before.suite} cannot be compared with one of {after.suite}")
    if after.data != before.data:
        raise BadRunError(f"the runs are on different data ({before.data} and {after.data}): run the baseline again")
    found = []
    for metric in after.metrics:
        old = before.metric(metric.name)
        shared = sorted(metric.by_case.keys() & old.by_case.keys()) if old else []
        if old is None or not shared:
            continue
        delta, low, high = statistics.paired_interval(
            [metric.by_case[key] for key in shared], [old.by_case[key] for key in shared], after.seed
        )
        better = delta > 0 if metric.higher_is_better else delta < 0
        clear = low > 0 or high < 0
        verdict = ("better" if better else "worse") if clear else "no clear difference"
        found.append(Difference(name=metric.name, before=old.value, after=metric.value, difference=delta, low=low,
                                high=high, verdict=verdict))  # fmt: skip
    return found
