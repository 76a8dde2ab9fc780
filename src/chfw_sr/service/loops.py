"""The loops of a running service: consume, relay, tick, and any other chore.

Each ends soon after `stop` is set, and loses nothing: a batch that was received is processed and acknowledged, a claim
is published. A server that is down pauses a loop with growing back-off; it never makes a good message a poisonous one.
What a loop raises is a defect of ours; whoever runs the loops ends the process then.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from chfw_sr.portions import portions

from .observer import Loop, Observer, Unobserved
from .ports import Consumer, Delivery, Unavailable
from .processor import Processor
from .relay import Relay

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
PORTION_OCTETS = 2**20
"""Octets of Service Requests in one transaction, unless one alone has more: a report of 10,000 activations makes 20,000
alerts, and a hundred of those in one transaction would fill the memory and hold up everybody."""

Result = TypeVar("Result")

Chore = Callable[[], Awaitable[bool]]
"""A piece of work; True if there is more to do at once. May raise `Unavailable`."""


async def no_preparation() -> None:
    """Do nothing before a piece of work."""


class Ticking(Protocol):
    """What the clock's loop drives."""

    async def tick(self) -> int:
        """Take the steps that are due; give how many there were."""
        ...


class Backoff:
    """Pauses that double from one failure to the next, up to a bound, each shortened by chance.

    Args:
        what: what is tried again, for log and observer.
        loop: which tries.
        stop: ends a pause early.
        observer: is told of every pause.
    """

    def __init__(self, what: str, loop: Loop, stop: asyncio.Event, observer: Observer) -> None:
        self._what = what
        self._loop = loop
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
        self._observer.came_round(self._loop)


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
    before: Callable[[], Awaitable[None]] = no_preparation,
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
        before: awaited before a batch is processed; may raise `Unavailable`.
        observer: is told of every retry.
    """
    observer = observer or Unobserved()
    receiving = Backoff("receiving", Loop.CONSUMER, stop, observer)
    processing = Backoff("processing", Loop.CONSUMER, stop, observer)
    acknowledging = Backoff("acknowledging", Loop.CONSUMER, stop, observer)

    async def process(deliveries: Sequence[Delivery]) -> None:
        await before()
        await processor.process(deliveries)

    while not stop.is_set():
        observer.waits(Loop.CONSUMER)
        try:
            deliveries = await _unless(stop, consumer.receive(batch, wait_seconds)) or ()
        except Unavailable as error:
            await receiving.pause(error)
            continue
        receiving.succeeded()
        for portion in portions(deliveries, PORTION_OCTETS, lambda each: len(each.octets)):
            observer.came_round(Loop.CONSUMER)
            if not await _see_through(partial(process, portion), processing, stop):
                logger.info("%d message(s) or more are left unacknowledged; they come again", len(portion))
                return
            done()
            try:
                await consumer.acknowledge(portion)
                acknowledging.succeeded()
            except Unavailable as error:  # all is committed: what comes again is a repeat; the other portions, too
                await acknowledging.pause(error)
                break


async def _see_through(work: Callable[[], Awaitable[None]], backoff: Backoff, stop: asyncio.Event) -> bool:
    """Do something however often that takes; False if the service is to stop before it was possible."""
    while True:
        try:
            await work()
        except Unavailable as error:
            if stop.is_set():
                return False
            await backoff.pause(error)
        else:
            backoff.succeeded()
            return True


async def relay(
    relay: Relay,
    *,
    wake: asyncio.Event,
    idle_seconds: float,
    stop: asyncio.Event,
    loop: Loop = Loop.RELAY,
    observer: Observer | None = None,
) -> None:
    """Empty the outbox whenever there is something in it, until `stop` is set.

    Args:
        relay: what does it.
        wake: set by whoever has put something in.
        idle_seconds: how often to look in any case; another process may have put something in.
        stop: set from outside; what others put into the outbox from then on stays there for the next relay.
        loop: its name: there are two ways out.
        observer: is told of every retry.
    """
    observer = observer or Unobserved()
    backoff = Backoff("publishing" if loop is Loop.RELAY else str(loop), loop, stop, observer)
    while not stop.is_set():
        wake.clear()
        try:
            observer.came_round(loop)
            claimed = await relay.step()
            backoff.succeeded()
        except Unavailable as error:
            await backoff.pause(error)
            continue
        if not claimed:
            observer.waits(loop)
            await _unless(stop, _until(wake, idle_seconds))
    try:
        while await relay.step() >= relay.batch:
            pass
    except Unavailable as error:
        logger.info("what is in the outbox stays there for the next relay: %s", error)
    finally:
        await relay.finish()


async def tick(
    clockwork: Ticking,
    *,
    every_seconds: float,
    stop: asyncio.Event,
    done: Callable[[], None] = lambda: None,
    before: Callable[[], Awaitable[None]] = no_preparation,
    observer: Observer | None = None,
) -> None:
    """Take the clock-driven steps that are due, until `stop` is set.

    Args:
        clockwork: what does it.
        every_seconds: how often to look.
        stop: set from outside.
        done: called after steps were taken; wakes the relay of the same process.
        before: awaited before each look; may raise `Unavailable`.
        observer: is told of every retry.
    """

    async def chore() -> bool:
        await before()
        steps = await clockwork.tick()
        if steps:
            done()
        return bool(steps)

    await repeat(Loop.CLOCK, chore, every_seconds=every_seconds, stop=stop, observer=observer)


async def repeat(
    loop: Loop,
    chore: Chore,
    *,
    every_seconds: float,
    stop: asyncio.Event,
    observer: Observer | None = None,
) -> None:
    """Do a chore again and again, until `stop` is set.

    Args:
        loop: its name.
        chore: what to do.
        every_seconds: how long to rest when there is no more to do.
        stop: set from outside.
        observer: is told of every retry.
    """
    observer = observer or Unobserved()
    backoff = Backoff(str(loop), loop, stop, observer)
    while not stop.is_set():
        observer.came_round(loop)
        try:
            more = await chore()
            backoff.succeeded()
        except Unavailable as error:
            await backoff.pause(error)
            continue
        if not more:
            observer.waits(loop)
            await _until(stop, every_seconds)
