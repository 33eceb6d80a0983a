"""Named errors of governance."""

from shared.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError


class UnknownCopyError(NotFoundError):
    """This tenant has no such copy."""


class UnknownOfferError(NotFoundError):
    """There is no such offer to write about."""


class CopyExistsError(ConflictError):
    """The id is taken by another text."""


class WrongRevisionError(ConflictError):
    """Somebody changed the text since it was read."""


class WrongStateError(ConflictError):
    """From where the copy stands there is no such move."""


class FailedChecksError(InvalidInputError):
    """The copy says what its offer does not, or breaks a rule; `errors` names every place."""

    title = "Failed checks"


class FourEyesError(ForbiddenError):
    """The brand wants somebody else than the text's authors to approve it."""

    title = "Four eyes"
