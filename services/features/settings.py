"""Settings of features."""

from typing import Annotated, Literal

import msgspec

from shared.settings import describe


class FeaturesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine computes over the past, and how the stream is read."""

    features_backend: Annotated[
        Literal["duckdb", "pyspark", "trino", "bigquery"],
        describe("Engine of training frames: duckdb here, or pyspark, trino, bigquery over FEATURES_EVENTS_TABLE"),
    ] = "duckdb"
    features_backend_url: Annotated[
        str, describe("Where that engine is, as Ibis writes it, e.g. trino://user@host:8080/catalog/schema")
    ] = ""
    features_events_table: Annotated[str, describe("The event table there; its columns are in docs/features.md")] = (
        "events"
    )
    features_memory: Annotated[str, describe("Memory that DuckDB may use in one computation")] = "2GB"
    features_stream_messages: Annotated[int, describe("Messages that the stream's consumer takes at once")] = 32
    features_consume: Annotated[bool, describe("Whether this process counts the stream of accepted events")] = True
