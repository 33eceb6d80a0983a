"""Copy with its states, its audit trail, the version of what is live."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "governance_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "copy",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("copy_id", sa.Text, nullable=False),
        sa.Column("offer_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("authors", ARRAY(sa.Text), nullable=False),
        sa.Column("prompt_version", sa.Text, nullable=False),
        sa.Column("profile_id", sa.Text),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("material", JSONB),
        sa.PrimaryKeyConstraint("tenant", "copy_id"),
        schema="governance",
    )
    op.create_index("ix_copy_state", "copy", ["tenant", "state"], schema="governance")
    op.create_index("ix_copy_offer", "copy", ["tenant", "offer_id"], schema="governance")
    op.create_index("ix_copy_profile", "copy", ["tenant", "profile_id"], schema="governance",
                    postgresql_where=sa.text("profile_id IS NOT NULL"))  # fmt: skip
    op.create_table(
        "step",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("copy_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text_hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "copy_id", "number"),
        schema="governance",
    )
    op.create_table(
        "live_head",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        schema="governance",
    )
