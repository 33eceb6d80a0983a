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


class BadRuleError(InvalidInputError):
    """A predicate that cannot be evaluated; the detail names where."""

    title = "Bad rule"


class BadModelError(InvalidInputError):
    """A scorer's body that cannot be used."""

    title = "Bad model"


class BadTokenError(InvalidInputError):
    """A tracking token that was not given out for this tenant."""

    title = "Bad token"


class UnknownRuleError(NotFoundError):
    """A rule id that this tenant does not have."""


class TooManyOffersError(InvalidInputError):
    """More active offers than a decision considers."""

    title = "Too many offers"
