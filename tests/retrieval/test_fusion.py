"""Fusing ranked lists."""

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
    assert fusion.reciprocal_rank(lists, {"sparse": 2.0}) == {"a": 1 / 61, "b": 1 / 62 + 2 / 61}


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
