"""Consumers of the stream in processes of their own, to be killed: `python -m tests.features.consumer REDIS_URL NAME...`.

What they need is imported once; then one after the other is forked, its process id told, and its end waited for.
"""

import asyncio
import os
import sys

from services.features.online import OnlineStore
from services.features.streaming import GROUP, Counter
from shared.clients.stream import event_stream


async def consume(url: str, name: str) -> None:
    """Count for ever."""
    store, stream = OnlineStore(url, seconds=10), event_stream(url)
    stream.subscribe(GROUP, name, Counter(store, None).count, 8)
    await stream.open()
    while True:
        await stream.watch()
        await asyncio.sleep(0.2)


def main(url: str, names: list[str]) -> None:
    """Fork for each name but the last, which is this process itself."""
    for name in names[:-1]:
        victim = os.fork()
        if not victim:
            asyncio.run(consume(url, name))
        print(victim, flush=True)  # noqa: T201
        os.waitpid(victim, 0)
    print(os.getpid(), flush=True)  # noqa: T201
    asyncio.run(consume(url, names[-1]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
