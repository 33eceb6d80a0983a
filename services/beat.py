"""The Celery beat: what sends the schedule's tasks, several at once for safety, of which one acts (RedBeat's lock in Redis).

When each task was last sent is in Redis too, and is written before the task is sent. So a beat that is killed loses at most
the tick it was at, and who takes over repeats none. A beat that was stopped for longer than the lock's time finds at its next
tick that the lock is another's, and waits again; only a stop in the middle of a tick, between asking for the lock and
sending, could double one.
"""

import time
from collections.abc import Mapping

import msgspec
import structlog
from celery import Celery

from shared.clients.tasks import create_celery
from shared.contracts.tasks import SCHEDULE, TaskPayload
from shared.settings import Settings
from shared.web.logs import configure_logging

_LOCK_SECONDS = 10
_TICKS_A_LOCK = 5  # looks at the schedule within the lock's time, each of which prolongs it
_AGAIN_SECONDS = 1.0
_PREFIX = "atelier:beat"

log = structlog.get_logger()


def scheduled(
    settings: Settings, schedule: Mapping[type[TaskPayload], float] = SCHEDULE, lock_seconds: int = _LOCK_SECONDS
) -> Celery:
    """The Celery app with its schedule: payload -> seconds."""
    celery = create_celery(settings.redis_url)
    celery.conf.update(
        beat_scheduler="redbeat.RedBeatScheduler",
        beat_max_loop_interval=lock_seconds / _TICKS_A_LOCK,
        redbeat_redis_url=settings.redis_url,
        redbeat_redis_options={},
        redbeat_key_prefix=_PREFIX,
        redbeat_lock_timeout=lock_seconds,
        beat_schedule={
            payload.task: {
                "task": payload.task, "schedule": seconds, "args": [msgspec.to_builtins(payload(tenant=""))],
                "options": {"queue": payload.queue, "expires": seconds},
            }
            for payload, seconds in schedule.items()
        },
    )  # fmt: skip
    return celery


def run_beat(
    settings: Settings, schedule: Mapping[type[TaskPayload], float] = SCHEDULE, lock_seconds: int = _LOCK_SECONDS
) -> None:
    """Send the schedule's tasks until stopped, whenever no other beat does."""
    configure_logging(settings)
    while True:
        try:
            scheduled(settings, schedule, lock_seconds).Beat(loglevel="WARNING", quiet=True).run()
        except Exception as error:  # Redis was gone, or another took over: wait for the turn again
            log.warning("beat.waits", kind=type(error).__name__, detail=str(error)[:200])
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def beat_acts(settings: Settings) -> bool:
    """Does any beat hold the lock?"""
    return bool(scheduled(settings).backend.client.exists(f"{_PREFIX}:lock"))
