"""Off-policy value: the estimators that serve, on synthetic worlds whose truth is known."""

from collections import defaultdict

import numpy as np

from evals import statistics
from evals.runs import Case, Metric, Run, code_version, mean_of
from services.evaluation import off_policy, worlds

WORLDS = 60
_SHOWN = 20


def run(seed: int) -> Run:
    """Coverage of the 95 % intervals and squared errors, each estimator; refusals are abstentions, never values."""
    errors: dict[str, dict[str, float]] = defaultdict(dict)
    hits: dict[str, dict[str, float]] = defaultdict(dict)
    refused: dict[str, int] = defaultdict(int)
    for world in range(seed, seed + WORLDS):
        log, truth = worlds.make_world(world)
        for one in off_policy.evaluate(log):
            if one.value is None or one.ci_low is None or one.ci_high is None:
                refused[one.name] += 1
                continue
            errors[one.name][str(world)] = (one.value - truth) ** 2
            hits[one.name][str(world)] = float(one.ci_low <= truth <= one.ci_high)
    metrics = [
        mean_of(f"{name}_coverage", values, seed, abstained=_reasons(refused[name])) for name, values in hits.items()
    ]
    metrics += [
        mean_of(f"{name}_squared_error", values, seed, higher_is_better=False) for name, values in errors.items()
    ]
    metrics.append(_against(errors["dr"], errors["snips"], seed))
    worst = sorted(errors["dr"].items(), key=lambda item: -item[1])[:_SHOWN]
    cases = [Case(id=f"world {key}", value=value, text=f"squared error of DR {value:.4f}") for key, value in worst]
    return Run(suite="off-policy", seed=seed, data=f"worlds-{seed}-{WORLDS}", code=code_version(),
               made_with={"estimators": "services.evaluation.off_policy"}, metrics=metrics, worst=cases)  # fmt: skip


def _reasons(count: int) -> dict[str, int]:
    return {"effective sample size too small": count} if count else {}


def _against(ours: dict[str, float], theirs: dict[str, float], seed: int) -> Metric:
    """DR's mean squared error as a share of SNIPS's, resampled by world."""
    shared = sorted(ours.keys() & theirs.keys())
    rows = np.array([[ours[key], theirs[key]] for key in shared])
    value, low, high = statistics.statistic_interval(rows, lambda r: float(r[:, 0].mean() / r[:, 1].mean()), seed)
    return Metric(name="dr_error_against_snips", value=value, low=low, high=high, n=len(shared), higher_is_better=False)
