"""Contextual linear models, one per offer, learnt one reward at a time. Pure.

Ridge regression of (reward - offset) on the context vector: A = I + sum x x', b = sum x (r - offset), theta = A^-1 b
(LinUCB's "disjoint" model: Li, Chu, Langford, Schapire, WWW 2010). Rewards are folded strictly in the order of the
ledger, so that the same ledger gives the same bits: replaying a decision rebuilds the model it was made with.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
_GROW = 32


class Lesson(msgspec.Struct, frozen=True):
    """One line of the ledger. `first`: the item's first reward (adds x to A and r - offset); else only a correction."""

    seq: int
    offer_id: str
    first: bool
    reward: float
    offset: float
    x: bytes


class Snapshot(msgspec.Struct):
    """A model as bytes, for Redis and checkpoints."""

    space: str
    dimension: int
    seq: int
    seen: int
    offers: list[str]
    a: bytes
    b: bytes
    n: list[int]


class Bandit:
    """The models of one tenant and feature space."""

    def __init__(self, space: str, dimension: int) -> None:
        self.space = space
        self.dimension = dimension
        self.seq = 0
        self.seen = 0
        self.row: dict[str, int] = {}
        self.a = np.tile(np.eye(dimension), (_GROW, 1, 1))
        self.b = np.zeros((_GROW, dimension))
        self.n = np.zeros(_GROW, dtype=np.int64)
        self.theta = np.zeros((_GROW, dimension))
        self.inverse: FloatArray | None = None

    @property
    def version(self) -> str:
        """Names the state: feature space and the last ledger line in it."""
        return f"{self.space}@{self.seq}"

    def _row(self, offer_id: str) -> int:
        found = self.row.setdefault(offer_id, len(self.row))
        if found >= len(self.b):
            more = len(self.b)
            self.a = np.concatenate([self.a, np.tile(np.eye(self.dimension), (more, 1, 1))])
            self.b = np.concatenate([self.b, np.zeros((more, self.dimension))])
            self.n = np.concatenate([self.n, np.zeros(more, dtype=np.int64)])
            self.theta = np.concatenate([self.theta, np.zeros((more, self.dimension))])
            self.inverse = None
        return found

    def fold(self, lessons: Iterable[Lesson]) -> int:
        """Take in ledger lines in order; lines up to `seq` and of another dimension change nothing. Returns how many."""
        touched: set[int] = set()
        count = 0
        for lesson in lessons:
            if lesson.seq <= self.seq:
                continue
            self.seq = lesson.seq
            x = np.frombuffer(lesson.x)
            if len(x) != self.dimension:
                continue
            row = self._row(lesson.offer_id)
            if lesson.first:
                self.a[row] += x[:, None] * x
                self.n[row] += 1
                self.seen += 1
            self.b[row] += x * (lesson.reward - lesson.offset if lesson.first else lesson.reward)
            touched.add(row)
            count += 1
        self._solve(sorted(touched))
        return count

    def _solve(self, rows: Sequence[int]) -> None:
        """Coefficients of these rows; one LAPACK call each, so the bits do not depend on how lines came in batches."""
        if not rows:
            return
        chosen = np.array(rows)
        self.theta[chosen] = np.linalg.solve(self.a[chosen], self.b[chosen][..., None])[..., 0]
        if self.inverse is not None:
            self.inverse[chosen] = np.linalg.inv(self.a[chosen])

    def inverses(self) -> FloatArray:
        """A^-1 of every row, kept up to date once asked for (Thompson sampling needs variances)."""
        found = self.inverse
        if found is None:
            found = self.inverse = np.asarray(np.linalg.inv(self.a), dtype=np.float64)
        return found

    def snapshot(self) -> Snapshot:
        """The state as bytes."""
        used = len(self.row)
        return Snapshot(self.space, self.dimension, self.seq, self.seen, list(self.row),
                        self.a[:used].tobytes(), self.b[:used].tobytes(), self.n[:used].tolist())  # fmt: skip

    @classmethod
    def restore(cls, kept: Snapshot) -> "Bandit":
        """The same state again."""
        made = cls(kept.space, kept.dimension)
        for offer_id in kept.offers:
            made._row(offer_id)
        used, d = len(kept.offers), kept.dimension
        made.a[:used] = np.frombuffer(kept.a).reshape(used, d, d)
        made.b[:used] = np.frombuffer(kept.b).reshape(used, d)
        made.n[:used] = kept.n
        made.seq, made.seen = kept.seq, kept.seen
        made._solve(range(used))
        return made
