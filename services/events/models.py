"""The table of events."""

from sqlalchemy import BigInteger, Column, DateTime, Double, Index, Numeric, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("events")
_TRANSACTION = text("(pg_current_xact_id()::text)::bigint")

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
    # The transaction that stored it: what a snapshot holds can be told by it. BRIN: it only grows.
    Column("transaction", BigInteger, server_default=_TRANSACTION),
    Index("ix_event_profile", "tenant", "profile_id", "time"),
    Index("ix_event_transaction", "transaction", postgresql_using="brin"),
)

# Transactions whose events are not known to be in the stream yet; written with the events, removed once they are.
outbox = Table(
    "outbox",
    metadata,
    Column("transaction", BigInteger, primary_key=True, server_default=_TRANSACTION),
    Column("tenant", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# The time of each tenant's newest event: "today" of a historic data set, without an index that every insert would pay.
clock = Table(
    "clock",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("newest", DateTime(timezone=True), nullable=False),
)

# The columns an event is stored with, in the order of the COPY.
COLUMNS = tuple(column.name for column in event.columns if column.server_default is None)
