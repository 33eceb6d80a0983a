"""Profiles, identities, facts, erasure receipts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "profiles_0001"
down_revision = None
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "profile",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("profile_id", sa.Text, nullable=False),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("consents", JSONB, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("tenant", "profile_id"),
        schema="profiles",
    )
    op.create_table(
        "identity",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("profile_id", sa.Text, nullable=False),
        sa.Column("authenticated_state", sa.Text, nullable=False),
        sa.Column("is_primary", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "namespace", "id"),
        schema="profiles",
    )
    op.create_index("ix_identity_profile", "identity", ["tenant", "profile_id"], schema="profiles")
    op.create_table(
        "fact",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("profile_id", sa.Text, nullable=False),
        sa.Column("facts", JSONB, nullable=False),
        sa.Column("exclude_tags", JSONB, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("computed_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("tenant", "profile_id"),
        schema="profiles",
    )
    op.create_table(
        "erasure",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("profile_hash", sa.Text, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("rows", JSONB, nullable=False),
        sa.Column("vectors", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "profile_hash", "time"),
        schema="profiles",
    )
