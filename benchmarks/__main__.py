"""`python -m benchmarks [NAME ...]`: run the named benchmarks, or all; one JSON file each. `report`: README."""

import importlib
import json
import sys
import time

from benchmarks import report
from benchmarks.harness import write

NAMES = (
    "embedding",
    "search",
    "importing",
    "writing",
    "engine",
    "starting",
    "deciding",
    "layers",
    "trees",
    "checking",
    "joining",
    "serving",
    "streaming",
    "drifting",
    "recommending",
    "batching",
    "adapters",
)


def main(names: list[str]) -> int:
    if names == ["report"]:
        report.main()
        return 0
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are {', '.join(NAMES)}")
        return 1
    for name in names or NAMES:
        began = time.perf_counter()
        print(f"{name} ...", flush=True)
        result = importlib.import_module(f"benchmarks.{name}").run()
        path = write(name, result)
        print(json.dumps(result, indent=2))
        print(f"{name}: {time.perf_counter() - began:.0f} s, kept in {path}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
