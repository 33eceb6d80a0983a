"""Roll-outs: plans, what is in motion, approvals, steps; what decisions have to be told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "training_0002"
down_revision = "training_0001"


def upgrade() -> None:
    _table("rollout_plan", ["tenant", "model_key"], sa.Column("body", JSONB, nullable=False))
    _table(
        "delivery", ["tenant", "model_key"],
        sa.Column("body", JSONB, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("told", sa.Integer, nullable=False),
    )  # fmt: skip
    op.create_index("ix_delivery_untold", "delivery", ["tenant", "model_key"], schema="training",
                    postgresql_where=sa.text("told < revision"))  # fmt: skip
    _table(
        "rollout", ["tenant", "model_key", "number"],
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True)),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("waiting", sa.Text, nullable=False),
        sa.Column("before", sa.Integer),
        sa.Column("plan", JSONB, nullable=False),
    )  # fmt: skip
    op.create_index("ux_rollout_motion", "rollout", ["tenant", "model_key"], unique=True, schema="training",
                    postgresql_where=sa.text("phase IN ('shadow', 'canary')"))  # fmt: skip
    _table(
        "rollout_approval", ["tenant", "model_key", "number", "gate", "person"],
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )  # fmt: skip
    _table(
        "rollout_step", ["tenant", "model_key", "rollout", "number"],
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("figures", JSONB, nullable=False),
    )  # fmt: skip


def _table(name: str, key: list[str], *columns: "sa.Column[object]") -> None:
    whole = {"number", "rollout"}
    keys: list[sa.Column[object]] = [
        sa.Column(part, sa.Integer if part in whole else sa.Text, nullable=False) for part in key
    ]
    op.create_table(name, *keys, *columns, sa.PrimaryKeyConstraint(*key), schema="training")
