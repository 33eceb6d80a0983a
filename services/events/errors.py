"""Named errors of events."""

from shared.errors import InvalidInputError


class BadCursorError(InvalidInputError):
    """A cursor that this endpoint did not give out."""

    title = "Bad cursor"


class UnknownEventFormatError(InvalidInputError):
    """An item that is neither a CloudEvent, nor an XDM experience event, nor a native event."""

    title = "Unknown event format"
