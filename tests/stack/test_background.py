"""Background work ends with its service, whatever the libraries inside it do with a cancellation."""

import asyncio

from shared.web.background import background, every


async def test_work_that_swallows_a_cancellation_is_cancelled_again() -> None:
    rounds = 0
    begun = asyncio.Event()

    async def stubborn() -> None:
        nonlocal rounds
        rounds += 1
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            if rounds == 1:
                raise ConnectionError("the client gave up just then") from error
            raise

    async with asyncio.timeout(5), background(every(0.001, stubborn, "test.failed")):
        await begun.wait()
    assert rounds == 2


async def test_work_that_fails_for_good_does_not_break_the_shutdown() -> None:
    async def broken() -> None:
        raise ValueError("no")

    async with background(broken()):
        await asyncio.sleep(0.01)
