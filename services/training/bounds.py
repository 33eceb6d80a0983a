"""What a request may set of a trainer and of a source, and how far. Pure.

Trainers hand parameters to libraries, which know settings that read files or never end: only what is listed here goes through.
"""

from collections.abc import Mapping
from typing import Any

from shared.contracts.base import FieldError
from shared.contracts.training import Objective, Source, TrainingRequest
from shared.errors import InvalidInputError

Bound = tuple[float, float] | tuple[str, ...]
_TREES: dict[str, Bound] = {
    "learning_rate": (1e-4, 1.0), "num_leaves": (2, 1024), "min_data_in_leaf": (1, 1_000_000), "feature_fraction": (0.01, 1.0),
    "bagging_fraction": (0.01, 1.0), "lambda_l2": (0.0, 1e6), "rounds": (1, 5000),
}  # fmt: skip
_PROBABILITY: dict[str, Bound] = {"learner": ("linear", "trees"), "C": (1e-6, 1e6), **_TREES}
PARAMETERS: dict[Objective, dict[str, Bound]] = {
    "propensity": _PROBABILITY,
    "bandit": _PROBABILITY,
    "uplift": {"learner": ("t", "x", "dr"), **{k: _TREES[k] for k in ("learning_rate", "num_leaves", "min_data_in_leaf", "rounds")}},
    "recommendation": {**_TREES, "penalty": (1e-3, 1e6), "shrinkage": (0.0, 1e6), "popularity": (0.0, 10.0), "damping": (0.0, 1e6),
                       "share": (0.0, 1.0)},
    "value": {"split": (0.1, 0.9), "cut_day": (1, 3_000_000)},
    "adapter": {"space": ("text", "image"), "rank": (1, 256), "steps": (0, 20_000), "rate": (1e-6, 1.0), "temperature": (1e-3, 10.0), "decay": (0.0, 1.0)},
    "copy": {"rank": (1, 16), "epochs": (0, 20), "rate": (1e-6, 1e-2), "preference_epochs": (0, 20), "preference_rate": (1e-7, 1e-2),
             "beta": (1e-3, 10.0), "batch": (1, 64)},
}  # fmt: skip
OPTIONS: dict[Source, dict[str, Bound]] = {
    "decisions": {"unripe": (0, 1)},
    "complete-journey": {},
    "table": {},
    "approved-copy": {},
    "movielens-100k": {},
    "cdnow": {},
    "synthetic-uplift": {"rows": (200, 1_000_000), "chance": (0.01, 0.99)},
}
_WHOLE = {
    "num_leaves",
    "min_data_in_leaf",
    "rounds",
    "rank",
    "steps",
    "rows",
    "cut_day",
    "epochs",
    "preference_epochs",
    "batch",
}
_LISTS = "allow"  # of columns, which `plans.examined` looks at


def check(request: TrainingRequest) -> None:
    """Are its parameters and its data set's options known, and within bounds?

    Raises:
        InvalidInputError: no; it names the field and what is allowed.
    """
    _within("parameters", request.parameters, PARAMETERS[request.objective])
    options = {name: value for name, value in request.dataset.options.items() if name != _LISTS}
    _within("dataset.options", options, OPTIONS[request.dataset.source])


def _within(field: str, given: Mapping[str, Any], known: Mapping[str, Bound]) -> None:
    for name, value in given.items():
        allowed = _objection(name, value, known)
        if allowed:
            fault = FieldError(
                field=f"{field}.{name}", message="is not allowed", given=str(value)[:80], allowed=allowed
            )
            raise InvalidInputError(f"{field}.{name}: {str(value)[:80]!r} is not allowed; {allowed}", errors=[fault])


def _objection(name: str, value: Any, known: Mapping[str, Bound]) -> str:
    """What would be allowed; empty for what is."""
    if name not in known:
        return f"there are {', '.join(known)}" if known else "there is nothing to set"
    bound = known[name]
    if isinstance(bound[0], str):
        return "" if value in bound else f"one of {', '.join(map(str, bound))}"
    low, high = bound
    if isinstance(value, int | float) and low <= value <= high and (name not in _WHOLE or float(value).is_integer()):
        return ""
    return f"a {'whole ' if name in _WHOLE else ''}number from {low:g} to {high:g}"
