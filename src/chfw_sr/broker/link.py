"""One connection for one purpose: opened when it is needed, thrown away when it is suspect.

The rules:

- Nothing connects before it is asked to. A lost connection is opened again on the next use, never behind anyone's back.
- Attempts are paced: after a failure the next one waits, twice as long each time up to a bound.
- A peer that does not answer cannot hold us up: hanging up takes a bounded time, then the socket is cut.
"""

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from chfw_sr.unavailable import Unavailable

from .failures import describe, unavailable_if_lost

if TYPE_CHECKING:
    from .connection import Server

logger = logging.getLogger(__name__)

HANG_UP_SECONDS = 2.0
"""How long a peer may take to agree to the end of a connection, before the socket is cut."""

Connection = TypeVar("Connection")
Opened_co = TypeVar("Opened_co", covariant=True)
Result = TypeVar("Result")


class Call(Protocol[Opened_co]):
    """One attempt to connect, and what comes of it."""

    async def connect(self) -> Opened_co:
        """Open the connection."""
        ...

    async def hang_up(self) -> None:
        """Take leave of the peer and wait until it agrees; nothing if there is no connection."""
        ...

    def cut(self) -> None:
        """End the connection without a word."""
        ...


class PacedLink(ABC, Generic[Connection]):
    """One connection for one purpose; how it is made is a subclass's matter.

    Args:
        server: to whom.
        purpose: what the server's operators see of it.
        pause_seconds: after the first failed attempt to connect.
        longest_pause_seconds: between attempts; each is shortened by chance, so that not all come back at once.
    """

    def __init__(
        self, server: "Server", purpose: str, *, pause_seconds: float = 0.1, longest_pause_seconds: float = 5.0
    ) -> None:
        self.server = server
        self.purpose = purpose
        self._pauses = (pause_seconds, longest_pause_seconds)
        self._failures = 0
        self._not_before = 0.0
        self._closed = asyncio.Event()
        self._call: Call[Connection] | None = None

    @abstractmethod
    def _dial(self) -> Call[Connection]:
        """Prepare one attempt to connect."""

    async def open(self, set_up: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Connect anew, when it is our turn, and set up what is needed; what was there before is dropped.

        Args:
            set_up: gets the new connection; what it gives is given back.

        Raises:
            Unavailable: if it did not work out, or the link was closed meanwhile.
        """
        await self.drop()
        await self._turn()
        call = self._call = self._dial()
        try:
            with unavailable_if_lost(self.server):
                async with asyncio.timeout(self.server.timeout_seconds):
                    result = await set_up(await call.connect())
            self._check_open()
        except BaseException:
            self._failures += 1
            self._call = call  # `close` takes it away while it is being made, and hangs up what is not there yet
            await self.drop()
            raise
        finally:
            self._not_before = asyncio.get_running_loop().time() + self._next_pause()
        self._failures = 0
        logger.info("%s: connected for %s", self.server, self.purpose)
        return result

    async def drop(self) -> None:
        """Cut the connection, if there is one: what was under way on it is as good as lost."""
        if self._call is not None:
            self._call.cut()
        await self._hang_up()

    async def close(self) -> None:
        """Hang up for good; who waits for a turn to connect is told."""
        self._closed.set()
        await self._hang_up()

    async def _hang_up(self) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        closing = asyncio.ensure_future(call.hang_up())
        await asyncio.wait({closing}, timeout=HANG_UP_SECONDS)
        if not closing.done():
            call.cut()
            await asyncio.wait({closing}, timeout=HANG_UP_SECONDS)
        if closing.done() and not closing.cancelled() and (error := closing.exception()):
            logger.debug("%s: hanging up: %s", self.server, describe(error))

    async def _turn(self) -> None:
        """Wait until the next attempt may be made."""
        self._check_open()
        seconds = self._not_before - asyncio.get_running_loop().time()
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._closed.wait()
            except TimeoutError:
                pass
            self._check_open()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Unavailable(f"the {self.purpose} is closed")

    def _next_pause(self) -> float:
        first, longest = self._pauses
        return min(longest, first * 2.0 ** min(self._failures, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads
