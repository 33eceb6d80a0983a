"""Named errors of importing: what makes a whole file unreadable (a bad row never does)."""

from shared.errors import ConflictError, InvalidInputError


class UnreadableFileError(InvalidInputError):
    """The file is missing, is a folder, or is not of the stated format."""

    title = "Unreadable file"


class MappingError(InvalidInputError):
    """The mapping file is wrong; the message names the key and what is allowed."""

    title = "Bad mapping"


class ImportRunningError(ConflictError):
    """The same file is being imported for the same tenant already."""

    title = "Import running"
