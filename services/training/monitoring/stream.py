"""ADWIN over the rewards of a model: a state that goes on where the last check stopped, so that each reward counts once. Pure."""

import datetime as dt
from collections.abc import Sequence

import numpy as np

from services.training.drift.streaming import Adwin
from shared.contracts.base import Contract, Timestamp
from shared.contracts.decisions import LogRow
from shared.contracts.monitoring import Change, StreamReport

_INSTANT = dt.timedelta(microseconds=1)


class RewardStream(Contract, kw_only=True):
    """The detector, and from when on (inclusive) it has taken no reward: right after the newest decision that it knows."""

    adwin: Adwin
    until: Timestamp

    def take(self, rows: Sequence[LogRow]) -> StreamReport:
        """Take the rewards of the rows, which are those that were decided since `until`, in their order."""
        changes: list[Change] = self.adwin.update(np.array([row.reward for row in rows], dtype=np.float64))
        if rows:
            self.until = rows[-1].time + _INSTANT
        return StreamReport(
            rewards=len(rows), seen=self.adwin.seen, width=self.adwin.width, mean=self.adwin.mean, changes=changes,
            alarm=any(change.alarm for change in changes),
        )  # fmt: skip


def begin(rows: Sequence[LogRow], delta: float, until: dt.datetime) -> RewardStream:
    """A stream that knows the rewards of the reference, which ends at `until`: a change within it is what the model was trained
    on, and no news.
    """
    stream = RewardStream(adwin=Adwin(delta=delta), until=until)
    stream.take(sorted(rows, key=lambda row: row.time))
    stream.until = until
    return stream
