"""A piece of copy as it is read: each section folded, with what it quotes of the record. Claims and rules look at the same."""

from typing import NamedTuple

from services.governance.claims import quoting
from services.governance.claims.quoting import Quoted
from services.governance.claims.record import Record
from shared.contracts.generation import SECTIONS, Sections
from shared.folding import Folded, fold, mixed, readings

# No channel has a section as long; what is longer is not read and does not fit.
LONGEST = 5000


class Read(NamedTuple):
    """One section that says something. `others`: how else it may be read, under a disguise; `mixed`: disguised words."""

    name: str
    original: str
    said: Folded
    quotes: list[Quoted]
    others: list[Folded]
    mixed: list[tuple[int, int]]


def read(sections: Sections, known: Record) -> list[Read]:
    """The sections that say something, the first 5,000 characters of each."""
    found = []
    for name in SECTIONS:
        original = getattr(sections, name)[:LONGEST]
        if original:
            said = fold(original)
            found.append(
                Read(name, original, said, quoting.quoted(said, known.quotes), readings(said)[1:], mixed(original))
            )
    return found
