"""Settings by Optuna, seeded, with pruning: a trial that is worse than the median after some folds is not finished."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.training import learners, metrics
from services.training.frames import Frame, spread
from services.training.progress import Told

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
FOLDS = 4
_STARTUP = 6
_ROUNDS = (50, 100, 200, 400)
DEFAULTS: dict[str, dict[str, Any]] = {
    learners.LINEAR: {"C": 0.01},
    learners.TREES: {"learning_rate": 0.04, "num_leaves": 7, "min_data_in_leaf": 30, "feature_fraction": 0.5,
                     "bagging_fraction": 0.7, "lambda_l2": 10.0, "rounds": 200},
}  # fmt: skip


class Chosen(msgspec.Struct):
    """The learner and settings that won, their cross-validated log loss, and what was tried (trials, pruned)."""

    learner: str
    parameters: dict[str, Any]
    loss: float
    tried: int = 0
    pruned: int = 0


def folds(frame: Frame, seed: int, count: int = FOLDS) -> list[BoolArray]:
    """Rows held out in each fold (of the training rows); rows of one group, else of one entity, stay together."""
    groups = spread(frame.entity) if frame.group is None else frame.group
    names = np.unique(groups)
    fold_of = dict(
        zip(names.tolist(), (np.random.default_rng(seed).permutation(len(names)) % count).tolist(), strict=True)
    )
    fold = np.array([fold_of[g] for g in groups.tolist()])
    held = [(fold == k) & ~frame.test for k in range(count)]
    return [rows for rows in held if rows.any() and frame.y[rows].sum() > 0]


def out_of_fold(
    frame: Frame, held: Sequence[BoolArray], learner: str, parameters: dict[str, Any], *, seed: int, threads: int,
    after: Callable[[int, float], None] | None = None, weight: FloatArray | None = None,
) -> FloatArray:  # fmt: skip
    """Log-odds of every training row by a model that never saw it, NaN elsewhere; `after` hears each fold's log loss."""
    found = np.full(len(frame.y), np.nan)
    for k, rows in enumerate(held):
        rest = ~frame.test & ~rows
        w = None if weight is None else weight[rest]
        model = learners.fit(
            learner, frame.columns, frame.x[rest], frame.y[rest], parameters, seed=seed, threads=threads, weight=w
        )
        found[rows] = model.log_odds(frame.x[rows])
        if after:
            after(k, metrics.log_loss(frame.y[rows], learners.probability(found[rows])))
    return found


def choose(
    frame: Frame, *, trials: int, seed: int, threads: int, told: Told, fixed: dict[str, Any] | None = None,
    weight: FloatArray | None = None,
) -> Chosen:  # fmt: skip
    """The best learner and settings on the training rows.

    Args:
        frame: the data; rows marked `test` are not looked at.
        trials: settings to try; 0 takes the defaults of the learner that `fixed` names (trees if none).
        seed: of sampler, folds and learners.
        threads: LightGBM's.
        told: progress.
        fixed: settings that are not searched; `learner` is one of them.
        weight: (n,) of each row.
    """
    import optuna

    fixed = dict(fixed or {})
    wanted = fixed.pop("learner", None)
    held = folds(frame, seed)
    if trials == 0:
        learner = wanted or learners.TREES
        return Chosen(learner, {**DEFAULTS[learner], **fixed}, float("nan"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=1),
    )
    for learner in [wanted] if wanted else [learners.LINEAR, learners.TREES]:
        study.enqueue_trial({"learner": learner, **DEFAULTS[learner]})

    def objective(trial: Any) -> float:
        learner = wanted or trial.suggest_categorical("learner", [learners.LINEAR, learners.TREES])
        parameters = {**_suggested(trial, learner), **fixed}
        losses: list[float] = []

        def after(fold: int, loss: float) -> None:
            losses.append(loss)
            told("settings", trial.number * len(held) + fold + 1, trials * len(held))
            trial.report(float(np.mean(losses)), fold)
            if trial.should_prune():
                raise optuna.TrialPruned

        out_of_fold(frame, held, learner, parameters, seed=seed, threads=threads, after=after, weight=weight)
        trial.set_user_attr("losses", losses)
        return float(np.mean(losses))

    study.optimize(objective, n_trials=trials, n_jobs=1)
    best = _simplest(study.trials, study.best_trial)
    learner = wanted or best.params["learner"]
    parameters = {name: value for name, value in best.params.items() if name != "learner"}
    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    return Chosen(learner, {**parameters, **fixed}, float(best.value), len(study.trials), pruned)


def _simplest(trials: Sequence[Any], best: Any) -> Any:
    """The best line, unless the best trees beat it by more than a standard error of the folds' differences (Breiman's rule)."""
    lines = [t for t in trials if t.params.get("learner") == learners.LINEAR and "losses" in t.user_attrs]
    if not lines or best.params.get("learner") != learners.TREES:
        return best
    line = min(lines, key=lambda t: t.value)
    gain = np.array(line.user_attrs["losses"]) - np.array(best.user_attrs["losses"])
    error = float(gain.std(ddof=1)) / len(gain) ** 0.5 if len(gain) > 1 else 0.0
    return best if float(gain.mean()) > error else line


def _suggested(trial: Any, learner: str) -> dict[str, Any]:
    if learner == learners.LINEAR:
        return {"C": trial.suggest_float("C", 1e-4, 10.0, log=True)}
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 2, 63, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 5, 200, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.1, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-2, 100.0, log=True),
        "rounds": trial.suggest_categorical("rounds", list(_ROUNDS)),
    }
