"""Named errors of the catalog and its pictures."""

from shared.errors import ConflictError, InvalidInputError, NotFoundError, TooLargeError


class UnknownOfferError(NotFoundError):
    """An offer id that this tenant's catalog does not have."""


class UnknownAssetError(NotFoundError):
    """An asset id that this tenant's catalog does not have."""


class UnknownBrandError(NotFoundError):
    """A brand id that this tenant does not have; `default` always exists."""


class MissingImageError(NotFoundError):
    """The asset is known, its picture is not here."""

    title = "No picture"


class InvalidRecordError(InvalidInputError):
    """An offer, asset or brand whose types are right and whose content is not; every wrong field is named."""

    title = "Invalid record"


class IdMismatchError(ConflictError):
    """The id in the path and the id in the body differ."""

    title = "Two ids"


class BadCursorError(InvalidInputError):
    """A cursor that this endpoint did not give out."""

    title = "Bad cursor"


class NotAnImageError(InvalidInputError):
    """Bytes that are no complete picture of a format we take."""

    title = "Not an image"


class BadPictureFileError(InvalidInputError):
    """A picture's path in an import that leads out of the image folder, or to no readable file."""

    title = "Bad picture file"


class UnsafeSvgError(InvalidInputError):
    """An SVG that could run scripts, read files or fetch from elsewhere."""

    title = "Unsafe SVG"


class ImageTooLargeError(TooLargeError):
    """A picture with more pixels or bytes than are decoded."""

    title = "Picture too large"


class BadQueryError(InvalidInputError):
    """A search that asks for nothing, for two things at once, or with a picture that is none."""

    title = "Bad query"


class NoVectorError(NotFoundError):
    """A person or example without a vector: unknown, without consent, or not embedded yet."""

    title = "No vector"


class BadAdapterError(InvalidInputError):
    """An adapter of queries whose factors do not fit its dimension and rank, or are not finite."""

    title = "Bad adapter"


class UnknownKindError(NotFoundError):
    """A kind of thing that is not indexed."""

    title = "Unknown kind"
