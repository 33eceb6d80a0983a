"""Runs, versions and files of models in MLflow: its tables in the schema `mlflow` of the suite's Postgres, or a server.

Files lie in ATELIER_DATA/models/registry and are staged on the disk before anything is recorded, so that a full disk or a
registry that is down leaves no half version. Names carry the tenant: `TENANT.MODEL`.
"""

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from services.training.cards import markdown
from services.training.errors import DamagedModelError, NeedsExtraError, RegistryDownError
from services.training.trained import Trained
from shared.contracts.training import ModelCard

_CARD, _CARD_TEXT, _SUMS = "card.json", "card.md", "sha256.json"
_PARAMETER_LENGTH = 500
_CONNECT_SECONDS = 3


class Recorded(msgspec.Struct, frozen=True):
    """Where the registry put a version."""

    run_id: str
    model_name: str
    version: int


def tracking_url(database_url: str) -> str:
    """The URL under which MLflow uses the schema `mlflow` of a Postgres."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    return f"{url}{'&' if '?' in url else '?'}options={quote('-csearch_path=mlflow')}"


class Registry:
    """Records models. Methods block: call them from a thread."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self.folder = folder
        self._client: Any = None

    def _connected(self) -> Any:
        if self._client is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            os.environ.setdefault("DO_NOT_TRACK", "true")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            try:
                from mlflow import MlflowClient
            except ImportError as error:
                raise NeedsExtraError("The registry needs the extra 'train' (mlflow-skinny)") from error
            self._client = MlflowClient(tracking_uri=self._url, registry_uri=self._url)
        return self._client

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """MLflow's and the disk's failures as one named error."""
        try:
            yield
        except (RegistryDownError, NeedsExtraError):
            raise
        except OSError as error:
            message = f"The model cannot be written to {self.folder}: {error.strerror or error}. What is live stays."
            raise RegistryDownError(message) from error
        except Exception as error:
            if not (
                isinstance(error, SQLAlchemyError)
                or type(error).__module__.startswith(("mlflow", "requests", "urllib3"))
            ):
                raise
            self._client = None
            said = str(error).splitlines()[0][:200]
            message = f"The model registry does not answer ({type(error).__name__}: {said}). What is live stays."
            raise RegistryDownError(message, retry_after=30) from error

    def ping(self) -> None:
        """Does it answer?

        Raises:
            RegistryDownError: no.
        """
        with self._explained():
            self._reachable()
            self._connected().search_registered_models(max_results=1)

    def _reachable(self) -> None:
        """MLflow tries a database that is down for minutes; this says so at once."""
        if self._url.startswith("postgresql"):
            engine = create_engine(self._url, connect_args={"connect_timeout": _CONNECT_SECONDS}, poolclass=NullPool)
            with engine.connect():
                pass

    def record(self, tenant: str, card: ModelCard, trained: Trained) -> Recorded:
        """A run with everything that made the model, and the next version of the model; all of it or nothing.

        Raises:
            RegistryDownError: the registry or the disk does not take it.
        """
        with self._explained():
            self._reachable()
            self.folder.mkdir(parents=True, exist_ok=True)
            staged = Path(tempfile.mkdtemp(prefix=".staged-", dir=self.folder))
            try:
                self._stage(staged, trained)
                return self._record(tenant, card, trained, staged)
            finally:
                shutil.rmtree(staged, ignore_errors=True)

    @staticmethod
    def _stage(staged: Path, trained: Trained) -> None:
        for name, data in trained.files.items():
            path = staged / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(trained.files.items())}
        (staged / _SUMS).write_bytes(msgspec.json.encode(sums))

    def _record(self, tenant: str, card: ModelCard, trained: Trained, staged: Path) -> Recorded:
        from mlflow.exceptions import MlflowException

        client = self._connected()
        name = f"{tenant}.{card.model_key}"
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name)
        tags = {"tenant": tenant, "model_key": card.model_key, "objective": card.objective, "data": card.data.name,
                "data_hash": card.data.hash, "code_version": card.code_version, "model_hash": trained.hash}  # fmt: skip
        run_id: str = client.create_run(experiment, tags=tags).info.run_id
        for key, value in {"seed": card.seed, **card.parameters}.items():
            client.log_param(run_id, key, str(value)[:_PARAMETER_LENGTH])
        for figure in card.figures:
            client.log_metric(run_id, figure.name, figure.value)
        try:
            client.create_registered_model(name, tags={"tenant": tenant})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        place = self.place(tenant, card.model_key, run_id)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(staged, place)
        made = None
        try:
            made = client.create_model_version(name, source=place.absolute().as_uri(), run_id=run_id, tags=tags)
            version = int(made.version)
            line = msgspec.structs.replace(card.lineage, run_id=run_id, model_name=name, version=version)
            final = msgspec.structs.replace(card, version=version, lineage=line)
            (place / _CARD).write_bytes(msgspec.json.format(msgspec.json.encode(final), indent=1))
            (place / _CARD_TEXT).write_text(markdown(final))
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            if made is not None:
                client.delete_model_version(name, made.version)
            raise
        client.set_terminated(run_id)
        return Recorded(run_id, name, version)

    def withdraw(self, tenant: str, model_key: str, made: Recorded) -> None:
        """Take a version back that did not become one."""
        with self._explained():
            self._connected().delete_model_version(made.model_name, str(made.version))
            shutil.rmtree(self.place(tenant, model_key, made.run_id), ignore_errors=True)

    def place(self, tenant: str, model_key: str, run_id: str) -> Path:
        """The folder of a version's files."""
        return self.folder / tenant / model_key / uuid.UUID(run_id).hex

    def files(self, tenant: str, model_key: str, run_id: str) -> dict[str, bytes]:
        """The files of a version, checked against the sums they were stored with.

        Raises:
            DamagedModelError: a file is missing, or is not what was stored.
        """
        place = self.place(tenant, model_key, run_id)
        try:
            sums = msgspec.json.decode((place / _SUMS).read_bytes(), type=dict[str, str])
            found = {name: (place / name).read_bytes() for name in sums}
        except (OSError, msgspec.DecodeError) as error:
            raise DamagedModelError(
                f"{model_key}: its files cannot be read ({type(error).__name__}). What is live stays."
            ) from error
        wrong = [name for name, data in found.items() if hashlib.sha256(data).hexdigest() != sums[name]]
        if wrong:
            raise DamagedModelError(f"{model_key}: {', '.join(wrong)} is not what was stored. What is live stays.")
        return found
