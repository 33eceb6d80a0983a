"""What a judge's calls cost. Pure."""

import msgspec

from services.evaluation.settings import EvaluationSettings

_MILLION = 1_000_000


class Spent(msgspec.Struct):
    """What a judge's calls cost."""

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def add(self, other: "Spent") -> None:
        """Sum up."""
        self.calls += other.calls
        self.cached += other.cached
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.seconds += other.seconds

    def price(self, own: EvaluationSettings) -> float | None:
        """By the settings' prices; None where there are none."""
        if not (own.evaluation_price_input or own.evaluation_price_output):
            return None
        paid = self.prompt_tokens * own.evaluation_price_input + self.completion_tokens * own.evaluation_price_output
        return round(paid / _MILLION, 6)
