"""A real beat with a schedule for tests: `python -m tests.stack.quick_beat TICK_SECONDS LOCK_SECONDS`."""

import sys

from services.beat import run_beat
from shared.contracts.tasks import SweepMonitors
from shared.settings import load_settings

if __name__ == "__main__":
    run_beat(load_settings(), {SweepMonitors: float(sys.argv[1])}, int(sys.argv[2]))
