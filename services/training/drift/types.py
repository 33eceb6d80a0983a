"""What every test gives back. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Tested(NamedTuple):
    """`statistic` in the test's own unit; `p` (0, 1]; `effect` >= 0 in the unit of the test's floor, free of the number of rows."""

    statistic: float
    p: float
    effect: float
