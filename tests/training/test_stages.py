"""The stages of a version: only these moves, a rollback only of what was live."""

import pytest

from services.training import stages


@pytest.mark.parametrize(
    ("before", "after", "was_live", "allowed"),
    [
        ("apprentice", "shadow", False, True), ("shadow", "canary", False, True), ("canary", "live", False, True),
        ("live", "retired", True, True), ("canary", "shadow", False, True), ("retired", "live", True, True),
        ("apprentice", "live", False, False), ("shadow", "live", False, False), ("live", "canary", True, False),
        ("retired", "live", False, False), ("live", "live", True, False),
    ],
)  # fmt: skip
def test_moves(before: stages.Stage, after: stages.Stage, was_live: bool, allowed: bool) -> None:
    assert (stages.objection(before, after, was_live=was_live) == "") is allowed
