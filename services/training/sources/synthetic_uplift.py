"""A randomised campaign with known effects: persuadable people, sure things, lost causes, and sleeping dogs. Pure and seeded."""

import numpy as np
import numpy.typing as npt

from services.training.frames import Frame

FloatArray = npt.NDArray[np.float64]
_INPUTS = ("age", "spend", "visits", "recency", "tenure", "emails_opened", "noise_1", "noise_2")


def effects(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(chance untreated, effect of the treatment) for inputs of shape (n, 8).

    Heavy buyers buy anyway and are annoyed by the offer (sleeping dogs: effect down to -0.12); recent openers of middling
    spend are persuadable (effect up to 0.15).
    """
    base = 1 / (1 + np.exp(1.6 - 1.1 * x[:, 1] - 0.5 * x[:, 2]))
    persuaded = 0.18 / (1 + np.exp(-3 * (x[:, 5] - 0.3))) * np.exp(-0.5 * (x[:, 1] + 0.3) ** 2)
    annoyed = 0.22 / (1 + np.exp(-4 * (x[:, 1] - 0.8))) + 0.08 / (1 + np.exp(-4 * (x[:, 3] - 1.2)))
    effect = np.clip(persuaded - annoyed, -base, 1 - base)
    return np.asarray(base), np.asarray(effect)


def make(seed: int, rows: int = 20_000, chance: float = 0.5) -> tuple[Frame, FloatArray]:
    """A frame of a campaign, treated with `chance`, and the true effect of every row."""
    draw = np.random.default_rng([seed, 11])
    x = draw.normal(size=(rows, len(_INPUTS)))
    base, effect = effects(x)
    treatment = (draw.random(rows) < chance).astype(np.float64)
    y = (draw.random(rows) < base + treatment * effect).astype(np.float64)
    frame = Frame(
        name=f"synthetic campaign, seed {seed}", columns=[f"profile.attributes.{name}" for name in _INPUTS], x=x, y=y,
        time=np.zeros(rows), entity=np.array([f"person {n}" for n in range(rows)]), test=draw.random(rows) < 0.4,  # noqa: PLR2004
        treatment=treatment, chance=np.full(rows, chance),
    )  # fmt: skip
    return frame, effect
