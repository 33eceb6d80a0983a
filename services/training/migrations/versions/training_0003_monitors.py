"""Monitors, their reports, the steps of the loop."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0003"
down_revision = "training_0002"


def upgrade() -> None:
    op.create_table(
        "monitor",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("model_key", sa.Text, nullable=False),
        sa.Column("monitor", JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_check_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True)),
        sa.Column("last_retrained_at", sa.DateTime(timezone=True)),
        sa.Column("job_id", sa.Text),
        sa.Column("report_id", sa.Text),
        sa.Column("alarms", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("stream", JSONB),
        sa.PrimaryKeyConstraint("tenant", "model_key"),
        schema="training",
    )
    op.create_index("ix_monitor_next_check_at", "monitor", ["next_check_at"], schema="training")
    for table, key in (("drift_report", "report"), ("loop_event", "event")):
        op.create_table(
            table,
            sa.Column("tenant", sa.Text, nullable=False),
            sa.Column("model_key", sa.Text, nullable=False),
            sa.Column(f"{key}_id", sa.Text, nullable=False),
            sa.Column(key, JSONB, nullable=False),
            sa.PrimaryKeyConstraint("tenant", "model_key", f"{key}_id"),
            schema="training",
        )
