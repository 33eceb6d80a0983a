"""Named errors of batches."""

from shared.errors import ConflictError, InvalidInputError, NotFoundError


class UnknownBatchError(NotFoundError):
    """This tenant has no such batch."""


class BatchExistsError(ConflictError):
    """The id is taken."""


class BatchStateError(ConflictError):
    """From where the batch stands this cannot be done."""


class BadBatchError(InvalidInputError):
    """The request names nothing to write, or a file of people cannot be read."""


class ModelDownError(Exception):
    """Inside the room: the model server does not answer, so the chunk is put back."""
