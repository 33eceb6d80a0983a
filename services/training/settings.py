"""Settings of training."""

from typing import Annotated

import msgspec

from shared.settings import describe


class TrainingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where models are kept and how long a silent job counts as running."""

    registry_url: Annotated[
        str, describe("MLflow tracking and registry server; empty: MLflow's tables in our Postgres, schema mlflow")
    ] = ""
    training_stale_seconds: Annotated[
        float, describe("Seconds without a sign of life after which a training job counts as lost")
    ] = 300.0
    training_rollout_seconds: Annotated[
        float, describe("Seconds between two looks at roll-outs in motion; a broken guardrail is seen that late")
    ] = 10.0
    training_threads: Annotated[int, describe("Threads of one training job")] = 1
