"""The base of all named errors: each class carries its HTTP status; the code in the answer is the class's name."""

import re

from shared.contracts.base import FieldError


class AtelierError(Exception):
    """An expected failure. Subclass it in a service's errors.py with a status and a title; raise it with a detail."""

    status: int = 500
    title: str = "Internal error"

    def __init__(self, detail: str, *, errors: list[FieldError] | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        """The stable machine-readable name: NotFoundError -> not-found."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__.removesuffix("Error")).lower()


class InvalidInputError(AtelierError):
    """The request is understood and wrong."""

    status = 422
    title = "Invalid input"


class NotFoundError(AtelierError):
    """No such thing for this tenant."""

    status = 404
    title = "Not found"


class ConflictError(AtelierError):
    """The request contradicts what is stored or running."""

    status = 409
    title = "Conflict"


class UnauthorizedError(AtelierError):
    """No valid credentials."""

    status = 401
    title = "Unauthorized"


class ForbiddenError(AtelierError):
    """Valid credentials that do not allow this."""

    status = 403
    title = "Forbidden"


class TooLargeError(AtelierError):
    """A body, file or picture above its limit."""

    status = 413
    title = "Too large"


class UnavailableError(AtelierError):
    """A part that this answer cannot do without is down."""

    status = 503
    title = "Unavailable"
