"""Run by the peers' Python: counting a stream as a user would write it. One JSON line in, one out.

`counters`: redis-py, one stream entry an event, counters in hashes by bucket, acknowledged with the counts in one
transaction a read. `bytewax`: tumbling windows in memory, no store at all.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis

STREAM, GROUP = "peer:events", "counts"
BUCKETS = (("h", 3600), ("d", 86_400), ("w", 7 * 86_400), ("l", 10**12))


def counters() -> Callable[[dict[str, Any]], dict[str, Any]]:
    client: Any = None

    def fill(events: list[Any]) -> None:
        client.delete(STREAM)
        client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        for start in range(0, len(events), 500):
            pipe = client.pipeline(transaction=False)
            for who, at, value in events[start : start + 500]:
                pipe.xadd(STREAM, {"who": who, "at": at, "value": value})
            pipe.execute()

    def drain(count: int) -> float:
        began, done = time.perf_counter(), 0
        while done < count:
            found = client.xreadgroup(GROUP, "one", {STREAM: ">"}, count=500)
            if not found:
                break
            pipe = client.pipeline(transaction=True)
            for key, event in found[0][1]:
                who, at, value = event[b"who"].decode(), int(event[b"at"]) // 1_000_000, float(event[b"value"])
                name = f"peer:{who}"
                for letter, width in BUCKETS:
                    bucket = f"{letter}{at // width}"
                    pipe.hincrby(name, f"n{bucket}", 1)
                    pipe.hincrbyfloat(name, f"s{bucket}", value)
                pipe.xack(STREAM, GROUP, key)
            pipe.execute()
            done += len(found[0][1])
        return time.perf_counter() - began

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal client
        client = redis.from_url(request["redis"])
        events = json.loads(Path(request["events"]).read_text())
        for key in client.scan_iter(match="peer:*", count=5000):
            client.unlink(key)
        fill(events)
        seconds = drain(len(events))
        asked = request["people"]
        totals = [[float(client.hget(f"peer:{who}", "nl0") or 0), float(client.hget(f"peer:{who}", "sl0") or 0)]
                  for who in asked]  # fmt: skip
        client.delete(STREAM)
        return {"seconds": seconds, "totals": totals}

    return answer


def bytewax() -> Callable[[dict[str, Any]], dict[str, Any]]:
    import bytewax.operators as op
    import bytewax.operators.windowing as win
    from bytewax.dataflow import Dataflow
    from bytewax.operators.windowing import EventClock, TumblingWindower
    from bytewax.testing import TestingSink, TestingSource, run_main

    start = datetime(1970, 1, 1, tzinfo=UTC)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        rows = json.loads(Path(request["events"]).read_text())
        # In the order of their times, so that windows close and nothing is late: its best case.
        events = [
            (who, (start + timedelta(microseconds=at), value))
            for who, at, value in sorted(rows, key=lambda row: row[1])
        ]
        flow, outs = Dataflow("counts"), {}
        keyed = op.input("in", flow, TestingSource(events, batch_size=500))
        clock = EventClock(lambda event: event[0], wait_for_system_duration=timedelta(0))
        for letter, width in BUCKETS[:3]:
            windower = TumblingWindower(align_to=start, length=timedelta(seconds=width))
            folded = win.fold_window(
                f"fold_{letter}", keyed, clock, windower, lambda: (0, 0.0),
                lambda total, event: (total[0] + 1, total[1] + event[1]),
                lambda one, other: (one[0] + other[0], one[1] + other[1]),
            )  # fmt: skip
            outs[letter] = []
            op.output(f"out_{letter}", folded.down, TestingSink(outs[letter]))
        began = time.perf_counter()
        run_main(flow)
        seconds = time.perf_counter() - began
        asked = set(request["people"])
        found = [[letter, who, window, *total] for letter, rows in outs.items() for who, (window, total) in rows
                 if who in asked]  # fmt: skip
        return {"seconds": seconds, "windows": found}

    return answer


if __name__ == "__main__":
    respond = {"counters": counters, "bytewax": bytewax}[sys.argv[1]]()
    for line in sys.stdin:
        print(json.dumps(respond(json.loads(line))), flush=True)
