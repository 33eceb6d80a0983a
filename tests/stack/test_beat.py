"""Two beats: one acts, the other takes over when it is killed or stopped, and no tick is sent twice."""

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from services.beat import beat_acts, scheduled
from shared.contracts.tasks import PAYLOADS, SCHEDULE, SweepMonitors
from shared.settings import Settings
from tests.conftest import ROOT

TICK, LOCK = 0.5, 2
SLACK = 30.0  # two shared cores, and a start of Python
Beat = subprocess.Popen[bytes]


@contextmanager
def beating(settings: Settings, log: Path) -> Iterator[Beat]:
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_URL")} | {
        "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url, "ATELIER_DATA": str(log.parent)
    }  # fmt: skip
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-m", "tests.stack.quick_beat", str(TICK), str(LOCK)], cwd=ROOT,
                                   env=environment, stdout=out, stderr=out)  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def sent(store: Any) -> list[dict[str, Any]]:
    """The messages in the queue, in the order in which they were sent."""
    return [json.loads(raw) for raw in reversed(store.lrange(SweepMonitors.queue, 0, -1))]


def owner(message: dict[str, Any]) -> int:
    return int(message["headers"]["origin"].partition("@")[0].removeprefix("gen"))


def more(store: Any, before: int, seconds: float) -> list[dict[str, Any]]:
    """The messages beyond the first `before`, as soon as there are three."""
    deadline = time.monotonic() + seconds
    while len(found := sent(store)[before:]) < 3:
        assert time.monotonic() < deadline, f"{len(found)} ticks in {seconds} s"
        time.sleep(0.05)
    return found


@pytest.fixture
def store(clean_database: str, redis_url: str) -> Any:
    return redis.from_url(redis_url)


def test_one_of_two_beats_acts_and_the_other_takes_over_when_it_is_stopped_or_killed(
    settings: Settings, store: Any, tmp_path: Path
) -> None:
    assert not beat_acts(settings)
    begin = time.monotonic()
    with beating(settings, tmp_path / "1.log") as one, beating(settings, tmp_path / "2.log") as two:
        acting = owner(more(store, 0, 240)[0])
        first, second = (one, two) if acting == one.pid else (two, one)
        time.sleep(2 * LOCK)
        assert beat_acts(settings)
        assert {owner(tick) for tick in sent(store)} == {first.pid}, "the other one only waits"
        # Stopped, as by a machine that does something else: the other one acts within the lock's time.
        first.send_signal(signal.SIGSTOP)
        after = more(store, len(sent(store)), LOCK + 3 * TICK + SLACK)
        assert {owner(tick) for tick in after} == {second.pid}
        # Woken up, it finds the lock taken. Only what it was just about to send can the lock not hold back.
        first.send_signal(signal.SIGCONT)
        woken = len(sent(store))
        time.sleep(LOCK)
        late = [owner(tick) for tick in sent(store)[woken:]]
        assert late.count(first.pid) <= 1
        assert late.count(second.pid) > 1
        assert first.poll() is None, "it waits for its turn"
        second.send_signal(signal.SIGKILL)
        second.wait(10)
        after = more(store, len(sent(store)), LOCK + 3 * TICK + SLACK)
        assert {owner(tick) for tick in after} == {first.pid}
        assert len(sent(store)) <= (time.monotonic() - begin) / TICK + 2, "no tick twice"


def test_every_task_of_the_schedule_is_known_and_expires_when_nobody_takes_it(settings: Settings, store: Any) -> None:
    conf = scheduled(settings).conf
    for payload, seconds in SCHEDULE.items():
        entry = conf.beat_schedule[payload.task]
        assert payload in PAYLOADS
        assert entry["options"] == {"queue": payload.queue, "expires": seconds}
        assert entry["args"] == [{"tenant": "", "requestId": None, "traceparent": None}]
    scheduled(settings).send_task(SweepMonitors.task, args=[{}], queue=SweepMonitors.queue, expires=60.0)
    message = sent(store)[0]
    assert message["headers"]["expires"]
    assert json.loads(b64decode(message["body"]))[0] == [{}]
