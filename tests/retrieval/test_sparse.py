"""Sparse vectors of word pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval import sparse


def overlap(query: str, text: str) -> float:
    """The share of the query's pieces that the text has."""
    asked, held = set(sparse.of_query(query).indices), set(sparse.of_document(text).indices)
    return len(asked & held) / len(asked)


@pytest.mark.parametrize(
    ("query", "text"),
    [("monarch butterfly", "monarchbutterfly"), ("strawberries", "strawberry jam"), ("brocolli", "fresh broccoli"),
     ("CAFÉ", "cafe"), ("Straße", "strasse"), ("Bäckereien", "Bäckerei"), ("牛奶", "新鲜牛奶")],
)  # fmt: skip
def test_other_forms_of_a_word_are_found(query: str, text: str) -> None:
    assert overlap(query, text) >= 0.25
    assert overlap(query, "Zzyzx") == 0


def test_pieces_are_four_letters_between_the_ends_of_a_word() -> None:
    assert sparse.pieces("Café au lait_2") == ["^caf", "cafe", "afe$", "^au$", "^lai", "lait", "ait$", "^2$"]
    assert sparse.pieces("· ! ?") == []


@given(st.text(max_size=60))
def test_any_text_has_a_vector_and_a_query_without_words_an_empty_one(text: str) -> None:
    query, document = sparse.of_query(text), sparse.of_document(text)
    assert len(query.indices) == len(set(query.indices)) == len(set(sparse.pieces(text)))
    assert set(query.indices) == set(document.indices)
    assert all(value > 0 for value in document.values)
    assert sparse.full_score(query) == pytest.approx(10 * len(query.indices))
