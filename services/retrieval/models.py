"""The catalog's tables: the whole contract as JSON, beside it what is filtered, ordered and compared by.

`record_hash` covers the whole record and tells a changed row from a repeated one; `content_hash` covers only what is
embedded, so that a new price date or priority costs no new vector.
"""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Integer, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("retrieval")

# Ids compare by code point whatever the server's locale: cursors then mean the same on every installation.
_ID = Text(collation="C")


offer = Table(
    "offer",
    metadata,
    Column("tenant", _ID, primary_key=True),
    Column("offer_id", _ID, primary_key=True),
    Column("start_at", DateTime(timezone=True), nullable=False),
    Column("end_at", DateTime(timezone=True), nullable=False),
    Column("document", JSONB, nullable=False),
    Column("record_hash", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("end_at > start_at", name="dates"),
)

asset = Table(
    "asset",
    metadata,
    Column("tenant", _ID, primary_key=True),
    Column("asset_id", _ID, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("record_hash", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("image_hash", Text),
    Column("source_hash", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_asset_image", "tenant", "image_hash"),
)

brand = Table(
    "brand",
    metadata,
    Column("tenant", _ID, primary_key=True),
    Column("brand_id", _ID, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("record_hash", Text, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
