"""The id in the path and the id in the body."""

from shared.errors import InvalidInputError


def same(path: str, body: str) -> None:
    """Both must be the same.

    Raises:
        InvalidInputError: they are not.
    """
    if path != body:
        message = f"the id {body!r} in the body is not {path!r} in the path"
        raise InvalidInputError(message)
