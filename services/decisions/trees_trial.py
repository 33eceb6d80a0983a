"""A model of trees tried in a process of its own, which may die of it: `python -m services.decisions.trees_trial < MODEL`.

Loads it, asks it about rows of all sizes, and prints its inputs' names as JSON. It has a limit of memory and of time.
"""

import json
import resource
import sys

import numpy as np
import numpy.typing as npt

_BYTES, _SECONDS = 4 * 2**30, 20
_PROBES = 512


def probes(columns: int) -> npt.NDArray[np.float64]:
    """Rows that reach many leaves: values of every size, some missing."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(_PROBES, columns)) * 10.0 ** random.integers(-2, 4, size=(_PROBES, 1))
    rows[random.random(rows.shape) < 0.1] = np.nan  # noqa: PLR2004
    return rows


def main() -> None:
    """Status 0 and the names, or another status."""
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    import lightgbm

    booster = lightgbm.Booster(model_str=sys.stdin.read())
    columns = booster.feature_name()
    found = np.asarray(booster.predict(probes(len(columns)), num_threads=1), dtype=np.float64)
    if found.shape != (_PROBES,) or not ((found >= 0) & (found <= 1)).all():
        sys.exit("it does not give one probability for a row")
    sys.stdout.write(json.dumps(columns))


if __name__ == "__main__":
    main()
