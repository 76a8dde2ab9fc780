"""The loops of a running service: relay, tick, and any other chore; `consuming` has the one that takes requests.

Each ends soon after `stop` is set, and loses nothing: a batch that was received is processed and acknowledged, a claim
is published. A server that is down pauses a loop with growing back-off; it never makes a good message a poisonous one.
What a loop raises is a defect of ours; whoever runs the loops ends the process then.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from .observer import Loop, Observer, Unobserved
from .ports import Unavailable
from .relay import Relay

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0

FEW = 0.25
"""Of what a relay may claim at once: after fewer it has most likely got all that there was."""

AGAIN_SECONDS = 0.025
"""After which a relay that got few looks for what others have put in meanwhile; under load it is woken sooner."""

Result = TypeVar("Result")

Chore = Callable[[], Awaitable[bool]]
"""A piece of work; True if there is more to do at once. May raise `Unavailable`."""


async def nothing() -> None:
    """Do nothing before a piece of work."""


async def until(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, or as long as this."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


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


class Interruptible:
    """Awaits one thing after the other, and nothing any longer once something else has happened.

    It makes no task of what it awaits, which would cost turns of the event loop each time.

    Args:
        ends: when one of them is done, what is awaited is cancelled.
    """

    def __init__(self, *ends: "asyncio.Future[Any]") -> None:
        self._ends = ends
        self._awaiting: asyncio.Timeout | None = None
        for each in ends:
            each.add_done_callback(self._interrupt)

    async def wait_for(self, work: Awaitable[Result]) -> Result | None:
        """Await `work`; None if something else came before it, and what that has raised is raised."""
        self._awaiting = until = asyncio.timeout(0 if any(each.done() for each in self._ends) else None)
        try:
            async with until:
                return await work
        except TimeoutError:
            if not until.expired():
                raise
        finally:
            self._awaiting = None
        for each in self._ends:
            if each.done():
                each.result()
        return None

    def _interrupt(self, _ended: "asyncio.Future[Any]") -> None:
        if self._awaiting is not None and self._awaiting.when() is None:
            self._awaiting.reschedule(asyncio.get_running_loop().time())


async def see_through(work: Callable[[], Awaitable[Result]], backoff: Backoff, stop: asyncio.Event) -> Result | None:
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
    wake: asyncio.Event,
    idle_seconds: float,
    stop: asyncio.Event,
    loop: Loop = Loop.RELAY,
    observer: Observer | None = None,
) -> None:
    """Empty the outbox whenever there is something in it, until `stop` is set.

    A relay that found something looks again, for what was in a lane that it held itself may be another process's, whose
    relay has passed over it.

    Args:
        relay: what does it.
        wake: set when something was put in.
        idle_seconds: how often to look in any case; another process may have put something in.
        stop: set from outside; what others put into the outbox from then on stays there for the next relay.
        loop: its name: there are two ways out.
        observer: is told of every retry.
    """

    async def chore() -> bool:
        wake.clear()
        claimed = await relay.step()
        if 0 < claimed < FEW * relay.batch:
            await until(wake, AGAIN_SECONDS)
        return bool(claimed)

    what = "publishing" if loop is Loop.RELAY else str(loop)
    async with _calling(wake, stop):
        await repeat(loop, chore, every_seconds=idle_seconds, stop=stop, what=what, wake=wake, observer=observer)
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
