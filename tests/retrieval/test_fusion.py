"""Fusing ranked lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval import fusion

LISTS = st.dictionaries(
    st.sampled_from(["text", "sparse", "image"]),
    st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8).map(
        lambda ids: [(key, 1.0 - rank / 10) for rank, key in enumerate(ids)]
    ),
)
WEIGHTS = st.dictionaries(st.sampled_from(["text", "sparse", "image"]), st.floats(0, 10))


def test_rrf_is_the_published_formula() -> None:
    lists = {"text": [("a", 0.9), ("b", 0.8)], "sparse": [("b", 7.0)]}
    assert fusion.reciprocal_rank(lists, {"sparse": 2.0}) == {"a": 1 / 6, "b": 1 / 7 + 2 / 6}


@given(lists=LISTS, weights=WEIGHTS)
def test_first_everywhere_is_first_and_scores_are_bounded(
    lists: dict[str, list[tuple[str, float]]], weights: dict[str, float]
) -> None:
    used = {name: ranked for name, ranked in lists.items() if weights.get(name, 1.0) > 0 and ranked}
    for fuse in (fusion.reciprocal_rank, fusion.weighted_sum):
        fused = fuse(lists, weights)
        assert set(fused) == {key for ranked in used.values() for key, _ in ranked}
        heads = {ranked[0][0] for ranked in used.values()}
        if len(heads) == 1:
            head = heads.pop()
            assert fused[head] >= max(fused.values()) - 1e-12
    assert all(0 <= score <= 1 + 1e-9 for score in fusion.weighted_sum(lists, weights).values())


@given(lists=LISTS)
def test_the_order_of_the_lists_does_not_matter(lists: dict[str, list[tuple[str, float]]]) -> None:
    turned = dict(reversed(list(lists.items())))
    one, other = (fusion.best(fusion.reciprocal_rank(x, {}), 8) for x in (lists, turned))
    assert [k for k, _ in one] == [k for k, _ in other]


def test_a_list_is_scaled_to_what_a_perfect_match_would_score() -> None:
    lists = {"text": [("a", 0.9), ("b", 0.5)], "sparse": [("b", 3.0), ("a", 1.0)]}
    chance = fusion.weighted_sum(lists, {}, {"sparse": 30.0})
    assert chance == {"a": pytest.approx((1 + 1 / 30) / 2), "b": pytest.approx(0.1 / 2)}
    assert max(fusion.weighted_sum({"sparse": [("a", 99.0)]}, {}, {"sparse": 30.0}).values()) == 1.0


@given(lists=LISTS, more=LISTS)
def test_the_best_of_several_questions_decides(
    lists: dict[str, list[tuple[str, float]]], more: dict[str, list[tuple[str, float]]]
) -> None:
    each = [fusion.weighted_sum(one, {}) for one in (lists, more)]
    merged = fusion.either(each)
    assert set(merged) == set(each[0]) | set(each[1])
    assert all(score == max(one[key] for one in each if key in one) for key, score in merged.items())
