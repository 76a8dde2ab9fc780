"""The three loops of a running service: consume, relay, tick. Each ends soon after `stop` is set, and loses nothing.

A server that is down pauses a loop with growing back-off; it never makes a good message a poisonous one. A loop that is
stopped finishes what it has in hand: a batch that was received is processed and acknowledged, a claim is published.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .clockwork import Clockwork
from .observer import Observer, Unobserved
from .ports import Consumer, Unavailable
from .processor import Processor
from .relay import Relay

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0

Result = TypeVar("Result")


class Backoff:
    """Pauses that double from one failure to the next, up to a bound, each shortened by chance.

    Args:
        what: what is tried again, for log and observer.
        stop: ends a pause early.
        observer: is told of every pause.
    """

    def __init__(self, what: str, stop: asyncio.Event, observer: Observer) -> None:
        self._what = what
        self._stop = stop
        self._observer = observer
        self._failures = 0

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0

    def next_pause(self) -> float:
        """Give the length of the next pause, seconds."""
        bound = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return bound * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries; no secret hangs on it

    async def pause(self, error: Unavailable) -> None:
        """Wait, unless the service is to stop."""
        seconds = self.next_pause()
        self._observer.retried(self._what)
        logger.warning("%s: %s; trying again in %.1f s", self._what, error, seconds)
        await _until(self._stop, seconds)


async def _until(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


async def _unless(stop: asyncio.Event, work: Awaitable[Result]) -> Result | None:
    """Await `work`, or None if `stop` comes first; `work` is cancelled then."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def consume(
    consumer: Consumer,
    processor: Processor,
    *,
    batch: int,
    wait_seconds: float,
    stop: asyncio.Event,
    done: Callable[[], None] = lambda: None,
    observer: Observer | None = None,
) -> None:
    """Take Service Requests, process them, acknowledge them, until `stop` is set.

    Args:
        consumer: where they come from.
        processor: where they go.
        batch: how many at once, at most.
        wait_seconds: how long a batch may wait to fill.
        stop: set from outside.
        done: called after each batch; wakes the relay of the same process.
        observer: is told of every retry.
    """
    observer = observer or Unobserved()
    receiving, processing = Backoff("receiving", stop, observer), Backoff("processing", stop, observer)
    while not stop.is_set():
        try:
            deliveries = await _unless(stop, consumer.receive(batch, wait_seconds))
        except Unavailable as error:
            await receiving.pause(error)
            continue
        receiving.succeeded()
        if not deliveries:
            continue
        while True:
            try:
                await processor.process(deliveries)
                await consumer.acknowledge(deliveries)
                processing.succeeded()
                done()
                break
            except Unavailable as error:
                if stop.is_set():
                    return  # not acknowledged: it comes again
                await processing.pause(error)


async def relay(
    relay: Relay,
    *,
    wake: asyncio.Event,
    idle_seconds: float,
    stop: asyncio.Event,
    observer: Observer | None = None,
) -> None:
    """Empty the outbox whenever there is something in it, until `stop` is set.

    Args:
        relay: what does it.
        wake: set by whoever has put something in.
        idle_seconds: how often to look in any case; another process may have put something in.
        stop: set from outside; what is in the outbox then stays there for the next relay.
        observer: is told of every retry.
    """
    backoff = Backoff("publishing", stop, observer or Unobserved())
    while not stop.is_set():
        wake.clear()
        try:
            claimed = await relay.step()
            backoff.succeeded()
        except Unavailable as error:
            await backoff.pause(error)
            continue
        if not claimed:
            await _unless(stop, _until(wake, idle_seconds))


async def tick(
    clockwork: Clockwork,
    *,
    every_seconds: float,
    stop: asyncio.Event,
    done: Callable[[], None] = lambda: None,
    observer: Observer | None = None,
) -> None:
    """Take the clock-driven steps that are due, until `stop` is set.

    Args:
        clockwork: what does it.
        every_seconds: how often to look.
        stop: set from outside.
        done: called after steps were taken; wakes the relay of the same process.
        observer: is told of every retry.
    """
    backoff = Backoff("the clock", stop, observer or Unobserved())
    while not stop.is_set():
        try:
            if await clockwork.tick():
                done()
                continue
            backoff.succeeded()
        except Unavailable as error:
            await backoff.pause(error)
            continue
        await _until(stop, every_seconds)
