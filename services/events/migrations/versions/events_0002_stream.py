"""Which transaction stored an event, and which transactions are still to be published."""

import sqlalchemy as sa
from alembic import op

revision = "events_0002"
down_revision = "events_0001"

_NOW = sa.text("(pg_current_xact_id()::text)::bigint")


def upgrade() -> None:
    # First without a default: with one, every row that is there would be written again.
    op.add_column("event", sa.Column("transaction", sa.BigInteger), schema="events")
    op.alter_column("event", "transaction", server_default=_NOW, schema="events")
    op.create_index("ix_event_transaction", "event", ["transaction"], schema="events", postgresql_using="brin")
    op.create_table(
        "outbox",
        sa.Column("transaction", sa.BigInteger, primary_key=True, server_default=_NOW),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="events",
    )
