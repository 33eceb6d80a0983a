"""Named errors of features."""

from shared.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError


class BadViewError(InvalidInputError):
    """A view that cannot be computed: what is wrong, where, and what is allowed."""

    title = "Bad feature view"


class BadLabelsError(InvalidInputError):
    """Labels that no frame can be made for."""

    title = "Bad labels"


class UnknownFeatureError(InvalidInputError):
    """A name that is no feature of the entity."""

    title = "Unknown feature"


class UnknownRunError(NotFoundError):
    """No such computation."""

    title = "Unknown run"


class AlreadyComputingError(ConflictError):
    """The tenant's features are being computed."""

    title = "Already computing"


class OnlineStoreDownError(UnavailableError):
    """Redis does not answer, and with it the online features."""

    title = "Features unavailable"


class BackendError(UnavailableError):
    """The engine that features are computed by cannot be reached or used."""

    title = "Feature backend unavailable"
