"""Windows of the decision log, read through decisions and no larger than asked for."""

import datetime as dt
from typing import Any

import msgspec

from services.training.monitoring.columns import words
from shared.clients.bundle import Clients
from shared.contracts.catalog import Offer
from shared.contracts.decisions import LogQuery, LogRow
from shared.contracts.retrieval import EmbedRequest

_PAGE = 1000
_EMBED = 200
_THINNER = 4.0


class Rows(msgspec.Struct, kw_only=True):
    """Slots of logged decisions, the oldest first, and what the entries of their `x` are. `share`: of all that there were."""

    rows: list[LogRow] = []
    spaces: dict[str, list[str]] = {}
    share: float = 1.0

    @property
    def decisions(self) -> list[LogRow]:
        """The first slot of each: rows of one decision are of one person and moment."""
        return [row for row in self.rows if row.slot == 0]


async def between(
    clients: Clients, start: dt.datetime, end: dt.datetime, most: int, policy: dict[str, Any] | None = None
) -> Rows:
    """Decisions of [start, end); of more than `most` a share, drawn by a hash of their ids: the same ones each time.

    `policy`: the change under which their propensities are told.
    """
    share = 1.0
    while True:
        query = LogQuery(start=start, end=end, policy=policy or {}, limit=min(_PAGE, most + 1), share=share)
        found = await _read(clients, query, most)
        if found is not None:
            found.share = share
            return found
        share /= _THINNER


async def newest(clients: Clients, start: dt.datetime, end: dt.datetime, count: int) -> Rows:
    """The newest decisions of [start, end), at most so many."""
    query = LogQuery(start=start, end=end, limit=min(_PAGE, count), newest_first=True)
    found = Rows()
    seen: set[str] = set()
    while True:
        page = await clients.decisions.log(query)
        found.rows += page.rows
        found.spaces |= page.spaces
        seen |= {row.decision_id for row in page.rows}
        if page.cursor is None or len(seen) >= count:
            break
        query = msgspec.structs.replace(query, cursor=page.cursor)
    found.rows.sort(key=lambda row: (row.time, row.decision_id, row.slot))
    kept = {row.decision_id for row in found.decisions[-count:]}
    found.rows = [row for row in found.rows if row.decision_id in kept]
    return found


async def stretch(clients: Clients, start: dt.datetime, end: dt.datetime, most: int) -> tuple[list[LogRow], bool]:
    """The oldest rows of [start, end) in their order, about `most` decisions; and whether these are all. Of an instant all are there
    or none, so that the next stretch begins right after the last row.
    """
    query = LogQuery(start=start, end=end, limit=min(_PAGE, most))
    rows: list[LogRow] = []
    while True:
        page = await clients.decisions.log(query)
        rows += page.rows
        if page.cursor is None:
            return rows, True
        if len({row.decision_id for row in rows}) >= most and rows[-1].time > rows[0].time:
            last = rows[-1].time
            return [row for row in rows if row.time < last], False
        query = msgspec.structs.replace(query, cursor=page.cursor)


async def _read(clients: Clients, query: LogQuery, most: int) -> Rows | None:
    """All that the query asks for; None when that is more than `most` decisions."""
    found = Rows()
    decisions = 0
    while True:
        page = await clients.decisions.log(query)
        found.rows += page.rows
        found.spaces |= page.spaces
        decisions += sum(row.slot == 0 for row in page.rows)
        if decisions > most:
            return None
        if page.cursor is None:
            return found
        query = msgspec.structs.replace(query, cursor=page.cursor)


async def vectors(clients: Clients, offers: dict[str, Offer]) -> dict[str, list[float]]:
    """Offer -> embedding of its words by the text model."""
    keys = sorted(offers)
    found: dict[str, list[float]] = {}
    for start in range(0, len(keys), _EMBED):
        part = keys[start : start + _EMBED]
        answer = await clients.retrieval.embed(EmbedRequest(texts=[words(offers[key]) for key in part]))
        found |= dict(zip(part, answer.embeddings, strict=True))
    return found
