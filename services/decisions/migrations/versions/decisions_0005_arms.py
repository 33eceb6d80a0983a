"""Decisions say which arm of a roll-out they are of."""

import sqlalchemy as sa
from alembic import op

revision = "decisions_0005"
down_revision = "decisions_0004"


def upgrade() -> None:
    op.add_column("decision", sa.Column("arm", sa.Text), schema="decisions")
    op.create_index("ix_decision_arm", "decision", ["tenant", "arm", "time"], schema="decisions",
                    postgresql_where=sa.text("arm IS NOT NULL"))  # fmt: skip
