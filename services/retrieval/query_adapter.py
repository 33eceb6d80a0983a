"""Adapting the vectors of searched words. Pure."""

import numpy as np
import numpy.typing as npt

from services.retrieval.errors import BadAdapterError
from shared.contracts.base import FieldError
from shared.contracts.retrieval import QueryAdapter

Vector = npt.NDArray[np.float32]
_FLOAT = 4


class Adapting:
    """An adapter that may be used.

    Raises:
        BadAdapterError: its factors are too many or too few, or not finite.
    """

    def __init__(self, given: QueryAdapter) -> None:
        self.name = given.name
        self.embedding = given.embedding
        self.dimension = given.dimension
        wanted = 2 * given.dimension * given.rank * _FLOAT
        if len(given.factors) != wanted:
            raise _bad(
                "factors", f"{len(given.factors)} bytes", f"{wanted} bytes: 2 x dimension x rank floats of 4 bytes"
            )
        parts = np.frombuffer(given.factors, dtype="<f4").reshape(2, given.dimension, given.rank)
        if not np.isfinite(parts).all():
            raise _bad("factors", "numbers that are not finite", "finite numbers")
        self._u, self._v = parts

    def unfit(self, embedding: str, dimension: int) -> str:
        """Why it cannot adapt vectors of this model, in words; empty when it can."""
        if (embedding, dimension) == (self.embedding, self.dimension):
            return ""
        return f"adapter_unfit: {self.name} was fitted for {self.embedding} ({self.dimension}), not for {embedding} ({dimension})"

    def __call__(self, query: Vector) -> Vector:
        """The adapted unit vector, shape (dimension,)."""
        moved = query + (query @ self._u) @ self._v.T
        return np.asarray(moved / max(float(np.linalg.norm(moved)), 1e-9), dtype=np.float32)


def _bad(field: str, given: str, allowed: str) -> BadAdapterError:
    message = f"{field}: {given}; allowed: {allowed}"
    return BadAdapterError(
        message, errors=[FieldError(field=field, message="does not fit", given=given, allowed=allowed)]
    )
