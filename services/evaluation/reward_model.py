"""A cross-fitted reward model for doubly robust estimation: fitted on the other folds, asked on this one. Pure.

Two layers: one model of the reward on the context for all actions, and for each action a model of what that leaves over,
shrunk to zero: an action that was hardly ever shown has the common model's estimate. Rewards of only 0 and 1 are
modelled by logistic regression (Newton's method), others by least squares; both with a ridge.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_SHARED_RIDGE, _OWN_RIDGE = 1.0, 2.0
_NEWTON_STEPS, _CONVERGED = 12, 1e-8
FOLDS = 3


def _ridge(x: FloatArray, y: FloatArray, strength: float, offset: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ (y - offset)), dtype=np.float64)


def _logistic(x: FloatArray, y: FloatArray, strength: float, offset: FloatArray) -> FloatArray:
    """Newton steps on the penalised likelihood; the penalty keeps separable data finite."""
    found: FloatArray = np.zeros(x.shape[1])
    for _ in range(_NEWTON_STEPS):
        chance = expit(x @ found + offset)
        curvature = chance * (1 - chance) + 1e-6
        gradient = x.T @ (y - chance) - strength * found
        step = np.linalg.solve((x.T * curvature) @ x + strength * np.eye(x.shape[1]), gradient)
        found += step
        if np.abs(step).max() < _CONVERGED:
            break
    return found


def is_binary(reward: FloatArray) -> bool:
    """Only 0 and 1, and both of them?"""
    return set(np.unique(reward).tolist()) == {0.0, 1.0}


def fit(context: FloatArray, action: IntArray, reward: FloatArray, actions: int) -> FloatArray:
    """Coefficients of shape (actions, d + 1), the intercept first."""
    solve = _logistic if is_binary(reward) else _ridge
    x = np.column_stack([np.ones(len(context)), context])
    shared = solve(x, reward, _SHARED_RIDGE, np.zeros(len(x)))
    common = x @ shared
    found = np.tile(shared, (actions, 1))
    for a in np.unique(action):
        mine = action == a
        found[a] += solve(x[mine], reward[mine], _OWN_RIDGE, common[mine])
    return found


def cross_fit(
    context: FloatArray, action: IntArray, reward: FloatArray, actions: int, *, folds: int = FOLDS, seed: int = 0
) -> FloatArray:
    """Expected rewards of shape (n, actions), each row by models that never saw it (Chernozhukov et al. 2018).

    Estimates are kept inside the range of the rewards seen.
    """
    n = len(context)
    fold = np.random.default_rng(seed).permutation(n) % max(1, min(folds, n))
    found = np.zeros((n, actions))
    x = np.column_stack([np.ones(n), context])
    for k in range(int(fold.max()) + 1):
        held = fold == k
        rest = ~held if (~held).any() else held
        linear = x[held] @ fit(context[rest], action[rest], reward[rest], actions).T
        found[held] = expit(linear) if is_binary(reward[rest]) else linear
    clipped: FloatArray = np.clip(found, reward.min(), reward.max())
    return clipped
