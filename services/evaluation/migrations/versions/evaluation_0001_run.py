"""Runs over stored copy, their samples and results, a judge's kept answers, calibrations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "evaluation_0001"
down_revision = None
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_run()
    _create_results()
    _create_judges()


def _create_run() -> None:
    op.create_table(
        "run",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("request", JSONB, nullable=False),
        sa.Column("judge", JSONB),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("stage_started_at", _TIME),
        sa.Column("stage_before", sa.BigInteger, nullable=False),
        sa.Column("stage_done", sa.BigInteger, nullable=False),
        sa.Column("stage_total", sa.BigInteger),
        sa.Column("samples", sa.Integer),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("cached", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("judge_seconds", sa.Double, nullable=False),
        sa.Column("figures", JSONB, nullable=False),
        sa.Column("summaries", JSONB),
        sa.Column("notes", JSONB, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.Text),
        sa.Column("heartbeat", _TIME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("problem", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.PrimaryKeyConstraint("tenant", "run_id"),
        schema="evaluation",
    )
    op.create_index("ix_run_created_at", "run", ["tenant", "created_at", "run_id"], schema="evaluation")


def _create_results() -> None:
    op.create_table(
        "sample",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("sample_id", sa.Text, nullable=False),
        sa.Column("stage", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "run_id", "sample_id"),
        schema="evaluation",
    )
    op.create_index("ix_sample_sample_id", "sample", ["tenant", "sample_id"], schema="evaluation")
    op.create_table(
        "result",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("sample_id", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("basis", sa.Text),
        sa.PrimaryKeyConstraint("tenant", "run_id", "sample_id", "metric"),
        # The last guard: Postgres itself keeps no NaN (which is larger than any number to it) and nothing out of range.
        sa.CheckConstraint("(status = 'ok') = (value IS NOT NULL)", name="ck_result_value"),
        sa.CheckConstraint("value >= 0 AND value <= 1", name="ck_result_range"),
        schema="evaluation",
    )
    op.create_index("ix_result_sample_id", "result", ["tenant", "sample_id"], schema="evaluation")


def _create_judges() -> None:
    op.create_table(
        "cache",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("sample_id", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("basis", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key"),
        schema="evaluation",
    )
    op.create_index("ix_cache_sample_id", "cache", ["tenant", "sample_id"], schema="evaluation")
    op.create_table(
        "calibration",
        sa.Column("judge", sa.Text, primary_key=True),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        schema="evaluation",
    )
