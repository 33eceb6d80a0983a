"""Offers, assets, brands."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "retrieval_0001"
down_revision = None

_ID = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "offer",
        sa.Column("tenant", _ID, nullable=False),
        sa.Column("offer_id", _ID, nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.Column("record_hash", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("tenant", "offer_id"),
        sa.CheckConstraint("end_at > start_at", name="ck_offer_dates"),
        schema="retrieval",
    )
    op.create_table(
        "asset",
        sa.Column("tenant", _ID, nullable=False),
        sa.Column("asset_id", _ID, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.Column("record_hash", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("image_hash", sa.Text),
        sa.Column("source_hash", sa.Text),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("tenant", "asset_id"),
        schema="retrieval",
    )
    op.create_index("ix_asset_image", "asset", ["tenant", "image_hash"], schema="retrieval")
    op.create_table(
        "brand",
        sa.Column("tenant", _ID, nullable=False),
        sa.Column("brand_id", _ID, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.Column("record_hash", sa.Text, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("tenant", "brand_id"),
        schema="retrieval",
    )
