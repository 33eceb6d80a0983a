"""Recommendation. Baskets: boosted trees rank what a household bought before by what it buys next. Ratings: EASE and
neighbours, blended, settings chosen on a part of the training data. Neither is a decision's score: they rank products.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.training import closed_form, learners, metrics, plans
from services.training.progress import Told
from services.training.trained import Order, Trained
from shared.contracts.training import Dataset, DataStamp, Figure
from shared.settings import load_settings

FloatArray = npt.NDArray[np.float64]
TEST_WEEK, TEST_WEEKS, TRAIN_WEEKS, TOP = 49, 5, (37, 41, 45), 10
RANKER: dict[str, Any] = {"learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 200, "feature_fraction": 0.7, "lambda_l2": 5.0,
                          "bagging_fraction": 0.8, "rounds": 150}  # fmt: skip
BLEND: dict[str, float] = {"penalty": 400.0, "shrinkage": 5.0, "popularity": 0.0, "damping": 0.0, "share": 0.75}
_LIMIT = "it ranks products, not offers: no scorer is made"


def plan(dataset: Dataset, order: Order) -> Callable[[Told], Trained]:
    """Which of the two."""
    return (lambda told: train_ratings(dataset, order, told)) if dataset.source == "movielens-100k" else (
        lambda told: train_baskets(dataset, order, told)
    )  # fmt: skip


def train_baskets(dataset: Dataset, order: Order, told: Told) -> Trained:
    """A ranker of what is bought in the next weeks, learnt at three earlier moments, judged at week 49."""
    from services.training import next_basket
    from services.training.sources import baskets

    told("data", 0, len(TRAIN_WEEKS) + 1)
    b = baskets.read(order.threads)
    parts = []
    names: list[str] = []
    for n, week in enumerate((*TRAIN_WEEKS, TEST_WEEK), 1):
        pairs, names, x = next_basket.inputs(b, week)
        parts.append((pairs, x, week))
        told("data", n, len(TRAIN_WEEKS) + 1)
    x = np.vstack([x for _, x, _ in parts[:-1]])
    y = np.concatenate([next_basket.wanted(b, pairs, week) for pairs, _, week in parts[:-1]])
    digest = _digest(x, y)
    plans.pinned(digest, dataset)
    told("fit", 0, 1)
    settings = {**RANKER, **order.parameters}
    model = learners.fit_trees(names, x, y, settings, seed=order.seed, threads=order.threads)
    told("fit", 1, 1)
    pairs, x, week = parts[-1]
    who, mine = next_basket.precision(b, pairs, model.log_odds(x), week, TEST_WEEKS, TOP)
    _, own = next_basket.precision(b, pairs, x[:, names.index("lines")], week, TEST_WEEKS, TOP)
    _, recent = next_basket.precision(b, pairs, x[:, names.index("recent_weeks_16")], week, TEST_WEEKS, TOP)
    low, high = metrics.interval(lambda rows: float(mine[rows].mean()), len(who), order.seed)
    lower, upper = metrics.interval(lambda rows: float((mine - recent)[rows].mean()), len(who), order.seed)
    figures = [
        Figure(name="precision_at_10", value=float(mine.mean()), low=low, high=high, baseline=float(own.mean()), note="baseline: own frequency"),
        Figure(name="gain_over_recent_frequency", value=float((mine - recent).mean()), low=lower, high=upper, baseline=0.0,
               note="over own weeks of purchase with a half-life of 16 weeks, the best simple rule found"),
    ]  # fmt: skip
    sample = x[np.random.default_rng(order.seed).choice(len(x), size=min(2000, len(x)), replace=False)]
    stamp = DataStamp(name=baskets.NAME, hash=digest, rows=len(y), columns=len(names), positives=int(y.sum()))
    return Trained(
        algorithm="boosted trees (LightGBM) over each household's own products", data=stamp, files={"model.txt": model.encode()}, figures=figures,
        beats_baseline=lower > 0, baseline="own frequency and own recent frequency", parameters=settings, inputs=names,
        importance=learners.importance(model, sample), attribution_residual=learners.residual(model, sample),
        notes=[f"{len(who)} households with purchases before week {week} and after"], limits=[_LIMIT, "products never bought are not ranked"],
    )  # fmt: skip


def train_ratings(dataset: Dataset, order: Order, told: Told) -> Trained:
    """EASE and neighbours on MovieLens-100k, nDCG at 10 on the held-out quarter; popularity is the rule to beat."""
    from services.training.sources import movielens

    told("data", 0, 1)
    rows = movielens.ratings(load_settings().atelier_data / "datasets")
    digest = _digest(rows.astype(np.float64), np.zeros(0))
    plans.pinned(digest, dataset)
    train, shape = movielens.split(rows, order.seed)
    x, later = movielens.matrix(rows[train], shape), movielens.matrix(rows[~train], shape)
    settings = {**BLEND, **_searched(rows[train], shape, order, told), **order.parameters}
    told("fit", 0, 1)
    model = closed_form.Blend(x, settings)
    told("fit", 1, 1)
    mine = closed_form.ndcg(closed_form.top(model.scores(x), x, TOP), later)
    popular = np.broadcast_to(x.sum(axis=0), x.shape).astype(np.float32)
    rule = closed_form.ndcg(closed_form.top(popular, x, TOP), later)
    low, high = metrics.interval(lambda r: float(mine[r].mean()), len(mine), order.seed)
    return Trained(
        algorithm="EASE blended with item neighbours, closed form",
        data=DataStamp(name=movielens.NAME, hash=digest, rows=len(rows), columns=3, positives=int(train.sum())),
        files={"ease.f32": model.ease.tobytes(), "settings.json": msgspec.json.encode(settings)},
        figures=[Figure(name="ndcg_at_10", value=float(mine.mean()), low=low, high=high, baseline=float(rule.mean()), note="baseline: the most popular")],
        beats_baseline=float(mine.mean()) > float(rule.mean()), baseline="the most popular", parameters=settings, limits=[_LIMIT],
        notes=[f"split by person, 75/25, seed {order.seed}; {len(mine)} people judged"],
    )  # fmt: skip


def _searched(rows: npt.NDArray[np.int64], shape: tuple[int, int], order: Order, told: Told) -> dict[str, Any]:
    """Settings by nDCG on a quarter of the training ratings; nothing of the test is looked at."""
    if not order.trials:
        return {}
    import optuna

    from services.training.sources import movielens

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    part, _ = movielens.split(rows, order.seed + 1)
    x, later = movielens.matrix(rows[part], shape), movielens.matrix(rows[~part], shape)

    def objective(trial: Any) -> float:
        told("settings", trial.number, order.trials)
        settings = {
            "penalty": trial.suggest_float("penalty", 50, 2000, log=True), "shrinkage": trial.suggest_float("shrinkage", 0, 50),
            "popularity": trial.suggest_float("popularity", 0, 0.5), "damping": 0.0, "share": trial.suggest_float("share", 0.4, 1.0),
        }  # fmt: skip
        return float(closed_form.ndcg(closed_form.top(closed_form.Blend(x, settings).scores(x), x, TOP), later).mean())

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=order.seed))
    study.enqueue_trial({name: BLEND[name] for name in ("penalty", "shrinkage", "popularity", "share")})
    study.optimize(objective, n_trials=order.trials)
    return dict(study.best_params)


def _digest(x: FloatArray, y: FloatArray) -> str:
    import hashlib

    return hashlib.sha256(np.ascontiguousarray(x).tobytes() + y.tobytes()).hexdigest()
