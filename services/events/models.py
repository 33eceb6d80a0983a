"""The table of events."""

from sqlalchemy import Column, DateTime, Double, Index, Numeric, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("events")

event = Table(
    "event",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("profile_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("product_id", Text),
    Column("product_name", Text),
    Column("category", Text),
    Column("department", Text),
    Column("brand", Text),
    Column("quantity", Double),
    Column("value", Numeric(18, 4)),
    Column("discount", Numeric(18, 4)),
    Column("currency", Text),
    Column("offer_id", Text),
    Column("session_id", Text),
    Column("properties", JSONB),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_event_profile", "tenant", "profile_id", "time"),
)

# The time of each tenant's newest event: "today" of a historic data set, without an index that every insert would pay.
clock = Table(
    "clock",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("newest", DateTime(timezone=True), nullable=False),
)

# The columns an event is stored with, in the order of the COPY.
COLUMNS = tuple(column.name for column in event.columns if column.name != "received_at")
