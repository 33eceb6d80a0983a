"""Settings of experiments."""

from typing import Annotated

import msgspec

from shared.settings import describe


class ExperimentsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How fresh assignments are, and how often guardrails are looked at."""

    experiments_cache_seconds: Annotated[float, describe("Seconds for which running experiments are remembered")] = 2.0
    experiments_check_seconds: Annotated[float, describe("Seconds between two looks at the guardrails")] = 60.0
