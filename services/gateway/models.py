"""The table of API keys."""

from sqlalchemy import Column, DateTime, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY

from shared.db.engine import service_metadata

metadata = service_metadata("gateway")

api_key = Table(
    "api_key",
    metadata,
    Column("key_hash", Text, primary_key=True),
    Column("key_id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)
