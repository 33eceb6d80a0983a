"""Off-policy estimators: right on worlds of known value, equal to the Open Bandit Pipeline's, refused where blind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation import off_policy, slates, worlds
from services.evaluation.errors import BadLogError
from services.evaluation.off_policy import Log

WORLDS = 200
ROOT = Path(__file__).resolve().parents[2]
# obp's own estimators on its own small data, in a process of its own: its wheel is unpacked, never installed.
OBP = """
import importlib.util, json, sys, types
import numpy as np
folder, behaviour, out = sys.argv[1:4]
sys.modules["obp"] = package = types.ModuleType("obp"); package.__path__ = [folder + "/obp"]
sys.modules["obp.ope"] = ope = types.ModuleType("obp.ope"); ope.__path__ = [folder + "/obp/ope"]
sys.modules["pandas"] = pandas = types.ModuleType("pandas"); pandas.DataFrame = object
from obp.ope.estimators import DoublyRobust, InverseProbabilityWeighting, SelfNormalizedInverseProbabilityWeighting, SwitchDoublyRobust
data = np.load(out + ".npz")
given = {"reward": data["reward"], "action": data["action"], "pscore": data["propensity"],
         "action_dist": data["target"][:, :, None], "position": np.zeros(len(data["reward"]), dtype=int)}
q = data["q"][:, :, None]
print(json.dumps({
    "ips": InverseProbabilityWeighting().estimate_policy_value(**given),
    "snips": SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**given),
    "dr": DoublyRobust().estimate_policy_value(**given, estimated_rewards_by_reg_model=q),
    "switch-dr": SwitchDoublyRobust(tau=float(data["tau"])).estimate_policy_value(**given, estimated_rewards_by_reg_model=q),
}))
"""


@pytest.fixture(scope="module")
def judged() -> dict[str, tuple[float, float]]:
    """Estimator -> (share of intervals that hold the truth, mean squared error) over 200 worlds."""
    found: dict[str, list[tuple[bool, float]]] = {}
    for seed in range(WORLDS):
        log, truth = worlds.make_world(seed)
        for one in off_policy.evaluate(log):
            assert one.value is not None
            assert one.ci_low is not None
            assert one.ci_high is not None
            found.setdefault(one.name, []).append((one.ci_low <= truth <= one.ci_high, (one.value - truth) ** 2))
    return {
        name: (sum(hit for hit, _ in rows) / WORLDS, sum(e for _, e in rows) / WORLDS) for name, rows in found.items()
    }


def test_intervals_hold_the_truth_in_93_to_97_percent_of_200_worlds(judged: dict[str, tuple[float, float]]) -> None:
    assert 0.93 <= judged[off_policy.DEFAULT][0] <= 0.97
    assert 0.93 <= judged["switch-dr"][0] <= 0.97


def test_the_default_errs_at_most_four_fifths_of_snips(judged: dict[str, tuple[float, float]]) -> None:
    assert judged[off_policy.DEFAULT][1] <= 0.8 * judged["snips"][1]


def test_slate_estimators_find_the_value_of_slates_that_cascade() -> None:
    found: dict[str, list[bool]] = {}
    for seed in range(60):
        log, truth = worlds.make_slate_world(seed)
        for one in slates.evaluate(log):
            if one.ci_low is not None and one.ci_high is not None:
                found.setdefault(one.name, []).append(one.ci_low <= truth <= one.ci_high)
    for name in ("rips", "sips", "snrips"):
        assert np.mean(found[name]) >= 0.88, name
    assert np.mean(found["iips"]) < 0.88  # slots are not independent here: it must not be read as the value


@pytest.fixture(scope="module")
def obp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("obp")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "obp==0.4.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"obp's wheel cannot be fetched: {done.stderr[-300:]}")
    return folder


@pytest.mark.parametrize("behaviour", ["random", "bts"])
def test_estimates_equal_obps_on_the_open_bandit_data(obp: Path, behaviour: str, tmp_path: Path) -> None:
    import duckdb

    path = obp / "obp" / "dataset" / "obd" / behaviour / "all" / "all.csv"
    rows = duckdb.sql(
        f"SELECT item_id, click, propensity_score, position, user_feature_0 FROM read_csv('{path}')"
    ).fetchnumpy()
    action, reward = rows["item_id"].astype(np.int64), rows["click"].astype(np.float64)
    _, code = np.unique(rows["user_feature_0"].astype(str), return_inverse=True)
    context = np.eye(int(code.max()) + 1)[code]
    draw = np.random.default_rng(0)
    target = draw.dirichlet(np.full(int(action.max()) + 1, 3.0), len(action))
    log = Log(context, action, reward, rows["propensity_score"].astype(np.float64), target)
    off_policy.check(log)
    q = off_policy.cross_fit(log.context, log.action, log.reward, target.shape[1])
    tau = float(np.quantile(off_policy.weights(log), 0.9))
    ours = {one.name: one.value for one in (off_policy.ips(log), off_policy.snips(log), off_policy.dr(log, q),
                                            off_policy.switch_dr(log, q, tau))}  # fmt: skip
    out = tmp_path / "log"
    np.savez(
        out.with_suffix(".npz"),
        reward=log.reward,
        action=log.action,
        propensity=log.propensity,
        target=target,
        q=q,
        tau=tau,
    )
    command = [sys.executable, "-c", OBP, str(obp), behaviour, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs: dict[str, float] = json.loads(done.stdout)
    for name, value in theirs.items():
        found = ours[name]
        assert found is not None
        assert abs(found - value) < 1e-6, name


def small(n: int = 400, k: int = 3, seed: int = 0) -> Log:
    draw = np.random.default_rng(seed)
    logging = draw.dirichlet(np.full(k, 5.0), n)
    action = (logging.cumsum(axis=1) > draw.random((n, 1))).argmax(axis=1)
    reward = draw.random(n).round(2)
    return Log(draw.normal(size=(n, 2)), action, reward, logging[np.arange(n), action], logging)


@given(st.integers(0, 10_000))
def test_the_logging_policy_is_worth_what_it_earned(seed: int) -> None:
    log = small(seed=seed)
    for one in (off_policy.ips(log), off_policy.snips(log)):
        assert one.value is not None
        assert abs(one.value - log.reward.mean()) < 1e-9


def test_what_the_log_hardly_shows_is_refused_with_a_reason_and_never_nan() -> None:
    import msgspec

    log = small()
    target = np.zeros_like(log.target)
    target[np.arange(len(target)), (log.action + 1) % 3] = 1.0
    blind = msgspec.structs.replace(log, target=target)
    for one in off_policy.evaluate(blind):
        assert one.value is None
        assert "effective sample size 0.0" in str(one.refused)


@pytest.mark.parametrize(
    "change",
    [
        {"reward": np.full(400, np.nan)}, {"propensity": np.zeros(400)}, {"propensity": np.full(400, 1.5)},
        {"target": np.full((400, 3), 0.5)}, {"action": np.full(400, 9)}, {"reward": np.zeros(3)},
    ],
)  # fmt: skip
def test_a_log_that_would_give_a_wrong_figure_is_refused(change: dict[str, Any]) -> None:
    import msgspec

    with pytest.raises(BadLogError):
        off_policy.evaluate(msgspec.structs.replace(small(), **change))
