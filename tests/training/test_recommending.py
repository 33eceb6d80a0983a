"""Ranking: closed forms are what their papers say, inputs of the next basket never look ahead, an adapter learns what belongs together."""

import numpy as np
import pytest

from services.retrieval.query_adapter import Adapting
from services.training import closed_form, next_basket, text_adapter
from services.training.sources import pairs
from services.training.sources.baskets import Baskets
from services.training.trained import Order
from services.training.trainers import adapter


def taste(people: int = 300, items: int = 60, seed: int = 0) -> closed_form.Matrix:
    """Three tastes, each with a third of the items."""
    draw = np.random.default_rng(seed)
    likes = np.where(np.arange(people)[:, None] % 3 == np.arange(items)[None, :] % 3, 0.4, 0.03)
    return (draw.random((people, items)) < likes).astype(np.float32)


def test_ease_solves_its_least_squares_problem_with_a_zero_diagonal() -> None:
    x = taste()
    b = closed_form.ease(x, 10.0)
    assert np.allclose(np.diag(b), 0)
    gradient = x.T @ (x @ b - x) + 10 * b
    gradient[np.diag_indices_from(gradient)] = 0
    assert np.abs(gradient).max() < 1e-2


def test_a_blend_finds_hidden_likes_and_popularity_does_not() -> None:
    x = taste()
    hidden = np.random.default_rng(1).random(x.shape) < 0.25
    train, later = np.where(hidden, 0, x).astype(np.float32), np.where(hidden, x, 0).astype(np.float32)
    settings = {"penalty": 20, "shrinkage": 5, "popularity": 0, "damping": 0, "share": 0.6}
    mine = closed_form.ndcg(closed_form.top(closed_form.Blend(train, settings).scores(train), train, 10), later)
    popular = np.broadcast_to(train.sum(axis=0), train.shape).astype(np.float32)
    rule = closed_form.ndcg(closed_form.top(popular, train, 10), later)
    assert mine.mean() > 1.3 * rule.mean()


def test_ndcg_is_one_for_a_perfect_order_and_falls_with_the_place() -> None:
    wanted = np.array([[1, 1, 0, 0]], dtype=np.float32)
    assert closed_form.ndcg(np.array([[0, 1, 2]]), wanted, 3)[0] == pytest.approx(1)
    assert closed_form.ndcg(np.array([[2, 3, 0]]), wanted, 3)[0] == pytest.approx(0.5 / (1 + 1 / np.log2(3)))


def baskets(seed: int = 0) -> Baskets:
    draw = np.random.default_rng(seed)
    pair = np.arange(40 * 30)
    rate = draw.beta(0.6, 2.0, len(pair))
    lines = (draw.random((len(pair), 54)) < rate[:, None]).astype(np.uint8)
    lines[:, 0] = 0
    return Baskets(pair // 30, pair % 30, lines, np.zeros_like(lines), np.arange(40), np.arange(30).astype(str))


def test_inputs_of_the_next_basket_do_not_change_with_what_happens_later() -> None:
    one, two = baskets(), baskets()
    two.lines[:, 30:] = 1 - two.lines[:, 30:]
    a, b = next_basket.inputs(one, 30), next_basket.inputs(two, 30)
    assert np.array_equal(a[0], b[0])
    assert a[1] == b[1]
    assert np.allclose(a[2], b[2], atol=1e-6)
    assert np.isfinite(a[2]).all()
    assert not np.array_equal(next_basket.wanted(one, a[0], 30), next_basket.wanted(two, a[0], 30))


def test_precision_counts_missing_places_as_wrong() -> None:
    b = baskets()
    pairs, names, x = next_basket.inputs(b, 49)
    who, oracle = next_basket.precision(b, pairs, next_basket.wanted(b, pairs, 49), 49)
    _, own = next_basket.precision(b, pairs, x[:, names.index("weeks")], 49)
    assert len(who) == 40
    assert 0 < own.mean() < oracle.mean() <= 1
    few = pairs[b.what[pairs] < 3]
    _, capped = next_basket.precision(b, few, np.ones(len(few)), 49)
    assert capped.max() <= 0.3


def meanings(seed: int = 0) -> tuple[pairs.Pairs, pairs.Vectors]:
    """Queries and texts whose true match lies along directions that the frozen vectors hide under louder ones."""
    draw = np.random.default_rng(seed)
    meaning = draw.normal(size=(200, 8))
    turn = np.linalg.qr(draw.normal(size=(8, 8)))[0]
    found = pairs.of([f"query {k}" for k in range(200)], [f"text {k}" for k in range(200)])
    number = np.array([int(text.split()[1]) for text in found.items])
    items = unit(np.hstack([meaning, draw.normal(size=(200, 24)) * 0.3]))[number]
    queries = unit(np.hstack([meaning @ turn, draw.normal(size=(200, 24)) * 0.3]))[number]
    return found, pairs.Vectors(queries, items, "m", "m")


def pictured(people: int = 400, seed: int = 0) -> tuple[pairs.Pairs, pairs.Vectors]:
    """Words (20 numbers) and pictures (30) of the same six meanings, of models that have nothing in common; one caption a picture."""
    draw = np.random.default_rng(seed)
    meaning = draw.normal(size=(people, 6))
    words = meaning @ draw.normal(size=(6, 20)) + draw.normal(size=(people, 20)) * 0.2
    pictures = meaning @ draw.normal(size=(6, 30)) + draw.normal(size=(people, 30)) * 0.2 + 3
    found = pairs.of([f"q{k:03}" for k in range(people)], [f"a{k:03}" for k in range(people)])
    return found, pairs.Vectors(unit(words), unit(pictures), "words", "pictures")


def unit(rows: np.ndarray) -> pairs.Matrix:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_an_adapter_learns_what_belongs_together_and_is_judged_on_unseen_queries() -> None:
    order = Order(tenant="acme", model_key="m", parameters={"rank": 8, "steps": 100, "rate": 0.02})
    found = adapter.train("made", *meanings(), order, lambda *_: None)
    after, gain = found.figures
    assert after.baseline is not None
    assert after.value > after.baseline + 0.2
    assert gain.low is not None
    assert gain.low > 0
    assert found.beats_baseline
    assert adapter.train("made", *meanings(), order, lambda *_: None).hash == found.hash


def test_words_find_pictures_of_a_model_that_knows_no_words() -> None:
    order = Order(tenant="acme", model_key="m", parameters={"rank": 6, "steps": 50, "space": "image"})
    found = adapter.train("made", *pictured(), order, lambda *_: None, "image")
    after, gain = found.figures
    assert after.baseline == pytest.approx(4.5436 / 400, abs=1e-4), (
        "of an order by chance: ten places of 400, discounted"
    )
    assert after.value > 0.3
    assert gain.low is not None
    assert gain.low > 0
    served = text_adapter.served("m", 1, found.files)
    assert (served.space, served.embedding, served.inputs, served.target, served.dimension) == (
        "image",
        "words",
        20,
        "pictures",
        30,
    )
    _, vectors = pictured()
    model = text_adapter.Adapter(
        *np.split(np.frombuffer(served.factors, np.float32).reshape(-1, served.rank), [20]), within=False
    )
    assert Adapting(served)(vectors.queries[0]) == pytest.approx(model(vectors.queries)[0], abs=1e-5), (
        "served as it was judged"
    )


def test_no_picture_of_the_test_is_in_training_where_pairs_fall_apart() -> None:
    few = np.array([[q, q // 2] for q in range(200)])
    held, strict = text_adapter.apart(few, 200, 100, 0, 0.25)
    assert strict
    assert not set(few[held[few[:, 0]], 1]) & set(few[~held[few[:, 0]], 1])
    draw = np.random.default_rng(0)
    many = np.column_stack([np.repeat(np.arange(200), 20), draw.integers(0, 100, 4000)])
    held, strict = text_adapter.apart(many, 200, 100, 0, 0.25)
    assert not strict
    assert 0.15 < held.mean() < 0.35


def test_an_order_by_chance_has_the_ndcg_that_many_of_them_have() -> None:
    draw, index = np.random.default_rng(0), np.array([[0, 0], [1, 1], [1, 2], [1, 3]])
    queries = np.eye(2, dtype=np.float32)
    orders = (draw.random((40, 2)).astype(np.float32) for _ in range(4000))
    shuffled = [text_adapter.ndcg(queries, items, index) for items in orders]
    assert np.mean(shuffled, axis=0) == pytest.approx(text_adapter.chance(index, 40), rel=0.1)


def test_untrained_an_adapter_changes_nothing_and_its_gradient_is_the_loss_s() -> None:
    found, vectors = meanings(1)
    q, k = vectors.queries, vectors.items
    assert np.allclose(text_adapter.fit(q, k, found.index, rank=4, steps=0, seed=0)(q), q, atol=1e-6)
    draw = np.random.default_rng(0)
    parts = [draw.normal(size=(32, 2)) * 0.1, draw.normal(size=(32, 2)) * 0.1]
    a, b, ids = q[:20].astype(float), k[:20].astype(float), np.arange(20)

    def loss(u: np.ndarray) -> float:
        z = a * within + a @ u @ parts[1].T
        logits = z / np.linalg.norm(z, axis=1, keepdims=True) @ b.T / 0.1
        return float((np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)).mean())

    step = np.zeros((32, 2))
    step[3, 1] = 1e-5
    for within in (True, False):
        numeric = (loss(parts[0] + step) - loss(parts[0] - step)) / 2e-5
        made = text_adapter._gradients(a, b, ids, parts, 0.1, within=within)[0][3, 1]
        assert made == pytest.approx(numeric, rel=1e-4)
