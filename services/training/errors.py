"""Named errors of training."""

from shared.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError


class BadDataError(InvalidInputError):
    """These data would make a model that is wrong; the message names the column or the rows."""

    title = "Bad training data"


class LeakageError(BadDataError):
    """A column knows the outcome: by its values or by its date."""

    title = "Label leakage"


class OtherDataError(BadDataError):
    """The data are not the pinned ones."""

    title = "Other data"


class BadPipelineError(InvalidInputError):
    """A pipeline file that cannot be run."""

    title = "Bad pipeline"


class GateFailedError(InvalidInputError):
    """The model is not good enough for the gates of its pipeline; it is not registered."""

    title = "Gate failed"


class NeedsExtraError(InvalidInputError):
    """A library of the extra `train` is not installed here."""

    title = "Library missing"


class UnknownJobError(NotFoundError):
    """This tenant has no such job."""


class UnknownModelError(NotFoundError):
    """This tenant has no such model or version."""


class UnknownMonitorError(NotFoundError):
    """This tenant has no monitor of such a model."""


class AlreadyTrainingError(ConflictError):
    """A job of this model waits or runs already."""


class WrongStageError(ConflictError):
    """From where the version stands there is no such move."""


class RegistryDownError(UnavailableError):
    """The registry or the disk does not take the model; what is live stays."""

    title = "Registry unavailable"


class DamagedModelError(UnavailableError):
    """A stored model is not what was stored; what is live stays."""

    title = "Damaged model"


class StoppedError(Exception):
    """Somebody cancelled the job."""


class NoRolloutError(NotFoundError):
    """This model has no plan, or nothing of it is rolled out."""


class AlreadyRollingError(ConflictError):
    """A roll-out of this model is in motion already."""


class NotLoadableError(InvalidInputError):
    """Decisions have no scorer of this version, so it can decide nothing."""

    title = "Not loadable"
