"""RAGAS tells nobody anything: nothing is sent, and no id of this machine is made up (it would write one into the home
folder although its telemetry is off). Importing this module is enough, at any time before RAGAS is used.
"""

import os
from typing import Any

from ragas.metrics import base

os.environ.setdefault("RAGAS_DO_NOT_TRACK", "true")


class _Untold:
    """Takes an event of RAGAS's telemetry, and that is all."""

    def __init__(self, **_: Any) -> None:
        pass

    @staticmethod
    def add_evaluation(event: object) -> None:
        """Forget it."""


for _name in ("EvaluationEvent", "_analytics_batcher"):  # it has no public switch for these
    setattr(base, _name, _Untold)
