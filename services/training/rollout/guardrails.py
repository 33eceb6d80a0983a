"""What ends a canary: its figures beside those of the live version. Pure."""

from services.training.rollout import gates
from services.training.rollout.sequence import Interval, Sums, contrast
from shared.contracts.policies import ArmFigures, Arms
from shared.contracts.rollouts import Guardrails, Measured

_TESTS = 2  # reward and dismissals share the error
_LEAST_SAMPLED, _LEAST_PAIRS = 50, 200


def judge(rails: Guardrails, arms: Arms, steps: int) -> list[Measured]:
    """Every guardrail; one that is broken has `passed` False. The chance that a canary as good as the live version is ended
    by reward or dismissals stays below `alpha` over all looks of all `steps`.
    """
    alpha = rails.alpha / (_TESTS * max(steps, 1))
    canary, live = arms.canary, arms.live
    reward = contrast(_reward(canary), _reward(live), 1 - rails.reward_drop, alpha)
    dismissed = contrast(_dismissed(canary), _dismissed(live), 1.0, alpha)
    return [
        _measured("reward", reward, 0.0, broken=reward is not None and reward.high < 0,
                  note=f"canary's mean minus {1 - rails.reward_drop:g} of the live one's"),
        _measured("dismissed", dismissed, rails.dismiss_rise, broken=dismissed is not None and dismissed.low > rails.dismiss_rise,
                  note="canary's mean minus the live one's"),
        _degraded(rails, canary, live),
        gates.calibration(rails.calibration_error, canary.pairs, _LEAST_PAIRS),
    ]  # fmt: skip


def _reward(arm: ArmFigures) -> Sums:
    return Sums(arm.persons, arm.reward, arm.reward_squares)


def _dismissed(arm: ArmFigures) -> Sums:
    return Sums(arm.persons, arm.dismissed, arm.dismissed_squares)


def _measured(name: str, found: Interval | None, bound: float, *, broken: bool, note: str) -> Measured:
    if found is None:
        return Measured(name=name, value=None, bound=bound, note="too few persons")
    return Measured(
        name=name, value=found.value, low=found.low, high=found.high, bound=bound, passed=not broken, note=note
    )


def _degraded(rails: Guardrails, canary: ArmFigures, live: ArmFigures) -> Measured:
    """A store that is down degrades both alike, so only the difference is the version's."""
    if min(canary.sampled, live.sampled) < _LEAST_SAMPLED:
        return Measured(name="degraded", value=None, bound=rails.degraded_rise, note="too few decisions")
    rise = canary.degraded / canary.sampled - live.degraded / live.sampled
    return Measured(name="degraded", value=rise, bound=rails.degraded_rise, passed=rise <= rails.degraded_rise,
                    note=f"of the newest {canary.sampled} and {live.sampled} decisions")  # fmt: skip
