"""From a request to a function that trains: which source feeds which objective. Heavy libraries load when a plan is made."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from services.training import bounds, checks
from services.training.errors import BadDataError, OtherDataError
from services.training.frames import Frame
from services.training.progress import Told
from services.training.trained import Order, Trained
from shared.clients.bundle import Clients
from shared.contracts.base import FieldError
from shared.contracts.training import Dataset, Objective, Source, TrainingRequest
from shared.errors import InvalidInputError

Train = Callable[[Told], Trained]
SOURCES: dict[Objective, tuple[Source, ...]] = {
    "propensity": ("decisions", "complete-journey", "table"),
    "recommendation": ("complete-journey", "movielens-100k", "table"),
    "uplift": ("table", "synthetic-uplift"),
    "value": ("cdnow", "table"),
    "bandit": ("decisions",),
    "adapter": ("table",),
    "copy": ("approved-copy", "table"),
}
REMOTE: tuple[Source, ...] = ("decisions", "approved-copy")


def asks_suite(request: TrainingRequest) -> bool:
    """Do its data, or the vectors of the pictures that they name, come from the running suite?"""
    return request.dataset.source in REMOTE or request.parameters.get("space") == "image"


def check(request: TrainingRequest) -> None:
    """Can this objective learn from this source, with these parameters?

    Raises:
        InvalidInputError: no.
    """
    allowed = SOURCES[request.objective]
    given = request.dataset.source
    if given not in allowed:
        message = (
            f"dataset.source: {request.objective} does not learn from {given!r}; it learns from {', '.join(allowed)}"
        )
        fault = FieldError(
            field="dataset.source", message="does not fit the objective", given=given, allowed=", ".join(allowed)
        )
        raise InvalidInputError(message, errors=[fault])
    bounds.check(request)


async def plan(request: TrainingRequest, order: Order, clients: Clients | None) -> Train:
    """What trains this request's model.

    Args:
        request: what is wanted.
        order: for whom, with which seed and parameters.
        clients: of the running suite; sources of the tenant's own data need them.

    Raises:
        BadDataError: there are no data, or they are not the pinned ones.
        InvalidInputError: the source does not fit, or needs a running suite.
    """
    check(request)
    if asks_suite(request) and clients is None:
        message = "dataset: it needs the tenant's own data: start the suite (`atelier up`)"
        raise InvalidInputError(message)
    makers: dict[Objective, Callable[..., Awaitable[Train]]] = {
        "propensity": _propensity, "recommendation": _recommendation, "uplift": _uplift, "value": _value, "bandit": _bandit,
        "adapter": _adapter, "copy": _copy,
    }  # fmt: skip
    return await makers[request.objective](request, order, clients)


def pinned(frame_hash: str, dataset: Dataset) -> None:
    """Are these the data that the request pins?

    Raises:
        OtherDataError: no.
    """
    if dataset.hash and not frame_hash.startswith(dataset.hash):
        message = f"dataset.hash: the data are {frame_hash[:16]}, pinned is {dataset.hash[:16]}"
        raise OtherDataError(message, errors=[FieldError(field="dataset.hash", message="is not of these data", given=dataset.hash,
                                                         allowed=frame_hash)])  # fmt: skip


def examined(frame: Frame, dataset: Dataset, *, binary: bool = True) -> Frame:
    """The frame after its checks, pinned."""
    frame.origin = frame.hash
    pinned(frame.origin, dataset)
    allow = dataset.options.get("allow", [])
    if not (isinstance(allow, list) and all(isinstance(name, str) for name in allow)):
        raise BadDataError("dataset.options.allow: give a list of column names")
    return checks.examine(frame, now=time.time(), binary=binary, allow=allow)


async def _propensity(request: TrainingRequest, order: Order, clients: Any) -> Train:
    from services.training.trainers import propensity

    dataset = request.dataset
    offers: dict[str, dict[str, float]] = {}
    if dataset.source == "decisions":
        from services.training.sources import decision_log

        frame, offers = await decision_log.frame(clients, dataset)
    elif dataset.source == "table":
        from services.training.sources import table

        frame = await asyncio.to_thread(table.frame, dataset, order.seed)
    else:
        from services.training.sources import complete_journey

        frame = await asyncio.to_thread(complete_journey.frame, order.threads)
    return lambda told: propensity.train(examined(frame, dataset), order, told, offers=offers)


async def _uplift(request: TrainingRequest, order: Order, clients: Any) -> Train:
    del clients
    from services.training.trainers import uplift

    dataset = request.dataset
    if dataset.source == "table":
        from services.training.sources import table

        frame = await asyncio.to_thread(table.frame, dataset, order.seed)
        truth = None
    else:
        from services.training.sources import synthetic_uplift

        frame, truth = synthetic_uplift.make(order.seed, **dataset.options)
    return lambda told: uplift.train(examined(frame, dataset, binary=uplift.is_binary(frame)), order, told, truth=truth)


async def _recommendation(request: TrainingRequest, order: Order, clients: Any) -> Train:
    del clients
    from services.training.trainers import recommendation

    return recommendation.plan(request.dataset, order)


async def _value(request: TrainingRequest, order: Order, clients: Any) -> Train:
    del clients
    from services.training.trainers import value

    return value.plan(request.dataset, order)


async def _bandit(request: TrainingRequest, order: Order, clients: Any) -> Train:
    from services.training.trainers import bandit

    return await bandit.plan(request.dataset, order, clients)


async def _adapter(request: TrainingRequest, order: Order, clients: Any) -> Train:
    from services.training.trainers import adapter

    return await adapter.plan(request.dataset, order, clients)


async def _copy(request: TrainingRequest, order: Order, clients: Any) -> Train:
    from services.training.trainers import copy

    return await copy.plan(request.dataset, order, clients)
