"""What is sensitive, checked against the names of a real grocer's categories."""

import csv

import pytest

from services.profiles.sensitive import category_tag, exclude_tags, unsent_tags
from tests.conftest import ROOT

CATEGORIES = list(csv.DictReader((ROOT / "services" / "demo" / "categories.csv").open(encoding="utf-8")))


def test_every_category_that_the_demo_tags_for_safety_is_sensitive_and_hardly_any_other() -> None:
    names = {row["name"]: row["safety"] for row in CATEGORIES}
    missed = sorted(name for name, tag in names.items() if tag and not category_tag(name))
    assert not missed
    extra = sorted(name for name, tag in names.items() if not tag and category_tag(name))
    assert len(extra) <= len(names) // 20, extra


@pytest.mark.parametrize(
    "name", ["cold cuts", "ginger ale", "root beer", "cold cereal", "baby carrots", "wine vinegar"]
)
def test_harmless_names_that_hold_a_sensitive_word_stay_careful_rather_than_right(name: str) -> None:
    """Known and kept: erring here costs a fact that is not spoken, the other way costs a person's trust."""
    assert category_tag(name) is not None


def test_what_nobody_is_sent_unasked() -> None:
    assert {"infant", "medicine", "intimate"} <= set(unsent_tags())
    assert "alcohol" in exclude_tags(["milk"])
    assert "alcohol" not in exclude_tags(["beer"])
