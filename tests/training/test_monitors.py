"""Monitors on a real log: drift is seen, a retraining follows, and what came of it is accepted or refused, every step told."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import redis
from prometheus_client import REGISTRY

from services.training.assembly import assemble, watch
from services.training.monitoring.loop import RetrainingLoop
from services.training.monitoring.service import MonitorService
from services.training.service import TrainingService
from shared.clients.tasks import TaskSender, create_celery
from shared.context import CallContext, bound
from shared.contracts.monitoring import DriftReport, LoopEvent
from shared.contracts.tasks import CheckMonitor
from shared.contracts.training import MoveStage
from shared.db.engine import create_engine
from shared.errors import UnavailableError
from tests.decisions.shop import decide, ids, items, offer, person, policy, stock

PEOPLE, AT_ONCE = 40, 8
AGE = "profile.attributes.age"
NOW = dt.datetime.now(dt.UTC)
TREES = {"learner": "trees", "min_data_in_leaf": 10, "rounds": 60}
TRAINING = {"modelKey": "visits", "objective": "propensity", "trials": 0, "seed": 1, "parameters": TREES}
COLUMNS = [
    {"name": AGE, "kind": "number"},
    {"name": "channel", "kind": "category"},
    {"name": "offer", "kind": "category"},
    {"name": "offer.text", "kind": "text"},
    {"name": "inputs", "kind": "embedding"},
    {"name": "prediction", "kind": "number"},
    {"name": "reward", "kind": "category"},
]
Taste = Callable[[float], str]


def sane(age: float) -> str:
    """Who is below the mean age clicks on shoes, who is above on hats; nobody cares for socks."""
    return "shoe" if age < 0 else "hat"


def other(age: float) -> str:
    return "hat" if age < 0 else "shoe"


def nothing(_: float) -> str:
    return "none of them"


class Room:
    """A tenant's shop, its training service, and its monitors."""

    def __init__(self, api: httpx.AsyncClient, training: TrainingService, monitors: MonitorService) -> None:
        self.api, self.training, self.monitors = api, training, monitors
        self.draw = np.random.default_rng(5)

    async def open(self) -> None:
        await stock(self.api, offer("hat"), offer("shoe"), offer("sock"))
        await policy(self.api, learn=False, exploration={"kind": "uniform"}, features=[{"field": AGE}])
        ages = self.draw.normal(size=2 * PEOPLE)
        ages[PEOPLE:] += 1.5
        for n, age in enumerate(ages):
            await person(self.api, f"p{n}", age=float(age))
        self.ages = ages

    async def play(self, days: float, rounds: int, taste: Taste = sane, *, older: bool = False) -> None:
        """So many rounds, an hour apart, from so many days ago on; everybody is shown an offer at random in each."""
        begin = NOW - dt.timedelta(days=days)
        who = range(PEOPLE, 2 * PEOPLE) if older else range(PEOPLE)
        outcomes: list[dict[str, Any]] = []
        for turn in range(rounds):
            at = begin + dt.timedelta(hours=turn)
            found = []
            for start in range(0, PEOPLE, AT_ONCE):
                found += await asyncio.gather(
                    *(
                        decide(self.api, f"p{n}", limit=1, at=(at + dt.timedelta(seconds=n)).isoformat())
                        for n in who[start : start + AT_ONCE]
                    )
                )
            for n, answer in zip(who, found, strict=True):
                if self.draw.random() < (0.8 if ids(answer) == [taste(self.ages[n])] else 0.05):
                    token = items(answer)[0]["characteristics"]["tokens"][0]
                    time = (at + dt.timedelta(minutes=30)).isoformat()
                    outcomes.append(
                        {"token": token, "kind": "interact", "idempotencyKey": f"{days}-{turn}-{n}", "time": time}
                    )
        for start in range(0, len(outcomes), 500):
            answer = await self.api.post("/v1/outcomes", json={"outcomes": outcomes[start : start + 500]})
            assert answer.json()["rejected"] == 0, answer.text

    async def watch(self, **changes: Any) -> httpx.Response:
        body = {"modelKey": "visits", "columns": COLUMNS, "window": {"hours": 96}, **changes}
        return await self.api.put("/v1/monitors/visits", json=body)

    async def train(self, request: dict[str, Any] = TRAINING) -> int:
        """A version by hand; its number."""
        made = await self.api.post("/v1/training-jobs", json=request)
        job = await self.training.run("acme", made.json()["jobId"])
        assert (job.state, job.problem) == ("success", None)
        return job.version or 0

    async def look(self) -> DriftReport:
        report = await self.monitors.look("acme", "visits", asked=True)
        assert report is not None
        return report

    async def run_job(self) -> None:
        """What a worker does with the retraining that was submitted."""
        job_id = (await self.monitors.monitor("acme", "visits")).job_id
        assert job_id
        job = await self.training.run("acme", job_id)
        assert (job.state, job.problem) == ("success", None)
        assert await self.monitors.look("acme", "visits") is None, "no check is due: it only carries the job on"

    async def steps(self) -> list[LoopEvent]:
        """The events, the oldest first."""
        return list(reversed((await self.monitors.events("acme", "visits", None, 100)).events))


@pytest.fixture
async def room(suite: httpx.AsyncClient) -> AsyncIterator[Room]:
    clients = suite.host._clients  # type: ignore[attr-defined]
    settings = clients._settings
    engine = create_engine(settings.database_url, pool_size=4)
    tasks = TaskSender(create_celery(settings.redis_url))
    training = assemble(settings, engine, clients, tasks)
    with bound(CallContext(tenant="acme", request_id="test")):
        yield Room(suite, training, watch(training, engine, clients, tasks))
    await engine.dispose()


async def test_drift_is_seen_named_retrained_on_and_the_new_version_compared_and_accepted(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.open()
    answer = await room.watch()
    assert answer.status_code == 200, answer.text
    report = await room.look()
    assert (report.verdict, report.problem) == (
        "not tested", "there is no version of the model (that is not retired), and no fixed reference"
    )  # fmt: skip
    await room.play(9, 12)
    old = await room.train()
    report = await room.look()
    assert report.problem == "0 decisions since then in the window; 20 are needed"

    await room.play(3.5, 10)
    report = await room.look()
    assert (report.verdict, report.problem) == ("no drift", None), report.said
    assert report.window
    assert report.window.untested == ["channel", "prediction"], "the prior says the same of everybody"
    assert report.reference
    assert report.current
    assert (report.reference.version, report.reference.rows, report.current.rows) == (old, 480, 400)
    assert report.stream
    assert (report.stream.rewards, report.stream.seen) == (400, 880)
    assert [event.step for event in await room.steps()] == []

    await room.play(2.5, 10, older=True)
    await room.watch(onAlarm="retrain", training=TRAINING, minimumHours=24, window={"rows": 400})
    report = await room.look()
    assert report.verdict == "drift"
    assert report.window
    assert AGE in report.window.alarms
    assert "offer" not in report.window.alarms
    assert report.stream
    assert report.stream.rewards == 400, "each reward once"
    assert [event.step for event in await room.steps()] == ["alarm", "job"]
    job = (await room.training.jobs("acme", None, 1)).jobs[0]
    assert (job.trigger, job.request.requested_by, job.state) == ("drift", "monitor", "pending")
    assert job.request.dataset.end
    assert job.request.dataset.end > NOW

    await room.look()
    assert [event.step for event in (await room.steps())[2:]] == ["alarm", "held"], "the interval holds"
    accepted: list[tuple[str, str, int]] = []

    async def hook(_: RetrainingLoop, *given: Any) -> None:
        accepted.append(given)

    monkeypatch.setattr(RetrainingLoop, "on_accepted", hook)
    await room.run_job()
    told = (await room.steps())[4:]
    assert [(event.step, event.version) for event in told] == [("compared", old + 1), ("accepted", old + 1)]
    assert {event.job_id for event in told} == {job.job_id}
    assert told[0].report_id == report.report_id
    assert {figure.name for figure in told[0].figures} >= {"log_loss_difference", "brier", "calibration_error"}
    assert accepted == [("acme", "visits", old + 1)]
    assert (await room.training.version("acme", "visits", old + 1)).stage == "apprentice"
    assert (await room.monitors.monitor("acme", "visits")).job_id is None
    await told_over_http(room)


async def told_over_http(room: Room) -> None:
    state = (await room.api.get("/v1/monitors/visits")).json()
    assert state["alarms"] == 2
    page = (await room.api.get("/v1/monitors/visits/events", params={"limit": 4})).json()
    assert [event["step"] for event in page["events"]] == ["accepted", "compared", "held", "alarm"]
    rest = await room.api.get("/v1/monitors/visits/events", params={"limit": 4, "cursor": page["cursor"]})
    assert [event["step"] for event in rest.json()["events"]] == ["job", "alarm"]
    reports = (await room.api.get("/v1/monitors/visits/reports")).json()["reports"]
    assert [one["verdict"] for one in reports] == ["drift", "drift", "no drift", "not tested", "not tested"]
    theirs = await room.api.get("/v1/monitors/visits/events", headers=room.api.other)  # type: ignore[attr-defined]
    assert theirs.json()["events"] == []
    await room.monitors.count()
    await room.monitors.count()
    assert REGISTRY.get_sample_value("atelier_drift_alarms_total", {"tenant": "acme", "model": "visits"}) == 2


async def test_a_version_that_learnt_from_a_poisoned_window_is_refused_with_figures(room: Room) -> None:
    await room.open()
    await room.play(20, 12)
    old = await room.train()
    for to in ("shadow", "canary", "live"):
        await room.training.move(
            "acme", "visits", old, msgspec.convert({"to": to, "by": "ida", "reason": "test"}, MoveStage)
        )
    await room.play(10, 22, other)  # somebody swaps the clicks; what follows is as it was
    await room.play(5, 7)
    window = {"source": "decisions", "start": (NOW - dt.timedelta(days=11)).isoformat(), "end": NOW.isoformat()}
    await room.watch(training={**TRAINING, "dataset": window}, retrainHours=0.001, minimumHours=0)
    await asyncio.sleep(4)
    await room.look()
    job = (await room.training.jobs("acme", None, 1)).jobs[0]
    assert job.trigger == "schedule"
    assert job.request.dataset.start
    assert job.request.dataset.start > NOW - dt.timedelta(days=11), "its window has moved on"
    await room.run_job()
    told = [event for event in await room.steps() if event.job_id == job.job_id]
    assert [event.step for event in told] == ["job", "compared", "refused"]
    assert f"surely worse than version {old} by log_loss, brier" in told[-1].reason
    worse = next(figure for figure in told[-1].figures if figure.name == "log_loss_difference")
    assert worse.low
    assert worse.low > 0
    two = await room.training.version("acme", "visits", old + 1)
    assert two.stage == "retired"
    assert two.history[-1].reason.startswith(f"refused: it is surely worse than version {old}")
    assert (await room.training.version("acme", "visits", old)).stage == "live"


async def test_rewards_that_dry_up_are_seen_on_the_stream_once_and_two_checks_at_once_do_one(room: Room) -> None:
    await room.open()
    await room.play(9, 10)
    reference = {"start": (NOW - dt.timedelta(days=10)).isoformat(), "end": (NOW - dt.timedelta(days=8)).isoformat()}
    only = [{"name": AGE, "kind": "number"}]
    await room.watch(reference=reference, columns=only, window={"hours": 200})
    await room.play(7, 8)
    assert (await room.look()).verdict == "no drift"
    await room.play(5, 10, nothing)
    both = await asyncio.gather(*(room.monitors.look("acme", "visits", asked=True) for _ in range(2)))
    done = [report for report in both if report is not None]
    assert len(done) == 1
    report = done[0]
    assert report.verdict == "drift", report.stream
    assert report.window
    assert not report.window.alarm
    assert report.stream
    change = next(one for one in report.stream.changes if one.alarm)
    assert change.before > 0.2 > change.after
    assert "mean reward changed" in report.said
    assert (report.stream.rewards, report.stream.seen) == (400, 1120)
    again = await room.look()
    assert again.stream
    assert (again.stream.rewards, again.stream.seen, again.verdict) == (0, 1120, "no drift")
    assert [event.step for event in await room.steps()] == ["alarm"]


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"columns": [{"name": "shoe size", "kind": "number"}]}, "columns[0].name", "there are prediction, reward, inputs"),
    ({"columns": [{"name": "offer.text", "kind": "embedding"}]}, "columns[0].kind", "text, category"),
    ({"window": {"rows": 100, "hours": 2}}, "window", "rows or hours"),
    ({"onAlarm": "retrain"}, "training", "a training request"),
    ({"training": {**TRAINING, "modelKey": "others"}}, "training.modelKey", "visits"),
    ({"training": {**TRAINING, "dataset": {"source": "complete-journey"}}}, "training.dataset.source", "decisions"),
]


async def test_a_monitor_that_cannot_work_is_refused_by_field(room: Room) -> None:
    for changes, field, allowed in BAD:
        answer = await room.watch(**changes)
        assert answer.status_code == 422
        fault = answer.json()["errors"][0]
        assert fault["field"] == field
        assert fault["allowed"].startswith(allowed)
    assert (await room.api.get("/v1/monitors/visits")).status_code == 404
    assert (await room.api.post("/v1/monitors/visits/check")).status_code == 404


async def test_what_is_due_is_asked_for_once_and_decisions_that_are_down_are_told_not_raised(
    room: Room, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    await room.open()
    assert (await room.watch(everyMinutes=30)).status_code == 200
    assert [await room.monitors.sweep() for _ in range(2)] == [1, 0]
    assert redis.from_url(redis_url).llen(CheckMonitor.queue) == 1

    async def down(*_: object, **__: object) -> None:
        raise UnavailableError("decisions do not answer")

    monkeypatch.setattr(room.training._clients.decisions, "policy", down)
    report = await room.monitors.look("acme", "visits")
    assert report
    assert (report.verdict, report.problem) == ("not tested", "Unavailable: decisions do not answer")
    assert await room.monitors.look("acme", "visits") is None, "not due again before half an hour"
    assert await room.monitors.sweep() == 0
    assert (await room.api.delete("/v1/monitors/visits")).status_code == 204
    assert await room.monitors.look("acme", "visits", asked=True) is None
    assert len((await room.api.get("/v1/monitors/visits/reports")).json()["reports"]) == 1
