"""Named errors of drift, and why a single column cannot be tested."""

from shared.errors import InvalidInputError


class BadWindowError(InvalidInputError):
    """The question itself is wrong: a column in neither window, an unknown kind, a bound that is none."""

    title = "Bad window"


class UntestableError(Exception):
    """Nothing can be said of this column; the message is the reason that the report gives."""
