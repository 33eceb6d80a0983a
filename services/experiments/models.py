"""The tables of experiments."""

from sqlalchemy import Column, DateTime, Double, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("experiments")

# `first_bucket` and `end_bucket`: the part of its layer that a running experiment was given; it keeps it until it ends.
experiment = Table(
    "experiment",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("experiment_key", Text, primary_key=True),
    Column("layer", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("first_bucket", Integer),
    Column("end_bucket", Integer),
    Column("body", JSONB, nullable=False),
)

# `since`: when the percentage was last changed.
holdout = Table(
    "holdout",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
)

observation = Table(
    "observation",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("experiment_key", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("unit", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Index("ix_observation_unit", "tenant", "unit"),
)
