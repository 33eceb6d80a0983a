"""What every trainer hands back, and the order it was given. Pure."""

import hashlib
from typing import Any

import msgspec

from shared.contracts.policies import ScorerModel
from shared.contracts.training import DataStamp, Figure


class Order(msgspec.Struct, kw_only=True):
    """What to train: for whom, under which name, with how many trials, which seed, which fixed parameters."""

    tenant: str
    model_key: str
    seed: int = 0
    trials: int = 20
    threads: int = 1
    parameters: dict[str, Any] = {}


class Trained(msgspec.Struct, kw_only=True):
    """A model: `files` are what is kept of it; `scorer` (its id is filled in with the version) is what decisions loads.

    `people`: files that tell of persons, for who trains it (`--out`). The registry keeps none: no erasure reaches into it.
    """

    algorithm: str
    data: DataStamp
    files: dict[str, bytes]
    figures: list[Figure]
    beats_baseline: bool
    baseline: str
    parameters: dict[str, Any]
    inputs: list[str] = []
    importance: dict[str, float] = {}
    attribution_residual: float | None = None
    reliability: list[tuple[float, float, int]] = []
    notes: list[str] = []
    limits: list[str] = []
    scorer: ScorerModel | None = None
    people: dict[str, bytes] = {}

    @property
    def hash(self) -> str:
        """SHA-256 over names and contents of the files."""
        digest = hashlib.sha256()
        for name in sorted(self.files):
            digest.update(name.encode() + b"\0" + hashlib.sha256(self.files[name]).digest())
        return digest.hexdigest()
