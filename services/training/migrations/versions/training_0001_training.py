"""Jobs, versions of models, their steps; MLflow makes its own tables in the schema `mlflow`."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("model_key", sa.Text, nullable=False),
        sa.Column("objective", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False, server_default=""),
        sa.Column("done", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("total", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("problem", sa.Text),
        sa.Column("version", sa.Integer),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "job_id"),
        schema="training",
    )
    op.create_index("ux_job_running", "job", ["tenant", "model_key"], unique=True, schema="training",
                    postgresql_where=sa.text("state IN ('pending', 'in progress')"))  # fmt: skip
    op.create_table(
        "version",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("model_key", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("objective", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("model_hash", sa.Text, nullable=False),
        sa.Column("scorer_id", sa.Text, nullable=False),
        sa.Column("beats_baseline", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("card", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "model_key", "version"),
        schema="training",
    )
    op.create_index("ux_version_live", "version", ["tenant", "model_key"], unique=True, schema="training",
                    postgresql_where=sa.text("stage = 'live'"))  # fmt: skip
    op.create_table(
        "stage_change",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("model_key", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "model_key", "version", "number"),
        schema="training",
    )
    op.execute("CREATE SCHEMA IF NOT EXISTS mlflow")
