"""The decision log's record: inputs, versions, every candidate's stage, score and probability, the picks. Pure.

Scores and probabilities are kept as raw float64 of the eligible offers only, in the order of their ids.
"""

import datetime as dt
from collections.abc import Sequence

import msgspec
import numpy as np

from services.decisions.engine import CODE, STAGES
from services.decisions.inputs import Inputs, Pick, Result
from shared.contracts.decisions import ArmAssignment, Candidate, DecisionRecord, LoggedPick


class Item(msgspec.Struct, array_like=True):
    """A pick as it is logged: what it was shown with, and what its reward will be learnt against."""

    pick: Pick
    offer_id: str
    score: float
    propensity: float
    uplift: float | None
    offset: float
    variant_id: str | None
    reasons: list[str]


class Entry(msgspec.Struct, array_like=True):
    """One decision. `versions` names the pinned offers, rules, policy, copy and models, and the learnt state; `space` is
    the feature space that learns from it, empty when nobody does; `wait_seconds`: after which the default reward is given.
    """

    id: str
    at: float
    inputs: Inputs
    versions: dict[str, str]
    stage: bytes
    score: bytes
    probability: bytes
    items: list[Item]
    x: bytes
    space: str
    experiments: list[ArmAssignment]
    degraded: list[str]
    request_id: str
    wait_seconds: int = 86_400


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """As it goes into the log."""
    return _encoder.encode(entry)


def decode(raw: bytes) -> Entry:
    """As it comes out of the log."""
    return _decoder.decode(raw)


def arrays(result: Result) -> tuple[bytes, bytes, bytes]:
    """(stage, score, probability) as they are logged and compared in a replay."""
    eligible = result.stage == 0
    return result.stage.tobytes(), result.score[eligible].tobytes(), result.probability[eligible].tobytes()


def candidates(entry: Entry, ids: Sequence[str]) -> list[Candidate]:
    """Every offer of the pinned catalog with its score and probability, or the stage that removed it."""
    stage = np.frombuffer(entry.stage, dtype=np.uint8)
    eligible = np.flatnonzero(stage == 0)
    score, probability = np.frombuffer(entry.score), np.frombuffer(entry.probability)
    found = [
        Candidate(offer_id=ids[n], score=float(s), probability=float(p))
        for n, s, p in zip(eligible.tolist(), score, probability, strict=True)
    ]
    found.sort(key=lambda candidate: (-candidate.score, candidate.offer_id))
    return found + [
        Candidate(offer_id=ids[n], score=0.0, probability=0.0, removed_by=STAGES[code])
        for n, code in enumerate(stage.tolist()) if code
    ]  # fmt: skip


def record(entry: Entry, ids: Sequence[str]) -> DecisionRecord:
    """The record as people and other systems read it."""
    seen = candidates(entry, ids)
    inputs = entry.inputs
    return DecisionRecord(
        id=entry.id,
        time=dt.datetime.fromtimestamp(entry.at, dt.UTC),
        profile_id=inputs.person.profile_id,
        channel=inputs.channel,
        locale=inputs.locale,
        scopes=inputs.scopes,
        seed=str(inputs.seed),
        versions=entry.versions,
        funnel=_funnel(entry.stage),
        candidates=seen,
        picks=[
            LoggedPick(scope=inputs.scopes[item.pick.scope], offer_id=item.offer_id, slot=slot, score=item.score,
                       probability=item.pick.probability, propensity=item.propensity, uplift=item.uplift,
                       variant_id=item.variant_id, fallback=item.pick.fallback, reasons=item.reasons)
            for slot, item in enumerate(entry.items)
        ],
        features=dict(inputs.person.values),
        holdout=inputs.holdout,
        experiments=entry.experiments,
        degraded=entry.degraded,
    )  # fmt: skip


def _funnel(stage: bytes) -> dict[str, int]:
    """How many offers each stage left over, in order; stages that removed nothing are left out."""
    left = len(stage)
    found = {"offers": left}
    counts = np.bincount(np.frombuffer(stage, dtype=np.uint8), minlength=len(STAGES))
    for name in STAGES[1:]:
        removed = int(counts[CODE[name]])
        if removed:
            left -= removed
            found[name] = left
    return found
