"""Since when the holdout has its percentage: its sample ratio is only about people drawn with it."""

import sqlalchemy as sa
from alembic import op

revision = "experiments_0002"
down_revision = "experiments_0001"


def upgrade() -> None:
    since = sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
    op.add_column("holdout", since, schema="experiments")
    op.alter_column("holdout", "since", server_default=None, schema="experiments")
