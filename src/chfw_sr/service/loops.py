"""The loops of a running service: consume, relay, tick, and any other chore.

Each ends soon after `stop` is set, and loses nothing: a batch that was received is processed and acknowledged, a claim
is published. A server that is down pauses a loop with growing back-off; it never makes a good message a poisonous one.
What a loop raises is a defect of ours; whoever runs the loops ends the process then.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from chfw_sr.portions import portions

from .handover import Handover, until
from .observer import Loop, Observer, Unobserved
from .ports import Consumer, Delivery, Unavailable
from .processor import Batch, Processor, Settled
from .relay import Relay

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
PORTION_OCTETS = 5 * 2**19
"""Octets of Service Requests in one transaction, unless one alone has more: as many as a report of 10,000 activations
has. It makes 20,000 alerts, and a hundred of those in one transaction would fill the memory and hold up everybody."""

FEW = 100
"""Messages below which a batch is settled before the next is received.

What comes meanwhile joins the next batch then, instead of being received halfway and waiting for two; and a transaction
need not wait, with its locks, for documents to be parsed. Where messages lie ready, that is done beside it.
"""

Result = TypeVar("Result")

Chore = Callable[[], Awaitable[bool]]
"""A piece of work; True if there is more to do at once. May raise `Unavailable`."""


async def nothing() -> None:
    """Do nothing before or after a piece of work."""


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
        await until(self._stop, seconds)
        self._observer.came_round(self._loop)


async def _unless(
    stop: asyncio.Event, work: Awaitable[Result], beside: "asyncio.Future[Any] | None" = None
) -> Result | None:
    """Await `work`, or None if `stop` comes first; `work` is cancelled then.

    Args:
        stop: set from outside.
        work: what to wait for.
        beside: goes on meanwhile; what it raises is raised at once.
    """
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not (working.done() or stopping.done()):
            awaited: set[asyncio.Future[Any]] = {working, stopping}
            if beside is not None and not beside.done():
                awaited.add(beside)
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if beside is not None and beside.done():
                beside.result()
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def consume(  # noqa: PLR0913 - all by name
    consumer: Consumer,
    processor: Processor,
    *,
    batch: int,
    wait_seconds: float,
    stop: asyncio.Event,
    done: Callable[[], None] = lambda: None,
    before: Callable[[], Awaitable[None]] = nothing,
    after: Callable[[], Awaitable[None]] = nothing,
    observer: Observer | None = None,
    few: int = FEW,
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
        after: awaited after a batch of few, before the next is received.
        observer: is told of every retry.
        few: messages below which nothing is received while they are settled.
    """
    observer = observer or Unobserved()
    receiving = Backoff("receiving", Loop.CONSUMER, stop, observer)
    taking = Backoff("processing", Loop.CONSUMER, stop, observer)
    settling = _Settling(consumer, processor, stop, done, before, observer)
    try:
        while not stop.is_set():
            settling.others_wait(True)
            try:
                deliveries = await _unless(stop, consumer.receive(batch, wait_seconds), settling.under_way) or ()
            except Unavailable as error:
                await receiving.pause(error)
                continue
            finally:
                settling.others_wait(False)
            receiving.succeeded()
            for portion in portions(deliveries, PORTION_OCTETS, lambda each: len(each.octets)):
                observer.came_round(Loop.CONSUMER)
                taken = await _see_through(partial(processor.take, portion), taking, stop)
                if taken is None or not await settling.begin(portion, taken):
                    break
            if len(deliveries) < few:
                await settling.finish()
                await after()
    except asyncio.CancelledError:
        settling.cancel()
        raise
    finally:
        await settling.finish()


class _Settling:
    """Settles a portion while the next one is received and taken in; one after the other, in order.

    Args:
        consumer: acknowledges it.
        processor: settles it.
        stop: set from outside.
        done: called after each portion.
        before: awaited before a portion is settled.
        observer: is told of every retry.

    Attributes:
        under_way: the portion that is being settled now, or was last.
    """

    def __init__(
        self,
        consumer: Consumer,
        processor: Processor,
        stop: asyncio.Event,
        done: Callable[[], None],
        before: Callable[[], Awaitable[None]],
        observer: Observer,
    ) -> None:
        self.under_way: asyncio.Task[bool] | None = None
        self._consumer = consumer
        self._processor = processor
        self._stop = stop
        self._done = done
        self._before = before
        self._observer = observer
        self._settling = Backoff("processing", Loop.CONSUMER, stop, observer)
        self._acknowledging = Backoff("acknowledging", Loop.CONSUMER, stop, observer)
        self._others_wait = False

    def others_wait(self, wait: bool) -> None:
        """Learn whether the loop has nothing else to do: it waits for messages, then, once nothing is under way."""
        self._others_wait = wait
        self._rest()

    def _rest(self) -> None:
        if self._others_wait and (self.under_way is None or self.under_way.done()):
            self._observer.waits(Loop.CONSUMER)

    async def begin(self, portion: Sequence[Delivery], taken: Batch) -> bool:
        """Wait for the portion before, and begin with this one; False if that could not be settled before the end.

        This one is settled whether or not the one before could be acknowledged: it may have come on another connection,
        which will not deliver it again.
        """
        if not await self.finish():
            return False
        self.under_way = asyncio.create_task(self._see_off(portion, taken))
        self.under_way.add_done_callback(lambda _: self._rest())
        return True

    def cancel(self) -> None:
        """Cut short what is under way; it comes again."""
        if self.under_way is not None:
            self.under_way.cancel()

    async def finish(self) -> bool:
        """Wait until nothing is under way; give whether more may follow."""
        under_way, self.under_way = self.under_way, None
        return True if under_way is None else await under_way

    async def _see_off(self, portion: Sequence[Delivery], taken: Batch) -> bool:
        async def settle() -> Settled:
            await self._before()
            return await self._processor.settle(taken)

        settled = await _see_through(settle, self._settling, self._stop)
        if settled is None:
            logger.info("%d message(s) or more are left unacknowledged; they come again", len(portion))
            return False
        self._done()
        await asyncio.sleep(0)  # the relay asks for what it may publish, and meanwhile all is reported
        self._processor.report(settled)
        try:
            await self._consumer.acknowledge(portion)
            self._acknowledging.succeeded()
        except Unavailable as error:  # all is committed: what comes again is a repeat
            await self._acknowledging.pause(error)
        return True


async def _see_through(work: Callable[[], Awaitable[Result]], backoff: Backoff, stop: asyncio.Event) -> Result | None:
    """Do something however often that takes; None if the service is to stop before it was possible."""
    while True:
        try:
            result = await work()
        except Unavailable as error:
            if stop.is_set():
                return None
            await backoff.pause(error)
        else:
            backoff.succeeded()
            return result


async def relay(
    relay: Relay,
    *,
    handover: Handover,
    idle_seconds: float,
    stop: asyncio.Event,
    loop: Loop = Loop.RELAY,
    observer: Observer | None = None,
) -> None:
    """Empty the outbox whenever there is something in it, until `stop` is set.

    Args:
        relay: what does it.
        handover: wakes it when something was put in, and is told when that is on its way.
        idle_seconds: how often to look in any case; another process may have put something in.
        stop: set from outside; what others put into the outbox from then on stays there for the next relay.
        loop: its name: there are two ways out.
        observer: is told of every retry.
    """

    async def chore() -> bool:
        handover.wake.clear()
        return bool(await relay.step(handover.begun))

    what = "publishing" if loop is Loop.RELAY else str(loop)
    async with _calling(handover.wake, stop):
        await repeat(
            loop, chore, every_seconds=idle_seconds, stop=stop, what=what, wake=handover.wake, observer=observer
        )
    try:
        while await relay.step() >= relay.batch:
            pass
    except Unavailable as error:
        logger.info("what is in the outbox stays there for the next relay: %s", error)
    finally:
        await relay.finish()


@asynccontextmanager
async def _calling(called: asyncio.Event, caller: asyncio.Event) -> AsyncIterator[None]:
    """Set one event when another is set: a task that waits for both wakes sooner if it waits for one."""
    waiting = asyncio.create_task(caller.wait())
    waiting.add_done_callback(lambda _: called.set())
    try:
        yield
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def tick(
    clockwork: Ticking,
    *,
    every_seconds: float,
    stop: asyncio.Event,
    done: Callable[[], None] = lambda: None,
    before: Callable[[], Awaitable[None]] = nothing,
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
    what: str | None = None,
    wake: asyncio.Event | None = None,
    observer: Observer | None = None,
) -> None:
    """Do a chore again and again, until `stop` is set.

    Args:
        loop: its name.
        chore: what to do.
        every_seconds: how long to rest when there is no more to do.
        stop: set from outside.
        what: is tried again, for log and observer, if not the loop by its name.
        wake: ends a rest early, if not `stop`.
        observer: is told of every retry.
    """
    observer = observer or Unobserved()
    backoff = Backoff(what or str(loop), loop, stop, observer)
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
            await until(wake or stop, every_seconds)
