"""Times that come from outside: within what clocks, counters and tables can hold. Pure."""

import datetime as dt

from shared.contracts.base import FieldError
from shared.errors import InvalidInputError

EARLIEST, LATEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(2200, 1, 1, tzinfo=dt.UTC)


def moment(at: dt.datetime | None) -> dt.datetime:
    """The time asked about, now if none.

    Raises:
        InvalidInputError: outside of what clocks and counters can hold.
    """
    if at is None:
        return dt.datetime.now(dt.UTC)
    if not EARLIEST <= at <= LATEST:
        allowed = f"{EARLIEST.isoformat()} to {LATEST.isoformat()}"
        error = FieldError(field="at", message="lies outside of the calendar", given=at.isoformat(), allowed=allowed)
        raise InvalidInputError(f"at lies outside of {allowed}", errors=[error])
    return at
