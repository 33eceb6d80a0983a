"""Adapters by space: of words that find texts, and of words that find pictures."""

import sqlalchemy as sa
from alembic import op

revision = "retrieval_0004"
down_revision = "retrieval_0003"


def upgrade() -> None:
    made = {
        "space": (sa.Text, "'text'"),
        "inputs": (sa.Integer, "dimension"),
        "target": (sa.Text, "embedding"),
        "digest": (sa.Text, "encode(sha256(factors), 'hex')"),
    }
    for name, (kind, _) in made.items():
        op.add_column("query_adapter", sa.Column(name, kind), schema="retrieval")
    values = ", ".join(f"{name} = {value}" for name, (_, value) in made.items())
    op.execute(f"UPDATE retrieval.query_adapter SET {values}")  # noqa: S608  (constants of this file)
    for name in made:
        op.alter_column("query_adapter", name, nullable=False, schema="retrieval")
    op.drop_constraint("query_adapter_pkey", "query_adapter", schema="retrieval")
    op.create_primary_key("query_adapter_pkey", "query_adapter", ["tenant", "space"], schema="retrieval")
