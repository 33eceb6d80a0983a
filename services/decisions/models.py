"""The tables of decisions."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("decisions")

# One row a decision. `entry` is the whole record (records.Entry as MessagePack); the other columns are what is asked by:
# `due` when the default reward is given, `told` whether experiments know of the exposure, `arm` of a roll-out whose
# challenger decides for some.
decision = Table(
    "decision",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("profile_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("offers", ARRAY(Text), nullable=False),
    Column("settled", Boolean, nullable=False),
    Column("due", DateTime(timezone=True), nullable=False),
    Column("told", Boolean, nullable=False),
    Column("arm", Text),
    Column("entry", LargeBinary, nullable=False),
    Index("ix_decision_profile", "tenant", "profile_id", "time"),
    Index("ix_decision_time", "tenant", "time"),
    Index("ix_decision_unsettled", "tenant", "due", postgresql_where=text("NOT settled")),
    Index("ix_decision_untold", "tenant", "time", postgresql_where=text("NOT told")),
    Index("ix_decision_arm", "tenant", "arm", "time", postgresql_where=text("arm IS NOT NULL")),
)

# Entries of the log's stream that could not be written as decisions, as they were.
set_aside = Table(
    "set_aside",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("time", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("error", Text, nullable=False),
    Column("entry", LargeBinary, nullable=False),
)

# What a version names: offers, rules, policy, copy and models as they stood when a decision used them.
pinned = Table(
    "pinned",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# Rules, policies, scorer models and approved copy: the newest version of a key is the live one.
document = Table(
    "document",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", JSONB),
)

# `rests`: the counters that hold what rests after it, until when (epoch seconds), `rest_until` the latest of them; `done`:
# the rests are in Redis and experiments know of it.
outcome = Table(
    "outcome",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("decision_id", Text, nullable=False),
    Column("slot", SmallInteger, nullable=False),
    Column("offer_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("value", Double),
    Column("order_id", Text, nullable=False),
    Column("rests", JSONB(none_as_null=True)),
    Column("rest_until", BigInteger),
    Column("done", Boolean, nullable=False),
    Index("ix_outcome_decision", "tenant", "decision_id", "slot"),
    Index("ix_outcome_undone", "tenant", "time", postgresql_where=text("NOT done")),
    Index("ix_outcome_rest", "tenant", "rest_until", postgresql_where=text("rest_until IS NOT NULL")),
)

# The reward of an item as it stands, and the ledger of changes that the models learn from, in order without gaps.
reward = Table(
    "reward",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("decision_id", Text, primary_key=True),
    Column("slot", SmallInteger, primary_key=True),
    Column("reward", Double, nullable=False),
    Column("value", Double, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("space", Text, nullable=False),
    Column("offer_id", Text, nullable=False),
    Column("first", Boolean, nullable=False),
    Column("reward", Double, nullable=False),
    Column("offset", Double, nullable=False),
    Column("x", LargeBinary, nullable=False),
)

# The last number given out; its row lock makes the ledger's numbers appear in order.
ledger_head = Table(
    "ledger_head", metadata, Column("tenant", Text, primary_key=True), Column("seq", BigInteger, nullable=False)
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("space", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
