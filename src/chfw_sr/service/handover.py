"""Between what puts messages into the outbox and the relay of the same process."""

import asyncio


class Handover:
    """Wakes the relay, and tells when it has begun to publish what it was woken for.

    The event loop serves one at a time: whoever goes on to work for some milliseconds lets the relay go first, so that
    what is ready does not wait for what is not.
    """

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self._begun = asyncio.Event()
        self._begun.set()

    @property
    def is_over(self) -> bool:
        """Whether all that was put is on its way."""
        return self._begun.is_set()

    def put(self) -> None:
        """Tell that something was put into the outbox, and is committed."""
        self._begun.clear()
        self.wake.set()

    def begun(self) -> None:
        """Tell that what a claim found is on its way; what was put there since the relay woke is not."""
        if not self.wake.is_set():
            self._begun.set()

    async def wait(self, seconds: float) -> None:
        """Wait until what was put before is on its way, or as long as this."""
        await until(self._begun, seconds)


async def until(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, or as long as this."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
