"""Experiments, the holdout, observations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "experiments_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "experiment",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("experiment_key", sa.Text, nullable=False),
        sa.Column("layer", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("first_bucket", sa.Integer),
        sa.Column("end_bucket", sa.Integer),
        sa.Column("body", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "experiment_key"),
        schema="experiments",
    )
    op.create_table(
        "holdout",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("body", JSONB, nullable=False),
        schema="experiments",
    )
    op.create_table(
        "observation",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("experiment_key", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "experiment_key", "idempotency_key"),
        schema="experiments",
    )
    op.create_index("ix_observation_unit", "observation", ["tenant", "unit"], schema="experiments")
