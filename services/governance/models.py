"""The tables of governance."""

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("governance")

# One row a piece of copy, as it stands. `profile_id`: of whom it was written for alone, else null. `body`: sections,
# provenance, report, facts, usage; `material`: what the writer was given.
copy = Table(
    "copy",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("copy_id", Text, primary_key=True),
    Column("offer_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("locale", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("authors", ARRAY(Text), nullable=False),
    Column("prompt_version", Text, nullable=False),
    Column("profile_id", Text),
    Column("statement", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("body", JSONB, nullable=False),
    Column("material", JSONB),
    Index("ix_copy_state", "tenant", "state"),
    Index("ix_copy_offer", "tenant", "offer_id"),
    Index("ix_copy_profile", "tenant", "profile_id", postgresql_where=text("profile_id IS NOT NULL")),
)

# The audit trail: rows are only ever added, but for those of a person who is erased.
step = Table(
    "step",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("copy_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("before", Text),
    Column("after", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("text_hash", Text, nullable=False),
)

# Counts the changes of what is live, so that who serves it need not read it to know that nothing changed.
live_head = Table(
    "live_head", metadata, Column("tenant", Text, primary_key=True), Column("version", BigInteger, nullable=False)
)
