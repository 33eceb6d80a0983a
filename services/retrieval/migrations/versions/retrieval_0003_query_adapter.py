"""Adapters of the vectors of searched words."""

import sqlalchemy as sa
from alembic import op

revision = "retrieval_0003"
down_revision = "retrieval_0002"


def upgrade() -> None:
    op.create_table(
        "query_adapter",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("model_key", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("embedding", sa.Text, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("factors", sa.LargeBinary, nullable=False),
        schema="retrieval",
    )
