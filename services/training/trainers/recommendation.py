"""Recommendation. Baskets: boosted trees rank what a person bought before by what they buy next. Ratings: EASE and
neighbours, blended, settings chosen on a part of the training data. Neither is a decision's score: they rank products, which
decisions read as attributes of the person.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.training import closed_form, learners, metrics, next_basket, plans, predictions
from services.training.errors import BadDataError
from services.training.progress import Told
from services.training.sources import baskets
from services.training.sources.baskets import Baskets
from services.training.trained import Order, Trained
from shared.contracts.training import Dataset, DataStamp, Figure
from shared.settings import load_settings

FloatArray = npt.NDArray[np.float64]
NEXT = "nextPurchases"
TOP = 10
RANKER: dict[str, Any] = {"learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 200, "feature_fraction": 0.7, "lambda_l2": 5.0,
                          "bagging_fraction": 0.8, "rounds": 150}  # fmt: skip
BLEND: dict[str, float] = {"penalty": 400.0, "shrinkage": 5.0, "popularity": 0.0, "damping": 0.0, "share": 0.75}
_NO_SCORER = "it ranks products, not offers: no scorer is made"
_READ_AS = f"it ranks products, not offers: import {predictions.FILE}, rules then read `profile.attributes.{NEXT}`"
_WEEKS, _MOMENTS, _LEAST_WEEKS, _LEAST_PEOPLE = 4, 3, 24, 50


class Moments(msgspec.Struct, frozen=True):
    """The first weeks of what is to be foretold: learnt at `train` (four weeks each), judged at `test` (`test_weeks`)."""

    train: tuple[int, ...]
    test: int
    test_weeks: int


JOURNEY = Moments((37, 41, 45), 49, 5)


def plan(dataset: Dataset, order: Order) -> Callable[[Told], Trained]:
    """Which of the two."""
    if dataset.source == "movielens-100k":
        return lambda told: train_ratings(dataset, order, told)
    given = _read(dataset) if dataset.source == "table" else None

    def run(told: Told) -> Trained:
        told("data", 0, _MOMENTS + 1)
        if given is None:
            return train_baskets(baskets.NAME, baskets.read(order.threads), JOURNEY, dataset, order, told)[0]
        b = baskets.of_table(*given)
        trained, model = train_baskets(Path(dataset.path or "").name, b, moments(b), dataset, order, told)
        seen = dt.datetime.fromtimestamp(float(given[2].max()), dt.UTC)
        people = {predictions.FILE: predictions.lines(order.model_key, seen, _next(b, model))}
        return msgspec.structs.replace(trained, people=people)

    return run


def _read(dataset: Dataset) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_], FloatArray]:
    from services.training.sources import table

    columns = dataset.columns
    if dataset.path is None or columns is None or columns.entity is None or columns.observed_at is None:
        message = "dataset: a table of purchases needs `path`, `entity` (who), `outcome` (what was bought) and `observed_at` (when)"
        raise BadDataError(message)
    rows = table.read(Path(dataset.path))
    who, what = (np.array(table.texts(rows, column, field))
                 for column, field in ((columns.entity, "entity"), (columns.outcome, "outcome")))  # fmt: skip
    return who, what, table.moments(rows, columns.observed_at, "observed_at")


def moments(b: Baskets) -> Moments:
    """Judged on the last four weeks, learnt at three moments before.

    Raises:
        BadDataError: too few weeks or persons.
    """
    if b.weeks < _LEAST_WEEKS or len(b.people) < _LEAST_PEOPLE:
        message = (
            f"dataset: {len(b.people)} persons over {b.weeks} weeks; {_LEAST_PEOPLE} and {_LEAST_WEEKS} are needed"
        )
        raise BadDataError(message)
    test = b.weeks - _WEEKS + 1
    return Moments(tuple(test - _WEEKS * n for n in range(_MOMENTS, 0, -1)), test, _WEEKS)


def _next(b: Baskets, model: learners.TreesModel) -> list[tuple[str, dict[str, list[str]]]]:
    """Of every person the products most likely bought in the four weeks after the last one, the likeliest first."""
    pairs, _, x = next_basket.inputs(b, b.weeks + 1)
    order = np.lexsort((pairs, -model.log_odds(x), b.who[pairs]))
    who, what = b.who[pairs[order]], b.what[pairs[order]]
    groups = np.split(what, np.flatnonzero(np.diff(who)) + 1)
    return [(str(b.people[k]), {NEXT: [str(name) for name in b.types[group[:TOP]]]})
            for k, group in zip(np.unique(who).tolist(), groups, strict=True)]  # fmt: skip


def train_baskets(
    name: str, b: Baskets, at: Moments, dataset: Dataset, order: Order, told: Told
) -> tuple[Trained, learners.TreesModel]:
    """A ranker of what is bought in the next weeks, learnt at earlier moments, judged at a later one."""
    parts = []
    names: list[str] = []
    for n, week in enumerate((*at.train, at.test), 1):
        pairs, names, x = next_basket.inputs(b, week)
        parts.append((pairs, x, week))
        told("data", n, len(at.train) + 1)
    x = np.vstack([x for _, x, _ in parts[:-1]])
    y = np.concatenate([next_basket.wanted(b, pairs, week) for pairs, _, week in parts[:-1]])
    digest = _digest(x, y)
    plans.pinned(digest, dataset)
    told("fit", 0, 1)
    settings = {**RANKER, **order.parameters}
    model = learners.fit_trees(names, x, y, settings, seed=order.seed, threads=order.threads)
    told("fit", 1, 1)
    pairs, x, week = parts[-1]
    judged, figures = _judged(
        b, at, pairs, {name: x[:, n] for n, name in enumerate(names)}, model.log_odds(x), order.seed
    )
    sample = x[np.random.default_rng(order.seed).choice(len(x), size=min(2000, len(x)), replace=False)]
    stamp = DataStamp(name=name, hash=digest, rows=len(y), columns=len(names), positives=int(y.sum()))
    trained = Trained(
        algorithm="boosted trees (LightGBM) over each person's own products", data=stamp, files={"model.txt": model.encode()}, figures=figures,
        beats_baseline=(figures[1].low or 0) > 0, baseline="own frequency and own recent frequency", parameters=settings, inputs=names,
        importance=learners.importance(model, sample), attribution_residual=learners.residual(model, sample),
        notes=[f"{judged} persons with purchases before week {week} and after"], limits=[_READ_AS, "products never bought are not ranked"],
    )  # fmt: skip
    return trained, model


def _judged(
    b: Baskets, at: Moments, pairs: npt.NDArray[np.int64], columns: dict[str, FloatArray], score: FloatArray, seed: int
) -> tuple[int, list[Figure]]:
    """(persons, precision at 10 beside own frequency, and what is gained over own recent frequency)."""
    who, mine = next_basket.precision(b, pairs, score, at.test, at.test_weeks, TOP)
    _, own = next_basket.precision(b, pairs, columns["lines"], at.test, at.test_weeks, TOP)
    _, recent = next_basket.precision(b, pairs, columns["recent_weeks_16"], at.test, at.test_weeks, TOP)
    low, high = metrics.interval(lambda rows: float(mine[rows].mean()), len(who), seed)
    lower, upper = metrics.interval(lambda rows: float((mine - recent)[rows].mean()), len(who), seed)
    return len(who), [
        Figure(name="precision_at_10", value=float(mine.mean()), low=low, high=high, baseline=float(own.mean()), note="baseline: own frequency"),
        Figure(name="gain_over_recent_frequency", value=float((mine - recent).mean()), low=lower, high=upper, baseline=0.0,
               note="over own weeks of purchase with a half-life of 16 weeks, the best simple rule found"),
    ]  # fmt: skip


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
        beats_baseline=float(mine.mean()) > float(rule.mean()), baseline="the most popular", parameters=settings, limits=[_NO_SCORER],
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
