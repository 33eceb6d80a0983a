"""How far a judge may be believed: agreement with labels, position bias, test-retest. Pure.

Kappa: Cohen 1960, with a percentile bootstrap interval. Position bias as in Zheng et al., NeurIPS 2023 (MT-Bench).
"""

from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from services.evaluation.judging import key_of
from services.evaluation.scores import Score
from shared.contracts.evaluation import Agreement

# The metrics that say of a message whether all of it is true; the others have no labels to be held against.
CALIBRATED = ("verdict", "faithfulness")
_DRAWS = 2000
_DIGITS = 6
_ALL = 1.0 - 1e-9
RowT = TypeVar("RowT", "Labelled", "Pair")
IntArray = npt.NDArray[np.int64]


class Labelled(msgspec.Struct, frozen=True):
    """A message about an offer, and whether all that it states stands in the record."""

    id: str
    product: str
    record: list[str]
    text: str
    faithful: bool


class Pair(msgspec.Struct, frozen=True):
    """Two messages of which one keeps to the record."""

    id: str
    record: list[str]
    right: str
    wrong: str


class _Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    old: str
    new: str


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    change: _Change


class _Hard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    faithful: bool
    why: str


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    offer: str
    product: str
    record: list[str]
    messages: list[_Written] = []
    hard: list[_Hard] = []


class LabelledSet(msgspec.Struct, frozen=True):
    """The items, the pairs, and a hash of both."""

    items: list[Labelled]
    pairs: list[Pair]
    version: str


def labelled(most: int = 0) -> LabelledSet:
    """The set in `labelled/items.yaml`; `most` > 0 takes as many items, half of them faithful, and a third as many pairs.

    Raises:
        ValueError: a change of the file does not occur in its message exactly once.
    """
    raw = files("services.evaluation").joinpath("labelled", "items.yaml").read_bytes()
    items: list[Labelled] = []
    pairs: list[Pair] = []
    for entry in msgspec.yaml.decode(raw, type=list[_Entry]):
        for n, message in enumerate(entry.messages):
            if message.text.count(message.change.old) != 1:
                text = f"{entry.offer}: {message.change.old!r} does not occur exactly once in {message.text!r}"
                raise ValueError(text)
            wrong, key = message.text.replace(message.change.old, message.change.new), f"{entry.offer}-{n}"
            items.append(Labelled(f"{key}-right", entry.product, entry.record, message.text, True))
            items.append(Labelled(f"{key}-wrong", entry.product, entry.record, wrong, False))
            pairs.append(Pair(key, entry.record, message.text, wrong))
        for n, hard in enumerate(entry.hard):
            items.append(Labelled(f"{entry.offer}-hard-{n}", entry.product, entry.record, hard.text, hard.faithful))
    if most:
        right, wrong_ones = (
            _drawn([i for i in items if i.faithful is label], most // 2 or 1) for label in (True, False)
        )
        items, pairs = right + wrong_ones, _drawn(pairs, max(1, most // 3))
    return LabelledSet(items, pairs, key_of(items, pairs)[:12])


def _drawn(rows: list[RowT], most: int) -> list[RowT]:
    return sorted(rows, key=lambda row: key_of(row.id))[:most]


def said(score: Score) -> str:
    """Yes when the metric finds everything true, no when not, else the reason why it found nothing."""
    if score.value is None:
        return score.reason or "abstained"
    return "yes" if score.value >= _ALL else "no"


def agreement(labels: Sequence[bool], first: Sequence[Score], again: Sequence[Score], needed: float) -> Agreement:
    """A judge against the labels, and against itself.

    Raises:
        ValueError: no items, or lists of different lengths.
    """
    if not labels or not len(labels) == len(first) == len(again):
        raise ValueError("needs as many verdicts as labels, and at least one")
    told = [said(score) for score in first]
    code = {"yes": 1, "no": 0}
    truth = np.array([1 if label else 0 for label in labels])
    judged = np.array([code.get(word, 2) for word in told])
    rows = np.random.default_rng(0).integers(0, len(labels), size=(_DRAWS, len(labels)))
    low, high = np.percentile(kappa(truth[rows], judged[rows]), (2.5, 97.5))
    same = [one == other for one, other in zip(told, map(said, again), strict=True)]
    return Agreement(
        items=len(labels), abstained=dict(sorted(Counter(w for w in told if w not in code).items())),
        agreement=_round((truth == judged).mean()), kappa=_round(kappa(truth[None], judged[None])[0]),
        kappa_low=_round(low), kappa_high=_round(high), retest=_round(float(np.mean(same))), may_gate=bool(low >= needed),
    )  # fmt: skip


def kappa(truth: IntArray, judged: IntArray) -> npt.NDArray[np.float64]:
    """Cohen's kappa of each row, shapes (draws, n); an abstention (2) agrees with no label. 0 where chance explains all."""
    observed = (truth == judged).mean(axis=1)
    chance = sum((truth == k).mean(axis=1) * (judged == k).mean(axis=1) for k in range(3))
    room = 1.0 - np.asarray(chance)
    return np.where(room > 0, (observed - chance) / np.where(room > 0, room, 1.0), 0.0)


def position_bias(right_first: Sequence[Score], right_second: Sequence[Score]) -> tuple[float | None, dict[str, int]]:
    """Share of pairs whose better message changes with their order (value 1: the first one is better), and abstentions."""
    abstained: Counter[str] = Counter()
    changed = answered = 0
    for one, other in zip(right_first, right_second, strict=True):
        if one.value is None or other.value is None:
            abstained[one.reason or other.reason or "abstained"] += 1
            continue
        answered += 1
        changed += one.value == other.value
    return (_round(changed / answered) if answered else None), dict(sorted(abstained.items()))


def _round(value: float) -> float:
    return round(float(value), _DIGITS)
