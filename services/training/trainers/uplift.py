"""Uplift: by how much a treatment changes the outcome, person by person, from a randomised campaign.

Three learners on LightGBM: T (two models), X (Kuenzel et al., PNAS 2019) and DR (Kennedy 2023, cross-fitted). Learner and
settings are chosen by cross-validated Qini. What serves is a pair of probability models whose difference is the effect:
for X and DR the treated model is fitted to the untreated chance plus the effect; figures are of the pair that serves.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from services.training import metrics, randomised
from services.training.frames import Frame
from services.training.progress import Told
from services.training.trained import Order, Trained
from services.training.trainers.propensity import nameable, stamp
from shared.contracts.policies import ScorerModel
from shared.contracts.training import Figure

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Predict = Callable[[FloatArray], FloatArray]
LEARNERS = ("t", "x", "dr")
DEFAULTS: dict[str, Any] = {
    "learner": "dr",
    "num_leaves": 7,
    "min_data_in_leaf": 100,
    "rounds": 100,
    "learning_rate": 0.05,
}
_FOLDS = 3


def is_binary(frame: Frame) -> bool:
    """Is the outcome 0 or 1?"""
    return bool(np.isin(frame.y, (0.0, 1.0)).all())


def train(frame: Frame, order: Order, told: Told, *, truth: FloatArray | None = None) -> Trained:
    """The best of the learners, with Qini and policy values on the frame's test rows.

    Args:
        frame: of a campaign, with `treatment`.
        order: seed, trials, fixed parameters (`learner`: t, x or dr).
        told: progress.
        truth: true effects of all rows where they are known (synthetic data).
    """
    frame = nameable(frame)
    balance = randomised.check(frame)
    chance = randomised.chances(frame, balance, order.seed)
    binary = is_binary(frame)
    parameters, said = _choose(frame, chance, order, told)
    told("fit", 0, 1)
    rest = ~frame.test
    treated, untreated, effect = _pair(frame, chance, rest, parameters, order, binary=binary)
    told("fit", 1, 1)
    x = frame.x[frame.test]
    served: FloatArray = treated(x) - untreated(x) if binary else effect(x)
    known = truth[frame.test] if truth is not None else None
    figures = evaluated(frame, chance, served, treated(x), known, order.seed)
    scorer = None
    files = {"effect.txt": effect.text.encode()}
    if binary:
        scorer = ScorerModel(
            model_id="unversioned", kind="trees", body={"model": treated.text, "control": untreated.text}
        )
        files = {"treated.txt": treated.text.encode(), "untreated.txt": untreated.text.encode()}
    contributions = effect.contributions(x)
    weights = np.abs(contributions[:, :-1]).mean(axis=0)
    ranked = np.argsort(-weights, kind="stable")[:30]
    qini = figures[0]
    return Trained(
        algorithm=f"{parameters['learner'].upper()}-learner on boosted trees (LightGBM)", data=stamp(frame), files=files, figures=figures,
        beats_baseline=qini.baseline is not None and qini.value > qini.baseline, baseline="ranking by propensity", parameters=parameters,
        inputs=frame.columns, importance={frame.columns[k]: float(weights[k]) for k in ranked if weights[k] > 0},
        attribution_residual=float(np.abs(contributions.sum(axis=1) - effect(x)).max(initial=0.0)),
        notes=[*frame.notes, *balance.notes, *said, (f"{(served < 0).mean():.1%} of the test rows would be moved the wrong way: a policy with "
               "`arbitration.minimumUplift` 0 does not make them the offer")],
        limits=[] if binary else ["the outcome is an amount: no scorer is made, use the effect model's file"], scorer=scorer,
    )  # fmt: skip


class _Trees:
    """A LightGBM model as a function."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        self.text = str(booster.model_to_string())

    def __call__(self, x: FloatArray) -> FloatArray:
        return np.asarray(self._booster.predict(x, num_threads=1), dtype=np.float64)

    def contributions(self, x: FloatArray) -> FloatArray:
        """Tree SHAP values, shape (n, d + 1)."""
        return np.asarray(self._booster.predict(x, num_threads=1, pred_contrib=True), dtype=np.float64)


def _fit(names: list[str], x: FloatArray, y: FloatArray, objective: str, parameters: dict[str, Any], order: Order,
         weight: FloatArray | None = None) -> _Trees:  # fmt: skip
    import lightgbm

    settings = {"objective": objective, "verbose": -1, "deterministic": True, "force_row_wise": True, "seed": order.seed,
                "num_threads": order.threads, "learning_rate": parameters["learning_rate"], "num_leaves": int(parameters["num_leaves"]),
                "min_data_in_leaf": int(parameters["min_data_in_leaf"]), "lambda_l2": 5.0}  # fmt: skip
    data = lightgbm.Dataset(x, y, weight=weight, feature_name=names)
    return _Trees(lightgbm.train(settings, data, int(parameters["rounds"])))


def _arms(
    frame: Frame, rows: BoolArray, parameters: dict[str, Any], order: Order, *, binary: bool
) -> tuple[_Trees, _Trees]:
    """Outcome models of the treated and of the untreated."""
    assert frame.treatment is not None  # noqa: S101  (checked before)
    objective = "binary" if binary else "regression"
    on, off = rows & (frame.treatment > 0), rows & (frame.treatment == 0)
    return (_fit(frame.columns, frame.x[on], frame.y[on], objective, parameters, order),
            _fit(frame.columns, frame.x[off], frame.y[off], objective, parameters, order))  # fmt: skip


def effect_of(
    frame: Frame, chance: FloatArray, rows: BoolArray, parameters: dict[str, Any], order: Order, *, binary: bool
) -> _Trees:
    """A model of the effect by the X- or DR-learner, on some rows."""
    assert frame.treatment is not None  # noqa: S101  (checked before)
    w, y, x = frame.treatment, frame.y, frame.x
    target = np.zeros(len(y))
    fold = np.random.default_rng([order.seed, 3]).permutation(len(y)) % _FOLDS
    weight = np.ones(len(y))
    for k in range(_FOLDS):
        mine = rows & (fold == k)
        one, zero = _arms(frame, rows & (fold != k), parameters, order, binary=binary)
        p1, p0 = one(x[mine]), zero(x[mine])
        if parameters["learner"] == "x":
            # Imputed effects; the weighting of both arms by the chance is folded into one regression.
            target[mine] = np.where(w[mine] > 0, y[mine] - p0, p1 - y[mine])
            weight[mine] = np.where(w[mine] > 0, 1 - chance[mine], chance[mine])
        else:
            residual = w[mine] * (y[mine] - p1) / chance[mine] - (1 - w[mine]) * (y[mine] - p0) / (1 - chance[mine])
            target[mine] = p1 - p0 + residual
    return _fit(frame.columns, x[rows], target[rows], "regression", parameters, order, weight[rows])


def _pair(
    frame: Frame, chance: FloatArray, rows: BoolArray, parameters: dict[str, Any], order: Order, *, binary: bool
) -> tuple[_Trees, _Trees, _Trees]:
    """(treated, untreated, effect): two models of the outcome whose difference is the effect, and a model of the effect."""
    one, zero = _arms(frame, rows, parameters, order, binary=binary)
    x = frame.x[rows]
    if parameters["learner"] == "t":
        return one, zero, _fit(frame.columns, x, one(x) - zero(x), "regression", parameters, order)
    effect = effect_of(frame, chance, rows, parameters, order, binary=binary)
    if not binary:
        return one, zero, effect
    wanted = np.clip(zero(x) + effect(x), 1e-4, 1 - 1e-4)
    finer = {**parameters, "num_leaves": 31, "min_data_in_leaf": 20, "rounds": 300}
    return _fit(frame.columns, x, wanted, "cross_entropy", finer, order), zero, effect


def _choose(frame: Frame, chance: FloatArray, order: Order, told: Told) -> tuple[dict[str, Any], list[str]]:
    """Learner and settings by cross-validated Qini, with pruning."""
    fixed = {**order.parameters}
    if order.trials == 0:
        return {**DEFAULTS, **fixed}, []
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert frame.treatment is not None  # noqa: S101  (checked before)
    w, binary = frame.treatment, is_binary(frame)
    fold = np.random.default_rng([order.seed, 5]).permutation(len(frame.y)) % _FOLDS

    def objective(trial: Any) -> float:
        parameters = {
            "learner": trial.suggest_categorical("learner", list(LEARNERS)), "num_leaves": trial.suggest_int("num_leaves", 3, 31, log=True),
            "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 500, log=True),
            "rounds": trial.suggest_categorical("rounds", [40, 80, 160]),
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
        } | fixed  # fmt: skip
        found: list[float] = []
        for k in range(_FOLDS):
            told("settings", trial.number * _FOLDS + k, order.trials * _FOLDS)
            rows, held = ~frame.test & (fold != k), ~frame.test & (fold == k)
            if parameters["learner"] == "t":
                one, zero = _arms(frame, rows, parameters, order, binary=binary)
                score = one(frame.x[held]) - zero(frame.x[held])
            else:
                score = effect_of(frame, chance, rows, parameters, order, binary=binary)(frame.x[held])
            found.append(metrics.qini(frame.y[held], w[held], chance[held], score))
            trial.report(float(np.mean(found)), k)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(found))

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=order.seed, n_startup_trials=6),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0),
    )  # fmt: skip
    study.enqueue_trial({**DEFAULTS, "rounds": 80})
    study.optimize(objective, n_trials=order.trials)
    pruned = sum(t.state == optuna.trial.TrialState.PRUNED for t in study.trials)
    said = f"{len(study.trials)} settings tried, {pruned} given up early; cross-validated Qini {study.best_value:.5f}"
    return {**DEFAULTS, **study.best_params, **fixed}, [said]


def evaluated(
    frame: Frame, chance: FloatArray, uplift: FloatArray, propensity: FloatArray, truth: FloatArray | None, seed: int
) -> list[Figure]:
    """Qini against ranking by propensity, and what policies earn an individual; intervals of paired bootstraps."""
    assert frame.treatment is not None  # noqa: S101  (checked before)
    rows = frame.test
    y, w, e = frame.y[rows], frame.treatment[rows], chance[rows]
    n = len(y)
    treat = uplift > 0
    # The propensity policy treats as many, of those most likely to buy.
    alike = np.zeros(n, dtype=bool)
    alike[np.argsort(-propensity, kind="stable")[: int(treat.sum())]] = True

    def q(score: FloatArray) -> Callable[[npt.NDArray[np.int64]], float]:
        return lambda r: metrics.qini(y[r], w[r], e[r], score[r])

    def v(policy: BoolArray) -> Callable[[npt.NDArray[np.int64]], float]:
        return lambda r: metrics.policy_value(y[r], w[r], e[r], policy[r])

    def figure(name: str, mine: Any, theirs: Any, note: str) -> Figure:
        low, high = metrics.interval(lambda r: mine(r) - theirs(r), n, seed, draws=200)
        every = np.arange(n)
        a, b = mine(every), theirs(every)
        return Figure(
            name=name,
            value=a,
            low=b + low,
            high=b + high,
            baseline=b,
            note=f"{note}; the interval is of the difference, set on the baseline",
        )

    found = [
        figure("qini", q(uplift), q(propensity), "baseline: ranking by propensity"),
        figure("policy_value", v(treat), v(alike), "treating whom it helps; baseline: as many of the likeliest"),
        figure("policy_value_over_all", v(treat), v(np.ones(n, dtype=bool)), "baseline: treating everybody"),
    ]
    if truth is not None:
        centred = float(np.corrcoef(uplift, truth)[0, 1]) if uplift.std() > 0 else 0.0
        gain = float((truth * treat).mean())
        found += [
            Figure(name="true_gain", value=gain, baseline=float((truth * alike).mean()), note="true mean effect of the policy; baseline: propensity"),
            Figure(name="sleeping_dogs_treated", value=float((treat & (truth < 0)).sum() / max(int((truth < 0).sum()), 1)),
                   baseline=float((alike & (truth < 0)).sum() / max(int((truth < 0).sum()), 1)), higher_is_better=False),
            Figure(name="correlation_with_truth", value=centred),
        ]  # fmt: skip
    return found
