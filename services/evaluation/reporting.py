"""From stored results to what is told of a run."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.evaluation import summaries
from services.evaluation.metrics.registry import plan
from services.evaluation.repository import ACTIVE, EvaluationRepository, Lease
from services.evaluation.scores import Score
from services.evaluation.settings import EvaluationSettings
from services.evaluation.spending import Spent
from shared.contracts.evaluation import (
    Calibration,
    EvaluationCost,
    EvaluationRequest,
    EvaluationRun,
    MetricSummary,
    Progress,
)
from shared.db.engine import transaction


def _request(row: dict[str, Any]) -> EvaluationRequest:
    return msgspec.convert(row["request"], EvaluationRequest)


def _judge(row: dict[str, Any]) -> Calibration | None:
    return msgspec.convert(row["judge"], Calibration) if row["judge"] else None


async def summarised(row: dict[str, Any], results: Sequence[tuple[str, Score]]) -> list[MetricSummary]:
    """The summaries of a run with their intervals."""
    request = _request(row)
    names = plan(request.metrics, judge=request.judge).names
    return await asyncio.to_thread(summaries.summarise, names, results, _judge(row), request.seed)


async def close(engine: AsyncEngine, lease: Lease, notes: list[str]) -> None:
    """The run is done.

    Raises:
        LeaseLostError: it is this worker's no more.
    """
    async with transaction(engine) as connection:
        repository = EvaluationRepository(connection)
        await repository.change(lease, stage="closing", notes=notes)
        row = await repository.get(lease.tenant, lease.run_id)
        results = await repository.outcomes(lease.tenant, lease.run_id)
    found = await summarised(row or {}, results)
    async with transaction(engine) as connection:
        repository = EvaluationRepository(connection)
        await repository.change(lease, state="done", lease=None, problem=None, finished_at=dt.datetime.now(dt.UTC))
        await repository.summarised(lease.tenant, lease.run_id, msgspec.to_builtins(found), len(results))


async def told(repository: EvaluationRepository, row: dict[str, Any], own: EvaluationSettings) -> EvaluationRun:
    """A run as it is told; the summaries of one that ended without them are made now, and kept."""
    request, judge = _request(row), _judge(row)
    names = plan(request.metrics, judge=request.judge).names
    if row["summaries"] is not None:
        found = msgspec.convert(row["summaries"], list[MetricSummary])
    elif row["state"] in ACTIVE:
        found = summaries.so_far(names, await repository.counts(row["tenant"], row["run_id"]), judge)
    else:
        results = await repository.outcomes(row["tenant"], row["run_id"])
        found = await summarised(row, results)
        await repository.summarised(row["tenant"], row["run_id"], msgspec.to_builtins(found), len(results))
    return EvaluationRun(
        run_id=row["run_id"], state=row["state"], request=request, progress=progress(row, dt.datetime.now(dt.UTC)),
        cost=_cost(row, own), summaries=found, figures=row["figures"], gates=summaries.gates(request.gates, found),
        judge=judge, notes=row["notes"], problem=row["problem"], created_at=row["created_at"],
        started_at=row["started_at"], finished_at=row["finished_at"],
    )  # fmt: skip


def progress(row: dict[str, Any], now: dt.datetime) -> Progress:
    """How far a run is; rate and time left are those of the stage, by the worker that is on it."""
    seconds = (now - row["stage_started_at"]).total_seconds() if row["stage_started_at"] else 0.0
    made = row["stage_done"] - row["stage_before"]
    rate = made / seconds if made and seconds > 0 and row["lease"] else None
    left = max(0, row["stage_total"] - row["stage_done"]) if row["stage_total"] is not None else None
    return Progress(
        stage=row["stage"], samples=row["samples"], done=row["done"], total=row["total"], stage_done=row["stage_done"],
        stage_total=row["stage_total"], rate=round(rate, 3) if rate else None,
        seconds_left=round(left / rate, 1) if rate and left is not None else None,
    )  # fmt: skip


def _cost(row: dict[str, Any], own: EvaluationSettings) -> EvaluationCost:
    spent = Spent(row["calls"], row["cached"], row["prompt_tokens"], row["completion_tokens"], row["judge_seconds"])
    price = spent.price(own)
    return EvaluationCost(
        calls=spent.calls, cached=spent.cached, prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens, seconds=round(spent.seconds, 3), price=price,
        currency=own.evaluation_price_currency if price is not None else None,
    )  # fmt: skip
