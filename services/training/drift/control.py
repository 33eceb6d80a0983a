"""P-values of many tests looked at together. Pure."""

import numpy as np
from scipy.stats import false_discovery_control

from services.training.drift.types import FloatArray
from shared.contracts.monitoring import Control


def adjusted(p: FloatArray, control: Control = "holm") -> FloatArray:
    """Adjusted p-values (m,), in the order given; an alarm is one at or below alpha.

    `holm` (Holm 1979): the chance that any of the columns that did not drift alarms is at most alpha, however they depend
    on each other. `bh` (Benjamini and Hochberg 1995): the share of false alarms among alarms is, on average, at most alpha;
    when nothing drifted that is the same promise, for columns that are independent or rise together.
    """
    if not len(p):
        return p
    if control == "bh":
        found: FloatArray = false_discovery_control(p, method="bh")
        return found
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    result = np.empty_like(p)
    result[order] = np.minimum(steps, 1.0)
    return result
