"""Named errors of experiments."""

from shared.errors import ConflictError, InvalidInputError, NotFoundError


class UnknownExperimentError(NotFoundError):
    """No experiment of this key."""


class NotADraftError(ConflictError):
    """Only a draft may be changed."""

    title = "Not a draft"


class LayerFullError(ConflictError):
    """The running experiments leave no room in the layer."""

    title = "Layer full"


class BadExperimentError(InvalidInputError):
    """An experiment that cannot be run."""

    title = "Bad experiment"
