"""Named errors of generation; inside the room only, callers get copy."""


class ModelError(Exception):
    """The model server did not give a usable answer; the text is the reason shown in `degraded`."""


class TooSlowError(ModelError):
    """No answer came before the call's deadline."""


class AdapterMissingError(ModelError):
    """The model server does not have the tenant's adapter; the model as it is can be asked instead."""
