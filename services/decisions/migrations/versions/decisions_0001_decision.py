"""The decision log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "decisions_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "decision",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("profile_id", sa.Text, nullable=False),
        sa.Column("record", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
        schema="decisions",
    )
    op.create_index("ix_decision_profile", "decision", ["tenant", "profile_id", "time"], schema="decisions")
