"""A real Celery worker whose texts cost a moment and no model: `python -m tests.batches.noop_worker MILLISECONDS`."""

import asyncio
import sys

from celery.signals import worker_process_init

from services.batches import tasks
from services.batches.leases import Chunk, Outcome
from services.batches.writing import Written
from shared.clients.tasks import TaskSender, create_celery
from shared.contracts.generation import Sections, Usage
from shared.settings import load_settings
from shared.worker import WorkerRuntime


def main() -> None:
    settings, seconds = load_settings(), float(sys.argv[1]) / 1000
    celery = create_celery(settings.redis_url)
    runtime = WorkerRuntime(settings, TaskSender(celery))

    async def write(chunk: Chunk) -> Written:
        await asyncio.sleep(seconds)
        return Written([Outcome(work.text_key, "written", None, Sections(body=work.text_key), None) for work in chunk.works],
                       Usage(calls=len(chunk.works)))  # fmt: skip

    tasks.register(celery, runtime, write)
    worker_process_init.connect(weak=False)(lambda **_: runtime.start())
    celery.worker_main(["worker", "--queues", "batches", "--concurrency", "1", "--loglevel", "WARNING", "--without-gossip",
                        "--without-mingle", "--without-heartbeat", "--hostname", f"{sys.argv[2]}@test"])  # fmt: skip


if __name__ == "__main__":
    main()
