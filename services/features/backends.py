"""The engines that Ibis speaks to. Imported where they are used: each is a large library."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.features.errors import BackendError
from services.features.settings import FeaturesSettings


@contextmanager
def duckdb(settings: FeaturesSettings, folder: Path) -> Iterator[Any]:
    """DuckDB in this process, with a bound on its memory; what does not fit goes to `folder`."""
    import ibis

    folder.mkdir(parents=True, exist_ok=True)
    connection = ibis.duckdb.connect(memory_limit=settings.features_memory, temp_directory=str(folder / "duckdb"))
    try:
        yield connection
    finally:
        connection.disconnect()


@contextmanager
def elsewhere(settings: FeaturesSettings) -> Iterator[Any]:
    """The engine that the settings name.

    Raises:
        BackendError: its library is not installed, or it does not answer.
    """
    import ibis

    name = settings.features_backend
    try:
        if name == "pyspark":
            from pyspark.sql import SparkSession

            builder: Any = SparkSession.builder
            if settings.features_backend_url:
                builder = builder.remote(settings.features_backend_url)
            connection = ibis.pyspark.connect(builder.getOrCreate())
        else:
            connection = ibis.connect(settings.features_backend_url or f"{name}://")
    except Exception as error:
        message = f"FEATURES_BACKEND={name}: {type(error).__name__}: {str(error)[:300]}"
        raise BackendError(message) from error
    try:
        yield connection
    finally:
        connection.disconnect()
