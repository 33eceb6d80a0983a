"""Point-in-time joins: the newest row of three feature tables for each label, not older than a TTL, against Feast's file store.

Both sides read the same Parquet files and give the same numbers; ours has the three tables as one event table, as it is kept.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import Peer, interleave, timed
from services.features import frames
from services.features.plan import LABELS, EntityPlan, compile_plan
from shared.contracts.features import FeatureView

TABLES = ("visits", "orders", "clicks")
DAY = 86_400_000_000
END = 1_790_000_000_000_000
SPAN, TTL = 180 * DAY, 30 * DAY
# (labels, rows of the three tables together, entities): the goal's size, and a tenth and a fifth of it.
SIZES = ((100_000, 1_000_000, 10_000), (1_000_000, 10_000_000, 100_000))
ROUNDS = int(os.environ.get("ROUNDS", "3"))


def plan() -> EntityPlan:
    """Three features: the newest value of each table in the last 30 days."""
    views = [FeatureView(name=name, where={"type": name}, aggregate="latest", of="value", windows=["30d"], default=-1.0)
             for name in TABLES]  # fmt: skip
    return compile_plan(views).of("profile")


def make(folder: Path, labels: int, rows: int, entities: int) -> None:
    """The same rows for both sides. Rows lie at even microseconds, labels at odd ones: Feast counts a row of the same
    instant, we do not, and here there is none."""
    draw = np.random.default_rng(11)
    each = rows // len(TABLES)
    parts = []
    for name in TABLES:
        who = draw.integers(0, entities, each)
        # All times of a table are different, so that there is one newest row.
        at = END - SPAN + np.sort(draw.choice(SPAN // 2, each, replace=False)) * 2 if each < 5_000_000 else None
        value = draw.normal(size=each)
        ids = pa.array([f"p{i}" for i in range(entities)]).take(pa.array(who))
        time = pa.array(at, pa.timestamp("us", "UTC"))
        pq.write_table(pa.table({"entity": ids, "time": time, f"v_{name}": value}), folder / f"{name}.parquet")
        empty = {label: pa.nulls(each, pa.string()) for label in LABELS}
        parts.append(pa.table({
            "profile_id": ids, "at": at, **empty, "type": pa.array([name]).take(pa.array(np.zeros(each, np.int64))),
            "value": value, "quantity": pa.nulls(each, pa.float64()), "discount": pa.nulls(each, pa.float64()),
        }))  # fmt: skip
    pq.write_table(pa.concat_tables(parts), folder / "events.parquet")
    at = END - SPAN + draw.integers(SPAN // 4, SPAN // 2, labels) * 2 + 1
    who = pa.array([f"p{i}" for i in range(entities)]).take(pa.array(draw.integers(0, entities, labels)))
    table = pa.table({"entity": who, "time": pa.array(at, pa.timestamp("us", "UTC")), "row": np.arange(labels)})
    pq.write_table(table, folder / "labels.parquet")


def ours(folder: Path) -> Any:
    """The features of every label, shape (labels, 3)."""
    labels = frames.read_labels(folder / "labels.parquet")
    connection = ibis.duckdb.connect()
    try:
        return frames.here(plan(), connection.read_parquet(folder / "events.parquet"), labels)
    finally:
        connection.disconnect()


def run() -> dict[str, Any]:
    """Seconds of both sides, by size; the larger one in one round of Feast."""
    found: dict[str, Any] = {"goal": "1M labels on 10M rows, 20x Feast's file store", "ttl_days": TTL // DAY}
    for labels, rows, entities in SIZES[: int(os.environ.get("SIZES", "2"))]:
        with tempfile.TemporaryDirectory(prefix="atl-") as name, Peer("history", "peer_features.py") as peer:
            folder = Path(name)
            make(folder, labels, rows, entities)
            request = {"folder": name, "tables": TABLES, "ttl": TTL}
            theirs = peer.ask(**request, save=str(folder / "theirs.npy"))
            other = np.load(folder / "theirs.npy")
            mine = ours(folder)
            kept = other[:, 0].astype(int)
            np.testing.assert_array_equal(mine[kept], np.nan_to_num(other[:, 1:], nan=-1.0))
            # Feast's file store leaves out labels that have a row, but none within the TTL; ours answers with the default.
            missing = np.setdiff1d(np.arange(labels), kept)
            assert (mine[missing] == -1.0).any(axis=1).all()
            assert len(kept) == theirs["rows"] > 0.95 * labels
            rounds = ROUNDS if rows <= 1_000_000 else max(1, ROUNDS - 2)
            result = interleave(
                lambda folder=folder: timed(lambda: ours(folder)),
                lambda peer=peer, request=request: float(peer.ask(**request)["seconds"]),
                rounds, warm=False,
            )  # fmt: skip
        found[f"{labels}_labels_{rows}_rows"] = {
            "entities": entities,
            "labels_compared": len(kept),
            "labels_that_feast_left_out": len(missing),
            **result,
        }
    return found
