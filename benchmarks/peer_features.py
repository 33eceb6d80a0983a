"""Run by the peers' Python: Feast as its documentation shows it. One JSON line in, one out."""

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64

PERSON = Entity(name="person", join_keys=["entity"])


def store_in(folder: Path, url: str = "") -> FeatureStore:
    """A store with its registry in the folder; `url`: host:port of Redis for the online store."""
    online = (
        {"type": "redis", "connection_string": url} if url else {"type": "sqlite", "path": str(folder / "online.db")}
    )
    config = RepoConfig(project="bench", provider="local", registry=str(folder / "registry.db"), online_store=online,
                        offline_store={"type": "file"}, entity_key_serialization_version=3)  # fmt: skip
    return FeatureStore(config=config)


def view(name: str, path: Path, fields: list[str], ttl: timedelta) -> FeatureView:
    source = FileSource(path=str(path), timestamp_field="time")
    return FeatureView(name=name, entities=[PERSON], ttl=ttl, source=source,
                       schema=[Field(name=field, dtype=Float64) for field in fields])  # fmt: skip


def history() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Features of labels as of their times, out of Parquet files."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        folder = Path(request["folder"])
        names = request["tables"]
        repo = folder / "feast"
        repo.mkdir(exist_ok=True)
        store = store_in(repo)
        ttl = timedelta(microseconds=request["ttl"])
        store.apply([PERSON, *(view(name, folder / f"{name}.parquet", [f"v_{name}"], ttl) for name in names)])
        began = time.perf_counter()
        labels = pd.read_parquet(folder / "labels.parquet").rename(columns={"time": "event_timestamp"})
        found = store.get_historical_features(labels, [f"{name}:v_{name}" for name in names]).to_df()
        seconds = time.perf_counter() - began
        if request.get("save"):
            found = found.sort_values("row")
            np.save(request["save"], found[["row", *(f"v_{name}" for name in names)]].to_numpy())
        return {"seconds": seconds, "rows": len(found)}

    return answer


def online() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Features of entities out of Redis."""
    store: Any = None
    fields: list[str] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal store, fields
        if "load" in request:
            folder = Path(request["load"])
            repo = folder / "feast"
            repo.mkdir(exist_ok=True)
            store = store_in(repo, request["redis"])
            fields = request["fields"]
            store.apply([PERSON, view("numbers", folder / "numbers.parquet", fields, timedelta(days=3650))])
            frame = pd.read_parquet(folder / "numbers.parquet")
            store.write_to_online_store("numbers", frame)
            return {"rows": len(frame)}
        asked = [f"numbers:{field}" for field in fields]
        seconds, values = [], []
        for ids in request["ids"]:
            rows = [{"entity": name} for name in ids]
            began = time.perf_counter()
            found = store.get_online_features(features=asked, entity_rows=rows).to_dict()
            seconds.append(time.perf_counter() - began)
            values.append([[found[field][i] for field in fields] for i in range(len(ids))])
        return {"seconds": seconds, "values": values if request.get("check") else []}

    return answer


if __name__ == "__main__":
    respond = {"history": history, "online": online}[sys.argv[1]]()
    for line in sys.stdin:
        print(json.dumps(respond(json.loads(line))), flush=True)
