"""The event table."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "events_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("profile_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("product_id", sa.Text),
        sa.Column("product_name", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("department", sa.Text),
        sa.Column("brand", sa.Text),
        sa.Column("quantity", sa.Double),
        sa.Column("value", sa.Numeric(18, 4)),
        sa.Column("discount", sa.Numeric(18, 4)),
        sa.Column("currency", sa.Text),
        sa.Column("offer_id", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("properties", JSONB),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("tenant", "event_id"),
        schema="events",
    )
    op.create_index("ix_event_profile", "event", ["tenant", "profile_id", "time"], schema="events")
    op.create_table(
        "clock",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("newest", sa.DateTime(timezone=True), nullable=False),
        schema="events",
    )
