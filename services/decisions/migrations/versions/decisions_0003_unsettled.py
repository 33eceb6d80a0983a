"""An index of what still waits for its default reward: it stays small however long the log gets."""

import sqlalchemy as sa
from alembic import op

revision = "decisions_0003"
down_revision = "decisions_0002"


def upgrade() -> None:
    op.create_index(
        "ix_decision_unsettled",
        "decision",
        ["tenant", "time"],
        schema="decisions",
        postgresql_where=sa.text("NOT settled"),
    )
