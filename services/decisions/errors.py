"""Named errors of decisions."""

from shared.errors import InvalidInputError, NotFoundError


class UnknownOfferError(NotFoundError):
    """An offer id that this tenant's catalog does not have."""


class OfferNotActiveError(InvalidInputError):
    """An offer asked for outside of its dates."""

    title = "Offer not active"


class UnknownDecisionError(NotFoundError):
    """A decision id that was never logged for this tenant."""


class PersonMissingError(InvalidInputError):
    """Neither a profile id nor an identity was given."""

    title = "Person missing"
