"""A circuit breaker: nobody waits for a server that is down, and one probe finds out when it is back."""

import time
from collections.abc import Callable


class Breaker:
    """Closed until `failures` happen in a row; open for `seconds`; then one caller at a time may probe."""

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._count = 0
        self._opened_at: float | None = None
        self._probing = False

    def admits(self) -> bool:
        """May this call go out? True for every call when closed, for one probe when the time is over."""
        if self._opened_at is None:
            return True
        if self._probing or self._clock() - self._opened_at < self._seconds:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """The call came back with an answer."""
        self._count, self._opened_at, self._probing = 0, None, False

    def failed(self) -> None:
        """The call failed or took too long."""
        self._count += 1
        self._probing = False
        if self._count >= self._limit:
            self._opened_at = self._clock()

    def released(self) -> None:
        """The call was given up by its caller: neither a success nor the server's failure."""
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Is nobody let through but a probe?"""
        return self._opened_at is not None
