"""What one decision is made of, and what comes out. Pure data; the log keeps it."""

import datetime as dt
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.decisions.arbitration import Terms
from shared.contracts.profiles import Channel

FloatArray = npt.NDArray[np.float64]


class Person(msgspec.Struct, array_like=True):
    """What one decision uses of a person: verdicts, and the values that rules and features read.

    `facts`: the texts of facts (name -> text) that copy of what was picked asks for; `said`: what the person's history
    says about the subjects (name -> text) of what was picked. The copy and the reasons are made from these again.
    """

    profile_id: str
    known: bool
    personalize: bool
    contactable: bool
    reason: str | None
    locale: str
    time_zone: str
    exclude_tags: list[str]
    values: dict[str, Any]
    affinity: dict[str, float] = {}
    facts: dict[str, str] = {}
    said: dict[str, str] = {}


class Inputs(msgspec.Struct, array_like=True):
    """All that varies. `at`: epoch seconds; `counts`: the person's counters that matter; `relevance`: offer -> [0, 1];
    `contested`: offers whose cap somebody else used up while this was decided; `caps_known`: False without counters, then
    all that the policy caps is withheld, and what `uncounted` names (SCOPE|NAME): what other policies of the tenant cap.
    """

    seed: int
    at: float
    channel: Channel
    locale: str
    scopes: list[str]
    limit: int
    person: Person
    candidate_ids: list[str] = []
    exclude_ids: list[str] = []
    counts: dict[str, int] = {}
    relevance: dict[str, float] = {}
    contested: list[str] = []
    caps_known: bool = True
    explore: bool = True
    holdout: str = ""
    uncounted: list[str] = []

    @property
    def moment(self) -> dt.datetime:
        """`at` as a time."""
        return dt.datetime.fromtimestamp(self.at, dt.UTC)


class Pick(msgspec.Struct, array_like=True):
    """One slot: the offer's index, its probability given the slots before, and how it came in."""

    scope: int
    offer: int
    probability: float
    fallback: bool = False


class Result(msgspec.Struct):
    """What was decided. `stage`: code of every offer; `terms`, `score`: of every offer; `probability`: of the first slot;
    `barred`: the offers that may not be served in any case, not as a fallback either.
    """

    stage: npt.NDArray[np.uint8]
    barred: npt.NDArray[np.bool_]
    terms: Terms
    score: FloatArray
    probability: FloatArray
    picks: list[Pick]
    x: FloatArray
    offset: FloatArray


class Models(msgspec.Struct):
    """The contextual models laid out for an assortment: theta (k, d), inverses (k, d, d) or None, observations."""

    theta: FloatArray | None
    inverse: FloatArray | None
    seen: int
    version: str
