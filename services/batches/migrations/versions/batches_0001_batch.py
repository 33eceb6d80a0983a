"""Batches, their audience, items, texts, chunks; slots and turns."""

from alembic import op

revision = "batches_0001"
down_revision = None

_TABLES = (
    """
    CREATE TABLE batches.batch (
        tenant text, batch_id text, state text NOT NULL, priority smallint NOT NULL, request jsonb NOT NULL,
        planned jsonb NOT NULL, cursor jsonb NOT NULL, plan_until timestamptz, erased integer NOT NULL, note text NOT NULL,
        problem text, created_at timestamptz NOT NULL, started_at timestamptz, finished_at timestamptz,
        PRIMARY KEY (tenant, batch_id))
    """,
    "CREATE INDEX ix_batch_state ON batches.batch (state)",
    """
    CREATE TABLE batches.member (
        tenant text, batch_id text, number integer, profile_id text NOT NULL, PRIMARY KEY (tenant, batch_id, number))
    """,
    """
    CREATE TABLE batches.item (
        tenant text, batch_id text, number integer, profile_id text NOT NULL, channel text NOT NULL, offer_id text,
        asset_id text, decision_id text, token text, first_name text, key_full text, key_less text, key_none text,
        text_key text, reason text, PRIMARY KEY (tenant, batch_id, number))
    """,
    "CREATE INDEX ix_item_text ON batches.item (tenant, batch_id, text_key)",
    "CREATE INDEX ix_item_profile ON batches.item (tenant, profile_id)",
    """
    CREATE TABLE batches.text (
        tenant text, batch_id text, text_key text, offer_id text NOT NULL, channel text NOT NULL, locale text NOT NULL,
        facts jsonb NOT NULL, profile_id text, people integer NOT NULL, tokens integer NOT NULL, chunk integer,
        status text NOT NULL, reason text, sections jsonb, provenance jsonb, PRIMARY KEY (tenant, batch_id, text_key))
    """,
    "CREATE INDEX ix_text_chunk ON batches.text (tenant, batch_id, chunk)",
    "CREATE INDEX ix_text_profile ON batches.text (tenant, profile_id) WHERE profile_id IS NOT NULL",
    """
    CREATE TABLE batches.chunk (
        tenant text, batch_id text, number integer, state text NOT NULL, texts integer NOT NULL, items integer NOT NULL,
        tokens bigint NOT NULL, attempts integer NOT NULL, owner text, not_before timestamptz NOT NULL, done_at timestamptz,
        counts jsonb NOT NULL, PRIMARY KEY (tenant, batch_id, number))
    """,
    "CREATE INDEX ix_chunk_ready ON batches.chunk (state, tenant)",
    """
    CREATE TABLE batches.slot (
        number integer PRIMARY KEY, tenant text NOT NULL, owner text NOT NULL, until timestamptz NOT NULL)
    """,
    "CREATE TABLE batches.turn (tenant text PRIMARY KEY, served_at timestamptz NOT NULL)",
)


def upgrade() -> None:
    for table in _TABLES:
        op.execute(table)
