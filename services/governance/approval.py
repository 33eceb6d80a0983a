"""The way of a piece of copy from draft to retired: which moves there are, and who may make them. Pure."""

import hashlib
from collections.abc import Sequence

import msgspec

from shared.contracts.approval import CopyState, DigitalSource
from shared.contracts.generation import Sections
from shared.contracts.governance import CheckReport

# From where each state can be reached. `draft` and `checked` are what the checks say of a text, nobody moves there by hand.
MOVES: dict[CopyState, tuple[CopyState, ...]] = {
    "approved": ("checked", "rejected"),
    "rejected": ("draft", "checked", "approved"),
    "live": ("approved",),
    "retired": ("draft", "checked", "approved", "rejected", "live"),
}
EDITABLE: tuple[CopyState, ...] = ("draft", "checked", "approved", "rejected")
# What has to stay true of the offer for as long as it stands.
STANDING: tuple[CopyState, ...] = ("checked", "approved", "live")
MODEL_ACTOR = "generation"


def objection(state: CopyState, to: CopyState) -> str | None:
    """Why copy may not go from one state to another; None if it may."""
    if state in MOVES[to]:
        return None
    return f"copy that is {state} cannot become {to}; what can: {', '.join(MOVES[to])}"


def same_eyes(by: str, authors: Sequence[str]) -> bool:
    """Has who approves the text written or edited it? Names are compared without capitals and outer blanks."""
    return by.strip().casefold() in {author.strip().casefold() for author in authors}


def passes(report: CheckReport) -> bool:
    """May a person approve it: did it pass all that was tested, whether or not its language could be read?"""
    return report.servable or report.needs_person


def checked_state(report: CheckReport) -> CopyState:
    """Where a text stands after its checks."""
    return "checked" if passes(report) else "draft"


def text_hash(sections: Sections) -> str:
    """Names a text."""
    return hashlib.sha256(msgspec.json.encode(sections)).hexdigest()[:16]


def edited_source(source: DigitalSource) -> DigitalSource:
    """The mark of a text after a person changed it: what a model wrote stays marked as in part its work."""
    return "compositeWithTrainedAlgorithmicMedia" if "rainedAlgorithmicMedia" in source else "humanEdits"
