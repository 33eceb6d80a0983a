"""One decision while it is made."""

import datetime as dt
import time
from collections.abc import Iterable, Mapping

import uuid_utils

from services.decisions import ranking
from services.decisions.assignments import Assigned
from services.decisions.assortment import Assortment
from services.decisions.counters import Counted
from services.decisions.features import only
from services.decisions.inputs import Models, Person
from services.decisions.people import Met
from shared.contracts.decisions import DecisionRequest
from shared.contracts.profiles import ProfileContext

_SEED_BITS = 2**62 - 1  # the random part of a version 7 UUID


class Work:
    """What is found out on the way from a request to its answer."""

    def __init__(self, request: DecisionRequest, at: dt.datetime) -> None:
        self.request = request
        self.at = at
        self.now = dt.datetime.now(dt.UTC)
        self.id = uuid_utils.uuid7()
        self.started = time.perf_counter()
        self.degraded: list[str] = []
        self.index_version = ""
        self.met: Met
        self.goods: Assortment
        self.models: Models
        self.assigned = Assigned()
        self.affinity: dict[str, ranking.Affinity] = {}
        self.counted = Counted()
        self.stale: list[str] = []

    @property
    def profile(self) -> ProfileContext:
        """What may be used of the person."""
        return self.met.profile

    @property
    def seed(self) -> int:
        """Where this decision's chance comes from."""
        return int(self.id.int & _SEED_BITS)

    def lessen(self, reason: str) -> None:
        """Say once why the answer is less than asked for."""
        if reason not in self.degraded:
            self.degraded.append(reason)

    def again(self) -> None:
        """Another attempt has another id: the one before may have been logged though nobody heard of it."""
        self.id = uuid_utils.uuid7()


def person_of(
    profile: ProfileContext, request: DecisionRequest, fields: Iterable[str], affinity: dict[str, float],
    measured: Mapping[str, float] | None = None,
) -> Person:  # fmt: skip
    """What a decision uses of a person: only values that a rule or a feature reads, and what is said of our subjects."""
    values: dict[str, object] = {f"profile.attributes.{name}": value for name, value in profile.attributes.items()}
    values["profile.segments"] = profile.attributes.get("segments")
    values |= {f"profile.facts.{fact.name}": fact.value for fact in profile.facts}
    values |= measured or {}
    values |= {f"context.attributes.{name}": value for name, value in request.attributes.items()}
    values |= {"context.device": request.device, "context.page": request.page}
    return Person(
        profile_id=profile.profile_id, known=profile.known, personalize=profile.personalize,
        contactable=profile.contactable, reason=profile.reason, locale=profile.locale, time_zone=profile.time_zone,
        exclude_tags=profile.exclude_tags, values=only(fields, values),
        affinity=affinity,
    )  # fmt: skip
