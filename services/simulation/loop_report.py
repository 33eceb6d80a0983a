"""The picture of a run of the learning loop: what people were shown was worth, version by version, and when what happened."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.simulation.story import Step
from services.simulation.traffic import Seen

_BINS, _LEAST = 70, 8
_COLOURS = ("#8a8a8a", "#d1495b", "#1b6ca8", "#8e5fb0", "#0f9d76")
_CLOSE = 0.022  # of the width: steps nearer than this share a label
_SHORT = {"drift": "drift", "alarm": "alarm", "job": "retraining", "accepted": "accepted", "shadow passed": "shadow passed",
          "went live": "live", "version 1 live": "version 1 live", "rejected": "lies rejected",
          "rolled back": "lies rolled back"}  # fmt: skip


def draw(steps: Sequence[Step], seen: Sequence[Seen], path: Path) -> None:
    """Mean true chance of a click over time, a line a version, the oracle above; steps as vertical lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    zero = next((step.at for step in steps if step.name == "drift"), 0.0)
    figure, axis = plt.subplots(figsize=(12, 5.4), dpi=120)
    edges = np.linspace(0, max(one.at for one in seen), _BINS + 1)
    axis.plot(*_line(list(seen), edges, zero, "best"), color="#222222", linestyle="--", linewidth=1.3, label="oracle")
    models = list(dict.fromkeys(one.model for one in seen))
    for n, model in enumerate(models):
        some = [one for one in seen if one.model == model]
        label = "all offers alike" if n == 0 else f"version {model.rpartition('.v')[2]}"
        axis.plot(*_line(some, edges, zero, "expected"), color=_COLOURS[n % len(_COLOURS)], linewidth=2.2, label=label)
    axis.set_ylim(0, axis.get_ylim()[1])
    axis.set_xlim(edges[0] - zero, edges[-1] - zero)
    _marks(axis, steps, zero, float(edges[-1]))
    _lies(axis, seen, zero)
    axis.set_xlabel("seconds since the drift")
    axis.set_ylabel("chance of a click on what was shown")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def _line(seen: Sequence[Seen], edges: npt.NDArray[np.float64], zero: float, what: str) -> tuple[Any, Any]:
    """Middles of bins and means in them; a gap where too few visits are."""
    place = np.digitize([one.at for one in seen], edges[1:-1])
    sums = np.bincount(place, weights=[getattr(one, what) for one in seen], minlength=len(edges) - 1)
    count = np.bincount(place, minlength=len(edges) - 1)
    return (edges[:-1] + edges[1:]) / 2 - zero, np.where(count >= _LEAST, sums / np.maximum(count, 1), np.nan)


def _marks(axis: Any, steps: Sequence[Step], zero: float, width: float) -> None:
    groups: list[tuple[float, list[str]]] = []
    for step in steps:
        name = (
            f"canary {step.name.rpartition(' ')[2]}" if step.name.startswith("share raised") else _SHORT.get(step.name)
        )
        if name is None or any(name in names for _, names in groups):
            continue
        axis.axvline(step.at - zero, color="#bbbbbb", linestyle=":", linewidth=1.2, zorder=0)
        if groups and step.at - groups[-1][0] < _CLOSE * width:
            groups[-1][1].append(name)
        else:
            groups.append((step.at, [name]))
    for at, names in groups:
        axis.annotate(", ".join(names), (at - zero, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 4),
                      textcoords="offset points", rotation=40, fontsize=8, color="#555555")  # fmt: skip


def _lies(axis: Any, seen: Sequence[Seen], zero: float) -> None:
    times = [one.at - zero for one in seen if one.stretch == "lies recorded"]
    if times:
        axis.axvspan(times[0], times[-1], color="#d1495b", alpha=0.08, linewidth=0)
        axis.annotate("lies recorded", ((times[0] + times[-1]) / 2, 0.02), xycoords=("data", "axes fraction"), ha="center",
                      fontsize=8, color="#a33a48")  # fmt: skip
