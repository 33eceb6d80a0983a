"""Drift and what follows from it: monitors of models, reports of their windows, and every step of the loop as a record."""

from typing import Annotated, Literal

import msgspec

from shared.contracts.base import Contract, Page, Timestamp, Value
from shared.contracts.policies import ModelKey
from shared.contracts.training import Figure, TrainingRequest

ColumnKind = Literal["number", "category", "embedding", "text"]
DriftTest = Literal["ks", "psi", "chi-squared", "classifier", "mmd", "words"]
Control = Literal["holm", "bh"]
Asked = Literal["schedule", "manual"]
Verdict = Literal["no drift", "drift", "not tested"]
LoopStep = Literal["alarm", "job", "held", "failed", "waiting", "compared", "accepted", "refused", "proposed"]
Floor = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Hours = Annotated[float, msgspec.Meta(gt=0, le=8784)]


class Floors(Value, frozen=True, kw_only=True):
    """The smallest effect that may alarm, of each test, 0 for any. `ks`: gap of distribution functions; `psi`: index beyond what
    chance gives; `chi_squared`: Cramér's V; `classifier`, `words`: area under the curve beyond 0.5; `mmd`: root of MMD squared.
    """

    ks: Floor = 0.05
    psi: Floor = 0.02
    chi_squared: Floor = 0.05
    classifier: Floor = 0.05
    words: Floor = 0.05
    mmd: Floor = 0.02


class Finding(Contract, kw_only=True):
    """What one column showed. What could not be tested has a `reason` and no figures."""

    name: str
    kind: ColumnKind
    test: DriftTest
    rows_reference: int = 0
    rows_current: int = 0
    missing_reference: int = 0
    missing_current: int = 0
    statistic: float | None = None
    p: float | None = None
    adjusted: float | None = None
    effect: float | None = None
    floor: float
    alarm: bool = False
    reason: str | None = None
    psi: float | None = None
    shift: float | None = None
    notes: list[str] = msgspec.field(default_factory=list)


class WindowReport(Contract, kw_only=True):
    """`alarm`: did anything drift? `said`: in a sentence. Untested columns are named: of them nothing is known."""

    alarm: bool
    said: str
    alpha: float
    control: Control
    alarms: list[str]
    untested: list[str]
    findings: list[Finding]


class Change(Contract, kw_only=True):
    """The mean moved. `at`: values seen by then, missing ones too; `since`: how many of the last known ones are after the cut that
    parts the window most surely; `before`, `after`: means on its sides; `effect`: |after - before| in standard deviations of
    the window. Where smaller changes than the floor went before, `before` is the mean before the first of them.
    """

    at: int
    since: int
    before: float
    after: float
    effect: float
    alarm: bool


class MonitoredColumn(Contract, kw_only=True):
    """A column by name: an input of the policy as the decision log names it, `inputs` (all but the clock's as one embedding), `offer`,
    `offer.category`, `offer.text`, `offer.embedding`, `prediction` (the propensity of what was shown) or `reward`.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    kind: ColumnKind


class MonitorWindow(Contract, kw_only=True):
    """The decisions that are tested: the newest `rows`, or those of the last `hours`; one of the two."""

    rows: Annotated[int, msgspec.Meta(ge=20, le=50_000)] | None = None
    hours: Hours | None = None


class Span(Contract, kw_only=True):
    """[start, end)."""

    start: Timestamp
    end: Timestamp


class Monitor(Contract, kw_only=True):
    """What is watched of a model, and what follows.

    `reference`: left out, the window that the live (else the newest) version was trained on. `sample`: most decisions of a window
    that are read. `streamDelta`: ADWIN's over the rewards, null for none. `everyMinutes`: between two checks. With
    `onAlarm` `retrain`, and every `retrainHours`, `training` is submitted with its window moved to end now, at least
    `minimumHours` after the last time.
    """

    model_key: ModelKey
    columns: Annotated[list[MonitoredColumn], msgspec.Meta(min_length=1, max_length=200)]
    window: MonitorWindow = msgspec.field(default_factory=lambda: MonitorWindow(hours=24.0))
    reference: Span | None = None
    alpha: Annotated[float, msgspec.Meta(ge=1e-4, le=0.5)] = 0.01
    floors: Floors = Floors()
    sample: Annotated[int, msgspec.Meta(ge=100, le=50_000)] = 10_000
    stream_delta: Annotated[float, msgspec.Meta(ge=1e-9, le=0.5)] | None = 0.002
    every_minutes: Annotated[int, msgspec.Meta(ge=1, le=10_080)] = 60
    on_alarm: Literal["record", "retrain"] = "record"
    minimum_hours: Annotated[float, msgspec.Meta(ge=0, le=8784)] = 24.0
    retrain_hours: Hours | None = None
    training: TrainingRequest | None = None


class MonitorState(Contract, kw_only=True):
    """A monitor and where it stands. `jobId`: the retraining that it waits for; `alarms`: how many there were."""

    monitor: Monitor
    created_at: Timestamp
    updated_at: Timestamp
    next_check_at: Timestamp
    last_retrained_at: Timestamp | None
    job_id: str | None
    alarms: int


class MonitorList(Contract, kw_only=True):
    """All monitors of a tenant, by model."""

    monitors: list[MonitorState]


class ReadWindow(Contract, kw_only=True):
    """Decisions that were read. `version`: whose training window it is. `share`: of all that there are, where it was sampled."""

    start: Timestamp
    end: Timestamp
    rows: int = 0
    share: float = 1.0
    version: int | None = None


class StreamReport(Contract, kw_only=True):
    """The rewards since the last check: how many, the mean of ADWIN's window, and the changes they showed."""

    rewards: int
    seen: int
    width: int
    mean: float | None
    changes: list[Change]
    alarm: bool


class DriftReport(Contract, kw_only=True):
    """One check of a monitor. `problem`: why it is less than asked for, or nothing at all; `said`: all in a sentence."""

    report_id: str
    model_key: str
    time: Timestamp
    asked: Asked
    verdict: Verdict
    said: str
    problem: str | None = None
    reference: ReadWindow | None = None
    current: ReadWindow | None = None
    window: WindowReport | None = None
    stream: StreamReport | None = None
    notes: list[str] = []


class DriftReports(Page, kw_only=True):
    """Reports, newest first."""

    reports: list[DriftReport]


class LoopEvent(Contract, kw_only=True):
    """One step from an alarm, or a schedule, to a verdict on the version that came of it.

    `alarm`: a report alarmed; `job`: a retraining was submitted; `held`: none was, `reason` says why; `failed`: the job made no
    version; `waiting`: the version cannot be compared yet; `compared`: with `figures`, positive differences being worse;
    `accepted`: the version stays an apprentice, for roll-out to take; `refused`: it is retired.
    """

    event_id: str
    model_key: str
    time: Timestamp
    step: LoopStep
    reason: str
    report_id: str | None = None
    job_id: str | None = None
    version: int | None = None
    figures: list[Figure] = []


class LoopEvents(Page, kw_only=True):
    """Events, newest first."""

    events: list[LoopEvent]
