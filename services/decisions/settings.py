"""Settings of decisions."""

from typing import Annotated

import msgspec

from shared.settings import describe


class DecisionsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long the catalog may be remembered, and how long a leaf may take on the decision path."""

    decisions_catalog_seconds: Annotated[float, describe("Seconds for which active offers are kept in memory")] = 5.0
    decisions_experiments_seconds: Annotated[
        float, describe("Seconds for which what experiments run, and the holdout, is remembered")
    ] = 2.0
    decisions_learn_seconds: Annotated[float, describe("Seconds between two looks for new rewards to learn from")] = 1.0
    decisions_settle_seconds: Annotated[float, describe("Seconds between two rounds of default rewards")] = 60.0
    decisions_checkpoint_lessons: Annotated[int, describe("Rewards after which the learnt state is checkpointed")] = (
        1000
    )
    decisions_leaf_ms: Annotated[int, describe("Milliseconds a leaf service may take on the decision path")] = 1500
    decisions_max_offers: Annotated[int, describe("Most offers of one tenant that are considered in a decision")] = 500
