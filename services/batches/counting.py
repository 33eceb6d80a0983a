"""Counts of a batch out of its plan and its ledger, and how fast it goes. Pure."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from services.batches.repository import StoredBatch
from shared.contracts.batches import Batch, BatchCounts

_WINDOW = dt.timedelta(minutes=1)


def counts(stored: StoredBatch, chunks: Sequence[Any]) -> BatchCounts:
    """Every item is in one place: withheld by the plan, else in a chunk that is done or open."""
    done = [chunk for chunk in chunks if chunk.state == "done"]
    failed: dict[str, int] = {}
    for chunk in done:
        for reason, n in chunk.counts.get("failed", {}).items():
            failed[reason] = failed.get(reason, 0) + n

    def total(name: str) -> int:
        return sum(int(chunk.counts.get(name, 0)) for chunk in done)

    planned = stored.planned
    # Until the plan is done its items are in no chunk.
    unplanned = 0 if chunks else planned.items - sum(planned.withheld.values())
    return BatchCounts(
        people=planned.people, items=planned.items, written=total("written"), template=total("template"),
        withheld=dict(planned.withheld), failed=failed, open=unplanned + sum(c.items for c in chunks if c.state != "done"),
        erased=stored.erased, texts=sum(c.texts for c in chunks), texts_open=sum(c.texts for c in chunks if c.state != "done"),
        calls=total("calls"), prompt_tokens=total("prompt_tokens"), completion_tokens=total("completion_tokens"),
        chunks=len(chunks), recomputed=sum(max(c.attempts - 1, 0) for c in done),
    )  # fmt: skip


def shown(stored: StoredBatch, chunks: Sequence[Any], now: dt.datetime) -> Batch:
    """A batch as it is answered, with rate and time left while it runs."""
    found = counts(stored, chunks)
    rate = _rate(stored, chunks, now) if stored.state == "running" else None
    return Batch(
        batch_id=stored.batch_id, state=stored.state, request=stored.request, counts=found, created_at=stored.created_at,
        started_at=stored.started_at, finished_at=stored.finished_at, items_per_second=rate,
        seconds_left=round(found.open / rate, 1) if rate else None, note=stored.note, problem=stored.problem,
    )  # fmt: skip


def _rate(stored: StoredBatch, chunks: Sequence[Any], now: dt.datetime) -> float | None:
    """Items a second over the last minute, or since the start where that is shorter ago; None before the first is done."""
    since = max(now - _WINDOW, stored.started_at or now)
    items = sum(chunk.items for chunk in chunks if chunk.done_at and chunk.done_at >= since)
    seconds = (now - since).total_seconds()
    return round(items / seconds, 3) if items and seconds > 0 else None
