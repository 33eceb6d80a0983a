"""The tables of evaluation. None holds a word of copy: ids, hashes and figures only."""

from sqlalchemy import BigInteger, Column, DateTime, Double, Index, Integer, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("evaluation")

COUNTS = ("calls", "cached", "prompt_tokens", "completion_tokens")

# `turn`: how often a worker took it; a task that was sent for another turn has nothing to do. `lease`: which worker is on it, `heartbeat` when it last said so; `done`, `stage_done` count units (see `Progress`).
# `figures`: of all samples together; `summaries`: made once the run has ended, and anew when results are deleted.
run = Table(
    "run",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("judge", JSONB),
    Column("stage", Text, nullable=False),
    Column("stage_started_at", DateTime(timezone=True)),
    Column("stage_before", BigInteger, nullable=False),
    Column("stage_done", BigInteger, nullable=False),
    Column("stage_total", BigInteger),
    Column("samples", Integer),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    Column("judge_seconds", Double, nullable=False),
    Column("figures", JSONB, nullable=False),
    Column("summaries", JSONB),
    Column("notes", JSONB, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("lease", Text),
    Column("heartbeat", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("problem", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Index("ix_run_created_at", "tenant", "created_at", "run_id"),
)

# What a run looks at; `stage`: 0 nothing is known yet, 1 all metrics without a judge, 2 those of the judge too.
sample = Table(
    "sample",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("sample_id", Text, primary_key=True),
    Column("stage", SmallInteger, nullable=False),
    Index("ix_sample_sample_id", "tenant", "sample_id"),
)

result = Table(
    "result",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("sample_id", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("value", Double),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("basis", Text),
    Index("ix_result_sample_id", "tenant", "sample_id"),
)

# Answers of a judge by a hash of all that they depend on.
cache = Table(
    "cache",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("sample_id", Text, nullable=False),
    Column("value", Double),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("basis", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("ix_cache_sample_id", "tenant", "sample_id"),
)

# Of the whole suite, not of a tenant: the labelled set is the suite's own and says nothing of anybody.
calibration = Table(
    "calibration",
    metadata,
    Column("judge", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
