"""The tables of the index: which collection is live, what was embedded before, the texts of people."""

from sqlalchemy import Column, DateTime, Integer, LargeBinary, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB

from services.retrieval.models import metadata

# One row per kind: the alias that searches follow. Replaced in one statement, which is the swap.
alias = Table(
    "alias",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("collection", Text, nullable=False),
    Column("text_model", Text, nullable=False),
    Column("image_model", Text, nullable=False),
    Column("embedded", Integer, nullable=False),
    Column("reused", Integer, nullable=False),
    Column("error", Text),
    Column("built_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# What a model made of a text or picture, whoever it belongs to: keyed by content and model version.
embedding = Table(
    "embedding",
    metadata,
    Column("content", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)

# What the words of a tenant's searches go through, by space; none: nothing.
query_adapter = Table(
    "query_adapter",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("space", Text, primary_key=True),
    Column("model_key", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("embedding", Text, nullable=False),
    Column("inputs", Integer, nullable=False),
    Column("target", Text, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("factors", LargeBinary, nullable=False),
    Column("digest", Text, nullable=False),
)

# People's consented texts, so that a new model can embed them again. Erased with the vector.
person = Table(
    "person",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("profile_id", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("exclude_tags", JSONB, nullable=False),
)
