"""Adapting the vectors of searched words. Pure."""

import msgspec
import numpy as np
import numpy.typing as npt

from services.retrieval.errors import BadAdapterError
from shared.contracts.base import FieldError
from shared.contracts.retrieval import QueryAdapter, Space

Vector = npt.NDArray[np.float32]
_FLOAT = 4


class Ends(msgspec.Struct, frozen=True):
    """Between which vectors an adapter of a space stands: the words' model and dimension, those of what is searched."""

    embedding: str
    inputs: int
    target: str
    dimension: int

    def __str__(self) -> str:
        if self.embedding == self.target:
            return f"{self.embedding} ({self.inputs})"
        return f"{self.embedding} ({self.inputs}) to {self.target} ({self.dimension})"


class Adapting:
    """An adapter that may be used.

    Raises:
        BadAdapterError: its factors are too many or too few, or not finite, or its ends do not go together.
    """

    def __init__(self, given: QueryAdapter) -> None:
        self.name = given.name
        self.space: Space = given.space
        self.ends = Ends(given.embedding, given.inputs, given.target, given.dimension)
        self._within = given.embedding == given.target
        if self._within and given.inputs != given.dimension:
            raise _bad("inputs", str(given.inputs), f"{given.dimension}, the dimension, within one model's space")
        wanted = (given.inputs + given.dimension) * given.rank * _FLOAT
        if len(given.factors) != wanted:
            allowed = f"{wanted} bytes: (inputs + dimension) x rank floats of 4 bytes"
            raise _bad("factors", f"{len(given.factors)} bytes", allowed)
        parts = np.frombuffer(given.factors, dtype="<f4")
        if not np.isfinite(parts).all():
            raise _bad("factors", "numbers that are not finite", "finite numbers")
        self._u, self._v = np.split(parts.reshape(-1, given.rank), [given.inputs])

    def unfit(self, ends: Ends) -> str:
        """Why it cannot adapt between these vectors, in words; empty when it can."""
        if ends == self.ends:
            return ""
        return f"adapter_unfit: {self.name} was fitted for {self.ends}, not for {ends}"

    def __call__(self, query: Vector) -> Vector:
        """The adapted unit vector: (inputs,) becomes (dimension,)."""
        turned = (query @ self._u) @ self._v.T
        moved = query + turned if self._within else turned
        return np.asarray(moved / max(float(np.linalg.norm(moved)), 1e-9), dtype=np.float32)


def _bad(field: str, given: str, allowed: str) -> BadAdapterError:
    message = f"{field}: {given}; allowed: {allowed}"
    return BadAdapterError(
        message, errors=[FieldError(field=field, message="does not fit", given=given, allowed=allowed)]
    )
