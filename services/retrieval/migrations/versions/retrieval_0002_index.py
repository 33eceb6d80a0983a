"""The index: alias, embedding cache, texts of people."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "retrieval_0002"
down_revision = "retrieval_0001"


def upgrade() -> None:
    op.create_table(
        "alias",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("text_model", sa.Text, nullable=False),
        sa.Column("image_model", sa.Text, nullable=False),
        sa.Column("embedded", sa.Integer, nullable=False),
        sa.Column("reused", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="retrieval",
    )
    op.create_table(
        "embedding",
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("content", "model"),
        schema="retrieval",
    )
    op.create_table(
        "person",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("profile_id", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("exclude_tags", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "profile_id"),
        schema="retrieval",
    )
