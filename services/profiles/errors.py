"""Named errors of profiles."""

from shared.errors import ConflictError, InvalidInputError, NotFoundError


class UnknownProfileError(NotFoundError):
    """No such profile for this tenant."""


class IdentityTakenError(ConflictError):
    """An identity that belongs to another profile already."""

    title = "Identity taken"


class UnknownTimeZoneError(InvalidInputError):
    """A time zone that the tz database does not know."""

    title = "Unknown time zone"
