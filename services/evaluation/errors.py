"""Named errors of evaluation."""

from shared.errors import ConflictError, InvalidInputError, NotFoundError


class BadLogError(InvalidInputError):
    """A log that no estimator can read."""

    title = "Bad log"


class BadEvaluationError(InvalidInputError):
    """A run that cannot be made."""

    title = "Bad evaluation"


class UnknownRunError(NotFoundError):
    """No run of this id."""

    title = "Unknown run"


class RunEndedError(ConflictError):
    """The run has ended; there is nothing left to cancel."""

    title = "Run ended"


class LeaseLostError(Exception):
    """The run was cancelled, or another worker goes on with it: what this one has must not be stored."""
