"""The tables of profiles."""

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("profiles")

profile = Table(
    "profile",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("profile_id", Text, primary_key=True),
    Column("attributes", JSONB, nullable=False),
    Column("consents", JSONB, nullable=False),
    Column("locale", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

identity = Table(
    "identity",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("profile_id", Text, nullable=False),
    Column("authenticated_state", Text, nullable=False),
    Column("is_primary", Boolean, nullable=False),
    Index("ix_identity_profile", "tenant", "profile_id"),
)

# All facts of a person are read and written together, so they are one row.
fact = Table(
    "fact",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("profile_id", Text, primary_key=True),
    Column("facts", JSONB, nullable=False),
    Column("exclude_tags", JSONB, nullable=False),
    Column("summary", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("computed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

erasure = Table(
    "erasure",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("profile_hash", Text, primary_key=True),
    Column("time", DateTime(timezone=True), primary_key=True),
    Column("rows", JSONB, nullable=False),
    Column("vectors", Text, nullable=False),
    Column("count", Integer, nullable=False),
)
