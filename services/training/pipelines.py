"""A pipeline file: data by name and pinned hash, trainer, parameters, seed, gates. The same file makes the same model twice."""

from pathlib import Path

import msgspec

from services.training.errors import BadPipelineError
from services.training.gates import Gate
from shared.contracts.policies import ModelKey
from shared.contracts.training import Dataset, Objective, TrainingRequest

FOLDER = Path(__file__).with_name("definitions")


class Pipeline(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What `atelier train --pipeline FILE` does. `model_hash`: the model that must come out, where it is pinned too."""

    model_key: ModelKey
    objective: Objective
    dataset: Dataset
    trials: int = 0
    seed: int = 0
    parameters: dict[str, str | int | float | bool] = {}
    gates: list[Gate] = []
    model_hash: str | None = None

    def request(self, actor: str) -> TrainingRequest:
        """The training request that the file stands for."""
        return TrainingRequest(model_key=self.model_key, objective=self.objective, dataset=self.dataset, trials=self.trials, seed=self.seed,
                               parameters=dict(self.parameters), requested_by=actor)  # fmt: skip


def read(path: Path) -> Pipeline:
    """A pipeline file, or one of the repository's by name.

    Raises:
        BadPipelineError: there is none, or it is not a pipeline; the message names the field.
    """
    known = path if path.exists() else FOLDER / f"{path.name.removesuffix('.yaml')}.yaml"
    try:
        return msgspec.yaml.decode(known.read_bytes(), type=Pipeline)
    except OSError as error:
        there = ", ".join(sorted(one.stem for one in FOLDER.glob("*.yaml")))
        raise BadPipelineError(f"no pipeline {str(path)!r}; the repository has {there}") from error
    except msgspec.DecodeError as error:
        raise BadPipelineError(f"{known}: {error}") from error
