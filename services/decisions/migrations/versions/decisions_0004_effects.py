"""What follows from decisions and outcomes is kept until it is done; when a default reward is due; orders; set aside entries."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "decisions_0004"
down_revision = "decisions_0003"


def upgrade() -> None:
    _decisions()
    _outcomes()
    op.create_table(
        "set_aside",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key"),
        schema="decisions",
    )


def _add(table: str, name: str, kind: "sa.types.TypeEngine[Any]", default: str) -> None:
    """A column that is never empty; the default is for the rows that are there already."""
    column = sa.Column(name, kind, nullable=False, server_default=sa.text(default))
    op.add_column(table, column, schema="decisions")
    op.alter_column(table, name, server_default=None, schema="decisions")


def _decisions() -> None:
    _add("decision", "due", sa.DateTime(timezone=True), "now()")
    op.execute(sa.text("UPDATE decisions.decision SET due = time + interval '1 day' WHERE NOT settled"))
    _add("decision", "told", sa.Boolean(), "true")
    op.drop_index("ix_decision_unsettled", "decision", schema="decisions")
    for name, column, where in (
        ("ix_decision_unsettled", "due", "NOT settled"),
        ("ix_decision_untold", "time", "NOT told"),
    ):
        op.create_index(name, "decision", ["tenant", column], schema="decisions", postgresql_where=sa.text(where))


def _outcomes() -> None:
    _add("outcome", "order_id", sa.Text(), "''")
    # Every conversion of old counted, so each is an order of its own.
    op.execute(sa.text("UPDATE decisions.outcome SET order_id = idempotency_key WHERE kind = 'convert'"))
    op.add_column("outcome", sa.Column("rests", JSONB), schema="decisions")
    op.add_column("outcome", sa.Column("rest_until", sa.BigInteger), schema="decisions")
    _add("outcome", "done", sa.Boolean(), "true")
    for name, column, where in (
        ("ix_outcome_undone", "time", "NOT done"),
        ("ix_outcome_rest", "rest_until", "rest_until IS NOT NULL"),
    ):
        op.create_index(name, "outcome", ["tenant", column], schema="decisions", postgresql_where=sa.text(where))
