"""What the record says to a claim. Pure."""

from typing import NamedTuple


class Verdict(NamedTuple):
    """supported | unsupported | contradicted, with the field, and for a contradiction what the record has."""

    status: str
    field: str | None = None
    expected: str | None = None
    reason: str | None = None


UNSUPPORTED = Verdict("unsupported", None, None, "nothing in the record says so")
