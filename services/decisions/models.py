"""The table of decisions."""

from sqlalchemy import Column, DateTime, Index, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("decisions")

decision = Table(
    "decision",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("profile_id", Text, nullable=False),
    Column("record", JSONB, nullable=False),
    Index("ix_decision_profile", "tenant", "profile_id", "time"),
)
