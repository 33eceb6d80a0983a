"""The engine's tables. The first log's table stays under another name: its rows cannot be replayed."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "decisions_0002"
down_revision = "decisions_0001"


def _table(name: str, *columns: "sa.Column[Any]", key: list[str]) -> None:
    op.create_table(name, *columns, sa.PrimaryKeyConstraint(*key), schema="decisions")


def _text(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.Text, nullable=False)


def _column(name: str, kind: Any) -> "sa.Column[Any]":
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.drop_index("ix_decision_profile", "decision", schema="decisions")
    op.execute(sa.text("ALTER TABLE decisions.decision RENAME CONSTRAINT decision_pkey TO decision_before_replay_pkey"))
    op.rename_table("decision", "decision_before_replay", schema="decisions")
    _log()
    _rewards()


def _log() -> None:
    _table(
        "decision", _text("tenant"), _text("id"), _column("time", sa.DateTime(timezone=True)), _text("profile_id"),
        _text("channel"), _text("time_zone"), _column("offers", ARRAY(sa.Text)), _column("settled", sa.Boolean),
        _column("entry", sa.LargeBinary), key=["tenant", "id"],
    )  # fmt: skip
    op.create_index("ix_decision_profile", "decision", ["tenant", "profile_id", "time"], schema="decisions")
    op.create_index("ix_decision_time", "decision", ["tenant", "time"], schema="decisions")
    _table("pinned", _text("tenant"), _text("version"), _column("body", sa.LargeBinary), key=["tenant", "version"])
    _table(
        "document", _text("tenant"), _text("kind"), _text("key"), _column("version", sa.Integer),
        sa.Column("body", JSONB), key=["tenant", "kind", "key", "version"],
    )  # fmt: skip


def _rewards() -> None:
    _table(
        "outcome", _text("tenant"), _text("idempotency_key"), _text("decision_id"), _column("slot", sa.SmallInteger),
        _text("offer_id"), _text("kind"), _column("time", sa.DateTime(timezone=True)), sa.Column("value", sa.Double),
        key=["tenant", "idempotency_key"],
    )  # fmt: skip
    op.create_index("ix_outcome_decision", "outcome", ["tenant", "decision_id", "slot"], schema="decisions")
    _table(
        "reward", _text("tenant"), _text("decision_id"), _column("slot", sa.SmallInteger), _column("reward", sa.Double),
        _column("value", sa.Double), key=["tenant", "decision_id", "slot"],
    )  # fmt: skip
    _table(
        "ledger", _text("tenant"), _column("seq", sa.BigInteger), _text("space"), _text("offer_id"),
        _column("first", sa.Boolean), _column("reward", sa.Double), _column("offset", sa.Double),
        _column("x", sa.LargeBinary), key=["tenant", "seq"],
    )  # fmt: skip
    _table("ledger_head", _text("tenant"), _column("seq", sa.BigInteger), key=["tenant"])
    _table(
        "checkpoint", _text("tenant"), _text("space"), _column("seq", sa.BigInteger), _column("body", sa.LargeBinary),
        key=["tenant", "space", "seq"],
    )  # fmt: skip
