"""The tables of batches. They are the queue and the ledger: the broker only wakes workers, and may lose what it likes."""

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("batches")

# `planned`: counts of the plan; `cursor`: how far the audience has been read; `plan_until`: lease of who reads it.
batch = Table(
    "batch",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("batch_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("planned", JSONB, nullable=False),
    Column("cursor", JSONB, nullable=False),
    Column("plan_until", DateTime(timezone=True)),
    Column("erased", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("problem", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Index("ix_batch_state", "state"),
)

# People of an audience that came as a file, in its order.
member = Table(
    "member",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("batch_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("profile_id", Text, nullable=False),
)

# One row an item. `keys`: the texts that would fit the person, the one that says most first; `text_key`: the one chosen.
item = Table(
    "item",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("batch_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("profile_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("offer_id", Text),
    Column("asset_id", Text),
    Column("decision_id", Text),
    Column("token", Text),
    Column("first_name", Text),
    Column("key_full", Text),
    Column("key_less", Text),
    Column("key_none", Text),
    Column("text_key", Text),
    Column("reason", Text),
    Index("ix_item_text", "tenant", "batch_id", "text_key"),
    Index("ix_item_profile", "tenant", "profile_id"),
)

# One row a distinct text: what it is written from, and what was written. `profile_id`: of whom alone it is, else null.
written = Table(
    "text",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("batch_id", Text, primary_key=True),
    Column("text_key", Text, primary_key=True),
    Column("offer_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("locale", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("profile_id", Text),
    Column("people", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("chunk", Integer),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("sections", JSONB),
    Column("provenance", JSONB),
    Index("ix_text_chunk", "tenant", "batch_id", "chunk"),
    Index("ix_text_profile", "tenant", "profile_id", postgresql_where=text("profile_id IS NOT NULL")),
)

# A piece of work, and its ledger: `done` is set in the transaction that stores its texts, by the owner of the lease alone.
chunk = Table(
    "chunk",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("batch_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("texts", Integer, nullable=False),
    Column("items", Integer, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", Text),
    Column("not_before", DateTime(timezone=True), nullable=False),
    Column("done_at", DateTime(timezone=True)),
    Column("counts", JSONB, nullable=False),
    Index("ix_chunk_ready", "state", "tenant"),
)

# As many rows as chunks may be worked on at once: a slot is asked for (a task is on its way), then owned, then free again.
slot = Table(
    "slot",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
)

# When each tenant was last given a slot.
turn = Table(
    "turn",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("served_at", DateTime(timezone=True), nullable=False),
)
