"""What came out: a table of figures, and the picture of learning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.simulation.driver import Played

EXPLORING = ("squarecb", "thompson", "epsilon")
_COLOURS = {"squarecb": "#1b6ca8", "thompson": "#0f9d76", "epsilon": "#8e5fb0", "greedy": "#d1495b", "random": "#8a8a8a",
            "oracle": "#222222"}  # fmt: skip


def figures(played: Played) -> dict[str, Any]:
    """One policy's figures. Parity: the smaller group's click rate over the larger's."""
    shown = sum(played.group_shown)
    rates = [c / max(n, 1) for c, n in zip(played.group_clicks, played.group_shown, strict=True)]
    return {
        "policy": played.policy, "decisions": shown, "clicks": int(sum(played.reward)),
        "expected_rate": round(sum(played.expected) / max(shown, 1), 4), "regret": round(played.regret, 1),
        "share_of_oracle": round(sum(played.expected) / max(sum(played.oracle), 1e-9), 3),
        "cap_violations": played.cap_violations, "unanswered": played.unanswered, "sleeping_dogs_woken": played.dogs_woken,
        "parity": round(min(rates) / max(rates), 3) if max(rates) > 0 else 1.0,
    }  # fmt: skip


def wins(seeds: Sequence[Mapping[str, Played]], explorer: str, other: str) -> int:
    """In how many seeds the explorer's expected clicks were more."""
    return sum(sum(one[explorer].expected) > sum(one[other].expected) for one in seeds)


def draw(seeds: Sequence[Mapping[str, Played]], path: Path) -> None:
    """Daily expected clicks a person as a share of the oracle's, mean over the seeds; and regret piling up."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), dpi=120)
    names = list(seeds[0])
    days = np.arange(1, len(seeds[0][names[0]].expected) + 1)
    for name in names:
        share = np.array([np.array(s[name].expected) / np.array(s[name].oracle) for s in seeds])
        regret = np.array([np.cumsum(np.array(s[name].oracle) - np.array(s[name].expected)) for s in seeds])
        for axis, values in ((left, share), (right, regret)):
            axis.plot(days, values.mean(axis=0), color=_COLOURS[name], label=name, linewidth=2)
            if len(seeds) > 1:
                error = values.std(axis=0, ddof=1) / len(seeds) ** 0.5
                axis.fill_between(days, values.mean(axis=0) - error, values.mean(axis=0) + error,
                                  color=_COLOURS[name], alpha=0.15, linewidth=0)  # fmt: skip
    drift = (len(days) + 1) / 2
    for axis, title in (
        (left, "clicks, as a share of the oracle's"),
        (right, "regret: clicks that the oracle had more"),
    ):
        axis.axvline(drift, color="#bbbbbb", linestyle=":", linewidth=1.5)
        axis.set_title(title, fontsize=10.5, loc="left")
        axis.set_xlabel("day")
        axis.spines[["top", "right"]].set_visible(False)
    left.annotate("tastes change", (drift, left.get_ylim()[0]), xytext=(4, 4), textcoords="offset points", fontsize=8,
                  color="#777777")  # fmt: skip
    right.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
