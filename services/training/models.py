"""The tables of training. Runs, parameters and artifacts are MLflow's (schema `mlflow`); where a version stands is ours."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.engine import service_metadata

metadata = service_metadata("training")

job = Table(
    "job",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("model_key", Text, nullable=False),
    Column("objective", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Text, nullable=False, server_default=""),
    Column("done", BigInteger, nullable=False, server_default="0"),
    Column("total", BigInteger, nullable=False, server_default="0"),
    Column("problem", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("request", JSONB, nullable=False),
    # One job at a time for a model: the database refuses a second one.
    Index(
        "ux_job_running", "tenant", "model_key", unique=True,
        postgresql_where=text("state IN ('pending', 'in progress')"),
    ),
)  # fmt: skip

version = Table(
    "version",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("objective", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("model_hash", Text, nullable=False),
    Column("scorer_id", Text, nullable=False),
    Column("beats_baseline", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("card", JSONB, nullable=False),
    # One version of a model is live.
    Index("ux_version_live", "tenant", "model_key", unique=True, postgresql_where=text("stage = 'live'")),
)

# Every step of every version; rows are only ever added.
stage_change = Table(
    "stage_change",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("before", Text),
    Column("after", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

# How versions of a model go live (contract RolloutPlan).
rollout_plan = Table(
    "rollout_plan",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
)

# Which scorers decide (contract Rollout), as it stands here; decisions know of revision `told`.
delivery = Table(
    "delivery",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("told", Integer, nullable=False),
    Index("ix_delivery_untold", "tenant", "model_key", postgresql_where=text("told < revision")),
)

# Roll-outs with the plan they began with. `step`: of the canary; `since`: when phase or step began; `before`: the version
# that was live until this one.
rollout = Table(
    "rollout",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("phase", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("share", Double, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("judged_at", DateTime(timezone=True)),
    Column("passed", Boolean, nullable=False),
    Column("waiting", Text, nullable=False),
    Column("before", Integer),
    Column("plan", JSONB, nullable=False),
    # One roll-out of a model is in motion.
    Index("ux_rollout_motion", "tenant", "model_key", unique=True, postgresql_where=text("phase IN ('shadow', 'canary')")),
)  # fmt: skip

# `person`: the actor's name as it is compared.
rollout_approval = Table(
    "rollout_approval",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("gate", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
)

# Every step of every roll-out; rows are only ever added.
rollout_step = Table(
    "rollout_step",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("rollout", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("share", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("figures", JSONB, nullable=False),
)

# What is watched of a model. `asked_at`: when a check of it was queued; `stream`: where ADWIN over its rewards stands;
# `job_id`, `report_id`: the retraining that is waited for, and the report that it follows from.
monitor = Table(
    "monitor",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("monitor", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("next_check_at", DateTime(timezone=True), nullable=False),
    Column("asked_at", DateTime(timezone=True)),
    Column("last_retrained_at", DateTime(timezone=True)),
    Column("job_id", Text),
    Column("report_id", Text),
    Column("alarms", BigInteger, nullable=False, server_default="0"),
    Column("stream", JSONB),
    Index("ix_monitor_next_check_at", "next_check_at"),
)

# One check of a monitor; rows are only ever added, and outlive the monitor.
drift_report = Table(
    "drift_report",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("report_id", Text, primary_key=True),
    Column("report", JSONB, nullable=False),
)

# One step of the loop from an alarm to a verdict; rows are only ever added, and outlive the monitor.
loop_event = Table(
    "loop_event",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("model_key", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("event", JSONB, nullable=False),
)
