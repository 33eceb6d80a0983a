"""The use case of off-policy evaluation: the log page by page, then the estimators."""

import asyncio
from collections import defaultdict

import msgspec
import numpy as np

from services.evaluation import off_policy, slates
from services.evaluation.off_policy import Estimate, Log
from services.evaluation.slates import SlateLog
from shared.clients.decisions import DecisionsClient
from shared.contracts.decisions import LogQuery, LogRow
from shared.contracts.evaluation import OffPolicyAnswer, OffPolicyRequest, ValueEstimate

_PAGE = 500


class EvaluationService:
    """Values policies."""

    def __init__(self, decisions: DecisionsClient) -> None:
        self._decisions = decisions

    async def off_policy(self, request: OffPolicyRequest) -> OffPolicyAnswer:
        """What a policy would have earned in a window of the log.

        Raises:
            BadLogError: the log cannot be read.
        """
        rows: list[LogRow] = []
        skipped: dict[str, int] = defaultdict(int)
        cursor: str | None = None
        notes: list[str] = []
        while True:
            page = await self._decisions.log(
                LogQuery(start=request.start, end=request.end, policy=request.policy, cursor=cursor, limit=_PAGE)
            )
            rows += page.rows
            for reason, count in page.skipped.items():
                skipped[reason] += count
            cursor = page.cursor
            if cursor is None:
                break
            if len({row.decision_id for row in rows}) >= request.max_decisions:
                notes.append(f"only the first {request.max_decisions} decisions of the window were read")
                break
        return await asyncio.to_thread(_evaluated, rows, dict(skipped), request, notes)


def _evaluated(
    rows: list[LogRow], skipped: dict[str, int], request: OffPolicyRequest, notes: list[str]
) -> OffPolicyAnswer:
    if not rows:
        notes = [*notes, "no decision of this window can be used, so nothing is estimated"]
        return OffPolicyAnswer(decisions=0, skipped=skipped, baseline_first_slot=None, baseline_slate=None, first_slot=[],
                               slates=[], notes=notes)  # fmt: skip
    by_value = request.reward == "value"
    first = single(rows, by_value=by_value)
    found = off_policy.evaluate(first, seed=request.seed)
    whole = slate(rows, by_value=by_value)
    several = whole.reward.shape[1] > 1
    notes = [*notes, f"the first estimate of each list is the one to read ({off_policy.DEFAULT} for the first slot)"]
    return OffPolicyAnswer(
        decisions=len(first.reward),
        skipped=skipped,
        baseline_first_slot=float(first.reward.mean()),
        baseline_slate=float(whole.reward.sum(axis=1).mean()) if several else None,
        first_slot=[_out(estimate) for estimate in found],
        slates=[_out(estimate) for estimate in slates.evaluate(whole)] if several else [],
        notes=notes,
    )


def _out(estimate: Estimate) -> ValueEstimate:
    return ValueEstimate(**msgspec.structs.asdict(estimate))


def single(rows: list[LogRow], *, by_value: bool) -> Log:
    """The first slot of every decision."""
    firsts = [row for row in rows if row.slot == 0]
    index: dict[str, int] = {}
    for row in firsts:
        for key in (row.offer_id, *row.offers):
            index.setdefault(key, len(index))
    target = np.zeros((len(firsts), max(len(index), 1)))
    for n, row in enumerate(firsts):
        target[n, [index[key] for key in row.offers]] = row.expected
    # Feature spaces may differ within a window: shorter vectors are filled up with zeros.
    width = max((len(row.x) for row in firsts), default=1)
    context = np.zeros((len(firsts), width))
    for n, row in enumerate(firsts):
        context[n, : len(row.x)] = row.x
    return Log(
        context[:, 1:] if width > 1 else context,
        np.array([index[row.offer_id] for row in firsts], dtype=np.int64),
        np.array([row.value if by_value else row.reward for row in firsts]),
        np.array([row.logging for row in firsts]),
        target,
    )


def slate(rows: list[LogRow], *, by_value: bool) -> SlateLog:
    """All slots of every decision; a slot that was not filled counts as certain and worthless."""
    order = {key: n for n, key in enumerate(dict.fromkeys(row.decision_id for row in rows))}
    slots = max((row.slot for row in rows), default=0) + 1
    reward = np.zeros((len(order), slots))
    logging, target = np.ones((len(order), slots)), np.ones((len(order), slots))
    for row in rows:
        place = order[row.decision_id], row.slot
        reward[place] = row.value if by_value else row.reward
        logging[place], target[place] = row.logging, row.target
    return SlateLog(reward, logging, target)
