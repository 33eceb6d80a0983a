"""The peer's Celery worker: `python -m benchmarks.item_worker NAME`, one task an item."""

import os
import sys

from benchmarks.batching import create_item_app

if __name__ == "__main__":
    create_item_app(os.environ["REDIS_URL"]).worker_main(
        [
            "worker",
            "--queues",
            "items",
            "--concurrency",
            "1",
            "--loglevel",
            "WARNING",
            "--hostname",
            f"{sys.argv[1]}@bench",
        ]
    )
