"""Sends what has no Service Response yet: at once, and again at growing intervals."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from chfw_sr.messages import SRV, RequestID
from chfw_sr.unavailable import Unavailable

from .transport import Transport

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 3600.0
"""Between two attempts for one request, at most."""

PAUSE_SECONDS = 0.2
"""After the bus was unavailable; a transport that connects paces itself besides."""


@dataclass(slots=True)
class _Due:
    """A request that waits for its response; `at` is loop time."""

    srv: SRV | str
    octets: bytes
    at: float
    interval_seconds: float
    sent: bool = False


class Dispatcher:
    """Sends requests, one after the other, until they are removed.

    Args:
        transport: the way to the DCC.
        interval_seconds: until the second attempt; twice as long each time, up to an hour.
    """

    def __init__(self, transport: Transport, interval_seconds: float) -> None:
        self._transport = transport
        self._interval_seconds = interval_seconds
        self._due: dict[RequestID, _Due] = {}
        self._changed = asyncio.Event()
        self._sent = asyncio.Event()

    def add(self, request_id: RequestID, srv: SRV | str, octets: bytes) -> None:
        """Send a request now, and again until it is removed; one that is being sent already goes on as it is."""
        now = asyncio.get_running_loop().time()
        self._due.setdefault(request_id, _Due(srv, octets, now, self._interval_seconds))
        self._changed.set()

    def remove(self, request_id: RequestID) -> None:
        """Send it no more: it was answered."""
        self._due.pop(request_id, None)

    def was_sent(self, request_id: RequestID) -> bool:
        """Tell whether the bus has a request safe, or it was removed since."""
        return request_id not in self._due or self._due[request_id].sent

    async def next_sent(self, instead: "asyncio.Future[None]") -> None:
        """Wait until some request was sent, or for something else."""
        self._sent.clear()
        sent = asyncio.ensure_future(self._sent.wait())
        either: set[asyncio.Future[Any]] = {sent, instead}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sent.cancel()

    async def run(self) -> None:
        """Send what is due, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            request_id = min(self._due, key=lambda each: self._due[each].at, default=None)
            rest = None if request_id is None else self._due[request_id].at - loop.time()
            if request_id is None or (rest is not None and rest > 0):
                await self._until_changed(rest)
                continue
            due = self._due[request_id]
            try:
                await self._transport.send(due.octets, request_id, due.srv)
            except Unavailable as error:
                logger.warning("requests: %s; trying again", error)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            due.sent = True
            self._sent.set()
            due.at = loop.time() + due.interval_seconds
            due.interval_seconds = min(2 * due.interval_seconds, LONGEST_SECONDS)

    async def _until_changed(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
