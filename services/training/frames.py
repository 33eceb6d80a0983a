"""What a trainer is given: rows of named numbers, an outcome, and when and of whom they are. Pure.

A frame's hash is of its content, so that a pipeline can pin it and a card can name it.
"""

import hashlib

import msgspec
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Frame(msgspec.Struct, kw_only=True):
    """n rows. `x` (n, d), NaN for what is missing; `y` (n,) outcome; `time`, `outcome_time` (n,) epoch seconds, when the
    inputs held and when the outcome was known; `entity` (n,) whose row it is; `group` (n,) rows that must not be parted
    between folds; `test` (n,) rows that training never sees; `dated`: column -> (n,) the newest record its value uses.
    For uplift `treatment` (n,) 0 or 1 and `chance` (n,) of being treated. `source` (n,) where an outcome came from;
    `origin`: the hash of the data as they were read, before anything was left out.
    """

    name: str
    columns: list[str]
    x: FloatArray
    y: FloatArray
    time: FloatArray
    entity: npt.NDArray[np.str_]
    test: BoolArray
    group: IntArray | None = None
    outcome_time: FloatArray | None = None
    dated: dict[str, FloatArray] = {}
    treatment: FloatArray | None = None
    chance: FloatArray | None = None
    source: npt.NDArray[np.str_] | None = None
    baseline: FloatArray | None = None
    baseline_name: str = ""
    notes: list[str] = []
    origin: str = ""

    @property
    def hash(self) -> str:
        """SHA-256 over names and content; inputs in single precision, as the last bits of a logarithm are the processor's."""
        digest = hashlib.sha256("\0".join(self.columns).encode())
        parts = (
            self.x.astype(np.float32),
            self.y,
            self.time,
            self.outcome_time,
            self.treatment,
            self.chance,
            self.test.astype(np.int8),
        )
        for part in parts:
            if part is not None:
                digest.update(np.ascontiguousarray(part).tobytes())
        digest.update("\0".join(self.entity.tolist()).encode())
        return digest.hexdigest()

    def rows(self, keep: BoolArray) -> "Frame":
        """Some of the rows."""
        changed = {}
        for name in (
            "x",
            "y",
            "time",
            "entity",
            "test",
            "group",
            "outcome_time",
            "treatment",
            "chance",
            "source",
            "baseline",
        ):
            value = getattr(self, name)
            changed[name] = None if value is None else value[keep]
        return msgspec.structs.replace(self, **changed, dated={name: value[keep] for name, value in self.dated.items()})

    def only(self, names: list[str]) -> "Frame":
        """Some of the columns, in this order."""
        place = {name: n for n, name in enumerate(self.columns)}
        dated = {name: value for name, value in self.dated.items() if name in names}
        return msgspec.structs.replace(self, columns=names, x=self.x[:, [place[name] for name in names]], dated=dated)


def spread(entity: npt.NDArray[np.str_]) -> IntArray:
    """A number an entity: rows of one person stay in one fold."""
    found: IntArray = np.unique(entity, return_inverse=True)[1].astype(np.int64)
    return found
