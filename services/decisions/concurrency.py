"""Waiting for several calls at once without leaving one behind."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def both(one: Awaitable[A], other: Awaitable[B]) -> tuple[A, B]:
    """Both results. When one fails the other is still waited for: `asyncio.gather` would answer the caller while the
    second call goes on with a database connection that nobody gives back when the process stops.

    Raises:
        BaseException: whatever the first of the two to be listed raised.
    """
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second
