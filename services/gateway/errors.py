"""Named errors of the gateway."""

from shared.errors import AtelierError, ConflictError, ForbiddenError, InvalidInputError, UnauthorizedError


class InvalidKeyError(UnauthorizedError):
    """No API key, or one that is unknown, expired or revoked."""

    title = "Invalid API key"


class MissingScopeError(ForbiddenError):
    """A key that may do less than this endpoint wants."""

    title = "Missing scope"


class RateLimitedError(AtelierError):
    """Too many requests with one key."""

    status = 429
    title = "Too many requests"


class IdempotencyMismatchError(InvalidInputError):
    """An idempotency key used again with another request, or one that is malformed."""

    title = "Idempotency key reused"


class InProgressError(ConflictError):
    """The same idempotency key is being worked on right now."""

    title = "In progress"


class UploadStateError(ConflictError):
    """A file for an import that has its file already."""

    title = "File taken already"
