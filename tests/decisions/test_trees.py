"""Models of trees: what LightGBM learnt decides, compiled or not, and a model that cannot be used is refused."""

import math
import re
from itertools import pairwise
from typing import Any

import httpx
import lightgbm
import numpy as np
import pytest

from services.decisions import trees
from services.decisions.errors import BadModelError
from services.decisions.scorers import PriorScorer, bind
from shared.contracts.policies import ScorerModel
from tests.decisions.shop import decide, ids, items, offer, person, policy, put, stock

COLUMNS = ["profile.attributes.age", "channel=web", "offer.priority", "offer.category=shoes", "offer.offerId=b"]


def learnt(columns: list[str] = COLUMNS, objective: str = "binary", seed: int = 0) -> str:
    """Of people below the mean age those like shoes, of people above it the others; missing ages like nothing."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(6000, len(columns)))
    x[:, 1:] = (x[:, 1:] > 0).astype(float)
    x[:, 2:3] *= 500
    likes = np.where(x[:, 0] < 0, x[:, min(3, len(columns) - 1)], 1 - x[:, min(3, len(columns) - 1)])
    y = (random.random(6000) < 0.05 + 0.6 * likes).astype(float)
    settings = {"objective": objective, "num_leaves": 15, "verbose": -1, "num_threads": 1, "deterministic": True}
    data = lightgbm.Dataset(x, y, feature_name=columns)
    return str(lightgbm.train(settings, data, 30).model_to_string())


@pytest.fixture(scope="module")
def text() -> str:
    return learnt()


def model(body: dict[str, Any]) -> ScorerModel:
    return ScorerModel(model_id="m", kind="trees", body=body)


def columns_of(categories: list[str]) -> trees.Column:
    values: dict[str, list[Any]] = {"offer.priority": [0] * len(categories), "offer.category": categories,
                                    "offer.offerId": [f"o{n}" for n in range(len(categories))]}  # fmt: skip
    return values.__getitem__


def test_compiled_trees_give_the_same_bits(text: str) -> None:
    one = trees.Forest(text)
    assert not one.is_compiled
    one.compile()
    assert one.is_compiled, "needs gcc, as the README says"
    random = np.random.default_rng(3)
    rows = random.normal(size=(2000, len(COLUMNS))) * 3
    rows[random.random(rows.shape) < 0.2] = np.nan
    assert np.array_equal(one.predict(rows), one.interpreted(rows))


def test_without_a_compiler_lightgbm_answers(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_COMPILER", "no-such-compiler")
    one = trees.Forest(text)
    one.compile()
    assert not one.is_compiled
    assert one.predict(np.zeros((3, len(COLUMNS)))).shape == (3,)


def test_trees_see_the_moment_and_the_offer(text: str) -> None:
    column = columns_of(["shoes", "hats"])
    scorer = bind(
        "m", {"m": (model({"model": text}), "0" * 16)}, 0.02, ["bias", "profile.attributes.age"], ["a", "b"], column
    )
    young, old = (scorer.score(np.array([1.0, age])).propensity for age in (-1.0, 1.0))
    assert young[0] > young[1] + 0.3
    assert old[1] > old[0] + 0.3
    assert scorer.version == "m@000000000000"


def test_uplift_is_what_the_treated_do_more_than_the_untreated(text: str) -> None:
    both = model({"model": text, "control": text})
    scored = bind("m", {"m": (both, "0" * 16)}, 0.02, ["bias"], ["a"], columns_of(["shoes"])).score(np.ones(1))
    assert scored.uplift is not None
    assert scored.uplift.tolist() == [0.0]
    assert isinstance(bind("gone", {}, 0.02, ["bias"], ["a"], columns_of(["x"])), PriorScorer)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "missing required field"),
        ({"model": "trees?"}, "LightGBM's text format"),
        ({"model": "tree\nobjective=binary sigmoid:1\nend of trees"}, "is damaged: 0 trees"),
        ({"model": learnt(objective="regression")}, "objective binary"),
        ({"model": learnt(["profile.attributes.age", "shoe size"])}, "'shoe size'|shoe_size"),
        ({"model": learnt(["profile.attributes.age", "offer.colour"])}, "offer.colour, which nothing provides"),
        ({"model": "x", "extra": 1}, "unknown field"),
    ],
    ids=["empty", "no model", "cut off", "regression", "unknown input", "unknown offer field", "unknown field"],
)
def test_a_model_that_cannot_be_used_is_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(BadModelError, match=said):
        trees.read_trees(model(body))


def sized(text: str) -> str:
    """With tree_sizes as they are, so that only what was changed is wrong."""
    body = text[text.index("\nTree=") + 1 :].encode()
    starts = [m.start() for m in re.finditer(rb"^(Tree=|end of trees)", body, re.MULTILINE)]
    sizes = " ".join(str(after - before) for before, after in pairwise(starts))
    return re.sub(r"tree_sizes=[^\n]*", f"tree_sizes={sizes}", text, count=1)


DAMAGE = {
    "a child that is none": (r"left_child=\d+", "left_child=9999999"),
    "a circle": (r"left_child=\d+", "left_child=0"),
    "a feature that is none": (r"split_feature=\d+", "split_feature=99999999"),
    "too few leaves": (r"leaf_value=[^\n]*", "leaf_value=1"),
    "a leaf that is no number": (r"leaf_value=\S+", "leaf_value=nan"),
    "categories that are not there": ("num_cat=0", "num_cat=9"),
    "more leaves than values": (r"num_leaves=\d+", "num_leaves=2000000000"),
    "a word for a number": (r"threshold=\S+", "threshold=x"),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_a_damaged_model_is_refused_before_anything_loads_it(
    text: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "_tried", lambda _: pytest.fail("it must not come that far"))
    broken = sized(re.sub(*DAMAGE[damage], text, count=1))
    assert broken != text
    with pytest.raises(BadModelError, match=r"body.model: is damaged"):
        trees.read_trees(model({"model": broken}))


def test_what_kills_lightgbm_kills_another_process_and_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_verdicts", {})
    monkeypatch.setattr(trees, "fault", lambda _: "")  # were the look at the text blind
    broken = sized(re.sub(*DAMAGE["a child that is none"], text, count=1))
    with pytest.raises(BadModelError, match="LightGBM ended with signal"):
        trees.read_trees(model({"model": broken}))
    assert sized(text) == text


async def test_a_model_that_can_no_longer_be_used_leaves_the_prior_and_says_so(
    suite: httpx.AsyncClient, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(suite, offer("a"))
    await put(suite, "/v1/scorers/forest", {"modelId": "forest", "kind": "trees", "body": {"model": text}})
    monkeypatch.setattr(trees, "_verdicts", dict.fromkeys(trees._verdicts, "cannot be loaded here"))
    await policy(suite, scorer="forest", learn=False)
    made = await decide(suite, "anna", limit=1)
    assert ids(made) == ["a"]
    assert any(
        reason.startswith("scorer_unusable: forest: body.model: cannot be loaded here") for reason in made["degraded"]
    )
    assert made["modelVersion"].startswith("prior-")


async def test_a_policy_that_names_trees_decides_by_them_and_replays(suite: httpx.AsyncClient, text: str) -> None:
    await stock(suite, offer("a", category="shoes"), offer("b", category="hats"))
    await put(suite, "/v1/scorers/forest", {"modelId": "forest", "kind": "trees", "body": {"model": text}})
    await policy(suite, scorer="forest", learn=False, exploration={"kind": "none"},
                 features=[{"field": "profile.attributes.age"}])  # fmt: skip
    await person(suite, "young", age=-2.0)
    await person(suite, "old", age=2.0)
    young, old = await decide(suite, "young", limit=1), await decide(suite, "old", limit=1)
    assert (ids(young), ids(old)) == (["a"], ["b"])
    assert young["modelVersion"].startswith("forest@")
    assert all(math.isfinite(item["propensity"]) for item in items(young))
    replay = (await suite.post(f"/v1/decisions/{young['id']}/replay")).json()
    assert replay["identical"], replay


async def test_a_broken_model_of_trees_is_a_422_that_says_where(suite: httpx.AsyncClient) -> None:
    body = {"modelId": "forest", "kind": "trees", "body": {"model": "nonsense"}}
    answer = await suite.put("/v1/scorers/forest", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.model"
