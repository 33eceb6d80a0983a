"""Folding: text is read as people see it, and every place in it can be told in the original."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.folding import closed, fold, mixed, readings


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("HU\u00adRRY", "hurry"), ("b\u0435st", "best"), ("\uff26\uff32\uff25\uff25", "free"), ("3\ufe0f\u20e30\ufe0f\u20e3%", "30%"), ("\u0663\u0660\u066a", "30%"),
        ("\u026a\u0262\u0274\u1d0f\u0280\u1d07", "ignore"), ("\U0001d557\U0001d563\U0001d556\U0001d556", "free"), ("L\u2019Or\u00e9al", "l'oreal"), ("\u00bd price", "\u00bd price"),
        ("27\u201329", "27-29"), ("\u201cx\u201d", '"x"'), ("\u0399gnore", "ignore"), ("\u041f\u0440\u0438\u0432\u0435\u0442", "\u043f\u0440\u0438\u0432\u0435\u0442"), ("\u00df", "\u00df"), ("a\u00a0b", "a b"),
    ],
)  # fmt: skip
def test_signs_are_read_as_what_they_look_like(text: str, read: str) -> None:
    assert fold(text).text == read


def test_letters_are_closed_up_and_digits_stand_for_letters_in_other_readings() -> None:
    assert {one.text for one in readings(fold("A F R E E mug"))} >= {"afree mug", "a free mug"}
    assert "guaranteed" in {one.text for one in readings(fold("Gu@ranteed"))}
    assert {"last", "iast"} <= {one.text for one in readings(fold("1ast"))}
    assert len(readings(fold("Save $1.50 by 12/15 on 2 bags"))) == 1
    assert closed(fold("F.R.E.E.")).text.startswith("free")


def test_words_of_two_scripts_and_unseen_characters_are_told() -> None:
    assert mixed("The b\u0435st HU\u00adRRY") == [(4, 8), (9, 15)]
    assert mixed("Caf\u00e9 \u041f\u0440\u0438\u0432\u0435\u0442 5 \u20ac") == []


@hypothesis_settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=120))
def test_places_hold_in_every_reading(text: str) -> None:
    for one in readings(fold(text)):
        assert len(one.text) == len(one.cased)
        for n in range(len(one.text)):
            start, end = one.span(n, n + 1)
            assert 0 <= start < end <= len(text)
        if one.text:
            assert one.span(0, len(one.text))[1] <= len(text)
