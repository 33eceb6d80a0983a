"""How far a job is, and whether somebody wants it stopped: what trainers call between their steps. Pure."""

from typing import Protocol

from services.training.errors import StoppedError


class Told(Protocol):
    """Called between steps with the step's name, how much is done, of how much; raises `StoppedError` to stop."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Step `step` is at `done` of `total`."""


class Ticket:
    """A job's progress, read by another thread than the one that trains."""

    def __init__(self) -> None:
        self.step, self.done, self.total = "", 0, 0
        self.stop = False

    def __call__(self, step: str, done: int, total: int) -> None:
        """Step on, or stop here.

        Raises:
            StoppedError: the job was cancelled.
        """
        self.step, self.done, self.total = step, done, total
        if self.stop:
            raise StoppedError(step)
