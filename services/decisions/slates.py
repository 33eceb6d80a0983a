"""What a policy would have done slot by slot, given the slots that were really filled before. Pure."""

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from services.decisions import engine
from services.decisions.assortment import Assortment
from services.decisions.inputs import Models
from services.decisions.records import Entry
from services.decisions.slots import Slots

FloatArray = npt.NDArray[np.float64]
Slot = tuple[int, npt.NDArray[np.int64], FloatArray, FloatArray]


def conditionals(entry: Entry, goods: Assortment, models: Models) -> Iterator[Slot]:
    """(slot, eligible offers, their probabilities under the goods' policy, their propensities) for every logged slot.

    The eligible set is the policy's own; the prefix of each slot is what the log shows, so products along the slots are
    the policy's probability of the very slate that was shown.
    """
    # Whoever was held out, or is asked about greedily, is asked about as everybody: the candidate policy has its own chance.
    inputs = msgspec.structs.replace(entry.inputs, holdout="", explore=True)
    result = engine.judge(inputs, goods, models)
    slots = Slots(inputs, goods, models, result)
    for slot, item in enumerate(entry.items):
        allowed, chances = slots.chances(goods.matching("placement", inputs.scopes[item.pick.scope]))
        yield slot, allowed, chances, result.terms.propensity[allowed]
        if len(allowed):
            slots.take(item.pick.offer)
