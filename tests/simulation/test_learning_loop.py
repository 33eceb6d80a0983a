"""Drift is injected into a running suite: it is seen, a version is retrained and goes live.

That versions which learnt from lies are stopped at each gate is shown in tests/training/test_rolling_out.py.
"""

import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from services.simulation.story import rewards
from services.simulation.traffic import Seen
from services.simulation.world import make_world, upside_down
from tests.commands.test_running_suite import Suite

pytestmark = pytest.mark.timeout(
    1200
)  # on a machine that does other things too; half a minute to come up, a minute to play
SMALL = ("--visits", "700", "--window", "250", "--people", "260", "--offers", "4", "--seed", "4", "--rate", "90", "--no-bad",
         "--patience", "300")  # fmt: skip
COMES = ["version 1 trained", "version 1 live", "check before the drift", "drift", "alarm", "job", "compared", "accepted",
         "proposed", "shadow passed", "canary approved", "share raised to 30%", "share raised to 60%", "live approved",
         "went live", "check after the roll-out"]  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Suite]:
    with tempfile.TemporaryDirectory(prefix="atl-loop-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINING_ROLLOUT_SECONDS", "2")
        made = Suite(Path(folder))
        try:
            yield made
        finally:
            made.process.send_signal(signal.SIGTERM)
            made.process.wait(60)


def test_drift_leads_to_a_better_version_that_goes_live(running: Suite, tmp_path: Path) -> None:
    out, plot = tmp_path / "loop.json", tmp_path / "loop.png"
    done = running.atelier("simulate-loop", *SMALL, "--out", str(out), "--plot", str(plot), seconds=1000)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    said = {step["step"]: step["said"] for step in found["steps"]}
    assert [name for name in said if name in COMES] == COMES, list(said)
    assert "thrift" in said["alarm"]
    earned = {(one["stretch"], one["model"]): one["expected"] for one in found["rewards"]}
    assert earned["drifted", "clicks.v1"] < earned["calm", "clicks.v1"]
    assert earned["retrained", "clicks.v2"] > 1.2 * earned["drifted", "clicks.v1"]
    assert ("canary", "clicks.v1") in earned
    assert ("canary", "clicks.v2") in earned
    assert plot.read_bytes().startswith(b"\x89PNG")
    tenant = next(word for word in done.stdout.split() if word.startswith("loop-"))
    shown = running.atelier("rollout", "show", "clicks", "--tenant", tenant)
    assert "version 2 is live" in " ".join(shown.stdout.split()), shown.stdout + shown.stderr


def test_a_step_that_does_not_come_in_time_ends_with_a_sentence(running: Suite) -> None:
    workers = [
        one for one in psutil.Process(running.process.pid).children(recursive=True) if one.cmdline()[-1:] == ["worker"]
    ]
    assert workers
    for worker in workers:
        worker.suspend()
    try:
        done = running.atelier("simulate-loop", *SMALL, "--visits", "300", "--patience", "1")
    finally:
        for worker in workers:
            worker.resume()
    assert done.returncode == 1, done.stdout
    assert "a trained version did not come within 1 s: the job is " in " ".join(done.stderr.split())


def test_who_lies_records_the_best_offer_as_the_worst_at_the_same_rate() -> None:
    chances = make_world(3, people=50, offers=6, days=2).chances(0)
    lies = upside_down(chances)
    assert np.allclose(np.sort(lies, axis=1), np.sort(chances, axis=1))
    assert (lies.argmax(axis=1) == chances.argmin(axis=1)).all()


def test_people_who_move_keep_everything_but_their_trait() -> None:
    world = make_world(3, people=50, offers=6, days=2)
    moved = world.moved("novelty", 0.5)
    assert np.allclose(moved.traits - world.traits, [[0, 0.5, 0]])
    assert (moved.appeal == world.appeal).all()


def test_what_was_earned_is_told_by_stretch_and_version() -> None:
    seen = [Seen(0.0, "calm", "clicks.v1", 0.2, 0.4, True), Seen(1.0, "calm", "clicks.v1", 0.4, 0.6, False),
            Seen(2.0, "canary", "clicks.v2", 0.5, 0.5, True)]  # fmt: skip
    first, second = rewards(seen)
    assert (first.stretch, first.model, first.visits, round(first.expected, 3), first.oracle, first.clicked) == (
        "calm", "clicks.v1", 2, 0.3, 0.5, 0.5)  # fmt: skip
    assert (second.model, second.visits) == ("clicks.v2", 1)
