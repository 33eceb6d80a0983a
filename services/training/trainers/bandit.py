"""A bandit policy, learnt off-policy from the decision log and compared with the live one by off-policy evaluation.

A reward model is trained on the earlier part of the log; candidate policies rank by it and explore more or less. Each is valued
on the later part, which the model never saw, by the estimators of `evaluation`. A candidate wins only if the lower end of its
interval is above what was really earned there, corrected for looking at several (Bonferroni).
"""

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from scipy.stats import norm

from services.training import plans
from services.training.errors import BadDataError
from services.training.progress import Told
from services.training.sources import decision_log
from services.training.trained import Order, Trained
from services.training.trainers import propensity
from shared.clients.bundle import Clients
from shared.contracts.evaluation import OffPolicyAnswer, OffPolicyRequest, ValueEstimate
from shared.contracts.training import Dataset, Figure

SPLIT = 0.5
_LIVE = {"kind": "the live policy"}
EXPLORATIONS: tuple[dict[str, Any], ...] = (
    {"kind": "none"}, {"kind": "epsilon", "epsilon": 0.05}, {"kind": "epsilon", "epsilon": 0.2}, {"kind": "squarecb", "gamma": 50.0},
)  # fmt: skip


async def plan(dataset: Dataset, order: Order, clients: Clients) -> Callable[[Told], Trained]:
    """Train the reward model, put it beside the live scorers as a candidate, value every policy; then say which won.

    The candidate's scorer is named by its content, so that what was worked out for another candidate is never taken for it,
    and is gone afterwards: a version has a scorer of its own.
    """
    frame, offers = await decision_log.frame(clients, dataset)
    cut = float(np.quantile(frame.time, SPLIT))
    frame = plans.examined(msgspec.structs.replace(frame, test=frame.time > cut), dataset)
    # Beside the loop, which tells that the job is alive.
    reward = await asyncio.to_thread(propensity.train, frame, order, lambda *_: None, offers=offers)
    if reward.scorer is None:
        raise BadDataError("dataset: no reward model came out of this log")
    name = f"{order.model_key}.candidate-{reward.hash[:12]}"
    cut_at, end = (dt.datetime.fromtimestamp(at, dt.UTC) for at in (cut, float(frame.time.max()) + 1))
    cut_at += dt.timedelta(microseconds=1)  # what lies on the cut was learnt from
    await clients.decisions.put_scorer(msgspec.structs.replace(reward.scorer, model_id=name))
    try:
        valued = [await _valued(clients, name, exploration, cut_at, end, order.seed) for exploration in EXPLORATIONS]
    finally:
        await clients.decisions.delete_scorer(name)
    return lambda told: _won(reward, valued, told)


async def _valued(
    clients: Clients, scorer: str, exploration: dict[str, Any], start: dt.datetime, end: dt.datetime, seed: int
) -> tuple[dict[str, Any], OffPolicyAnswer]:
    patch = {"scorer": scorer, "learn": False, "exploration": exploration}
    return patch, await clients.evaluation.off_policy(OffPolicyRequest(start=start, end=end, policy=patch, seed=seed))


def _won(reward: Trained, valued: list[tuple[dict[str, Any], OffPolicyAnswer]], told: Told) -> Trained:
    """The best candidate by its lower bound."""
    told("compare", len(valued), len(valued))
    earned = valued[0][1].baseline_first_slot or 0.0
    z = float(norm.ppf(1 - 0.025 / len(valued)))
    figures, notes = [], list(reward.notes)
    best: tuple[float, dict[str, Any]] | None = None
    for patch, answer in valued:
        name = "_".join(str(v) for v in patch["exploration"].values())
        one = chosen(answer)
        if one is None or one.value is None or one.standard_error is None:
            notes.append(f"{name}: not valued ({one.refused if one else 'no decision can be used'})")
            continue
        low, high = one.value - z * one.standard_error, one.value + z * one.standard_error
        figures.append(Figure(name=f"value_{name}", value=one.value, low=low, high=high, baseline=earned,
                              note=f"{one.name}, effective n {one.effective_sample_size:.0f}; baseline: what was earned"))  # fmt: skip
        if best is None or low > best[0]:
            best = (low, patch)
    wins = best is not None and best[0] > earned
    policy = best[1] if best is not None and wins else {}
    notes.append(
        f"wins: {policy['exploration']}" if wins else "no candidate is surely better than the live policy: it stays"
    )
    return msgspec.structs.replace(
        reward, algorithm=f"policy over {reward.algorithm}", figures=[*figures, *reward.figures], beats_baseline=wins,
        baseline="what the live policy earned in the same time", notes=notes,
        files={**reward.files, "policy.json": msgspec.json.encode({**policy, "scorer": "the version's own"} if wins else {})},
        parameters={**reward.parameters, "exploration": policy.get("exploration", _LIVE)},
    )  # fmt: skip


def chosen(answer: OffPolicyAnswer) -> ValueEstimate | None:
    """The estimator to read: the first one that was not refused."""
    return next(
        (one for one in answer.first_slot if one.value is not None), answer.first_slot[0] if answer.first_slot else None
    )
