"""The loop that takes Service Requests: they are received, taken in, settled and acknowledged.

One batch is settled at a time. What comes meanwhile is taken in ahead, and is the next batch as soon as this one is
settled: so a request waits for one settlement besides its own, and its documents for none.

Taking in keeps the event loop busy. It is done while the database has the word for long: when it is asked for all that
a batch is about, and may have to wait for another process's locks, and when it commits. Amid the decisions it would
hold them up, and with them whoever waits for the locks of this batch. Once all that has come by then is taken in, the
rest of that time is not used: each message by itself would be handed to a thread and back, which costs more than it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from chfw_sr.portions import portions

from .batches import Batch, Settled
from .loops import Backoff, Interruptible, nothing, see_through
from .observer import Loop, Observer, Unobserved
from .ports import Consumer, Unavailable
from .processor import Processor

logger = logging.getLogger(__name__)

PORTION_OCTETS = 5 * 2**19
"""Octets of Service Requests in one transaction, unless one alone has more: as many as a report of 10,000 activations
has. It makes 20,000 alerts, and a hundred of those in one transaction would fill the memory and hold up everybody."""

TOGETHER = 64
"""Messages that are received and taken in together, at most: some 10 ms in which nothing else happens."""


async def consume(
    consumer: Consumer,
    processor: Processor,
    *,
    batch: int,
    wait_seconds: float,
    stop: asyncio.Event,
    done: Callable[[], None] = lambda: None,
    before: Callable[[], Awaitable[None]] = nothing,
    observer: Observer | None = None,
) -> None:
    """Take Service Requests, process them, acknowledge them, until `stop` is set.

    Args:
        consumer: where they come from.
        processor: where they go.
        batch: how many are settled at once, at most.
        wait_seconds: how long what is received may wait for more.
        stop: set from outside; what is in hand then is seen through.
        done: called after each batch; wakes the relay of the same process.
        before: awaited before a batch is settled; may raise `Unavailable`.
        observer: is told of every retry.
    """
    observer = observer or Unobserved()
    receiving = Backoff("receiving", Loop.CONSUMER, stop, observer)
    taking = Backoff("processing", Loop.CONSUMER, stop, observer)
    ahead = _Ahead(batch)
    settler = _Settler(consumer, processor, ahead, stop, done, before, observer)
    settling, stopping = asyncio.create_task(settler.run()), asyncio.create_task(stop.wait())
    interruptible = Interruptible(settling, stopping)

    async def spare_time() -> None:
        if not settler.leaves_time.is_set():
            await interruptible.wait_for(settler.leaves_time.wait())

    try:
        while not stop.is_set():
            await spare_time()
            if not ahead.room:
                await interruptible.wait_for(ahead.has_room())
                continue
            settler.others_wait(True)
            try:
                asked = min(ahead.room, TOGETHER)
                received = consumer.receive(asked, wait_seconds)
                deliveries = await interruptible.wait_for(received) or ()
            except Unavailable as error:
                await receiving.pause(error)
                continue
            finally:
                settler.others_wait(False)
            receiving.succeeded()
            await spare_time()
            for portion in portions(deliveries, PORTION_OCTETS, lambda each: len(each.octets)):
                observer.came_round(Loop.CONSUMER)
                taken = await see_through(partial(processor.take, portion), taking, stop)
                if taken is None:
                    break
                await ahead.put(taken)
            if len(deliveries) < asked:
                settler.take_time_back()
            await asyncio.sleep(0)  # what was taken in is settled at once, unless another batch is
        ahead.end()
        await settling
    finally:
        for task in (settling, stopping):
            task.cancel()
        await asyncio.gather(settling, stopping, return_exceptions=True)


class _Ahead:
    """What was taken in and waits to be settled: no more than one transaction is to have.

    Args:
        most: messages.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._batches: list[Batch] = []
        self._count = 0
        self._octets = 0
        self._ended = False
        self._changed = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._batches

    @property
    def room(self) -> int:
        """How many messages more may be put in."""
        return self._most - self._count

    async def has_room(self) -> None:
        """Wait until more messages may be put in."""
        await self._until(lambda: self.room > 0 or self._ended)

    async def put(self, batch: Batch) -> None:
        """Wait until there is room for the octets of a batch, and put it in."""
        octets = sum(len(each.octets) for each in batch.deliveries)
        await self._until(lambda: self.is_empty or self._octets + octets <= PORTION_OCTETS or self._ended)
        self._batches.append(batch)
        self._count += len(batch.deliveries)
        self._octets += octets
        self._changed.set()

    async def get(self) -> Batch | None:
        """Wait until there is something, and take all of it; None if nothing more comes."""
        await self._until(lambda: not self.is_empty or self._ended)
        batches, self._batches, self._count, self._octets = self._batches, [], 0, 0
        self._changed.set()
        return Batch.joined(batches) if batches else None

    def end(self) -> None:
        """Nobody waits any more: nothing more is put in, or got."""
        self._ended = True
        self._changed.set()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._changed.clear()
            await self._changed.wait()


class _Settler:
    """Settles what was taken in, batch after batch.

    Args:
        consumer: acknowledges it.
        processor: settles it.
        ahead: where it waits.
        stop: set from outside.
        done: called after each batch.
        before: awaited before a batch is settled.
        observer: is told of every retry.

    Attributes:
        leaves_time: set while others may keep the event loop busy.
    """

    def __init__(
        self,
        consumer: Consumer,
        processor: Processor,
        ahead: _Ahead,
        stop: asyncio.Event,
        done: Callable[[], None],
        before: Callable[[], Awaitable[None]],
        observer: Observer,
    ) -> None:
        self.leaves_time = asyncio.Event()
        self.leaves_time.set()
        self._consumer = consumer
        self._processor = processor
        self._ahead = ahead
        self._stop = stop
        self._done = done
        self._before = before
        self._observer = observer
        self._settling = Backoff("processing", Loop.CONSUMER, stop, observer)
        self._acknowledging = Backoff("acknowledging", Loop.CONSUMER, stop, observer)
        self._is_busy = False
        self._others_wait = False

    def others_wait(self, wait: bool) -> None:
        """Learn whether the loop has nothing else to do: it waits for messages, then, once nothing is in hand."""
        self._others_wait = wait
        self._rest()

    def _rest(self) -> None:
        if self._others_wait and not self._is_busy and self._ahead.is_empty:
            self._observer.waits(Loop.CONSUMER)

    def _waits(self, waits: bool) -> None:
        """Learn whether a batch waits for the database."""
        if waits:
            self.leaves_time.set()
        else:
            self.leaves_time.clear()

    def take_time_back(self) -> None:
        """Learn that others have no use for the time that was left to them."""
        if self._is_busy:
            self.leaves_time.clear()

    async def run(self) -> None:
        """Settle batches until there are no more, or one could not be settled before the end."""
        try:
            while (batch := await self._ahead.get()) is not None:
                self._is_busy = True
                if not await self._see_off(batch):
                    break
                self.leaves_time.set()
                self._is_busy = False
                self._rest()
        finally:
            self._ahead.end()

    async def _see_off(self, batch: Batch) -> bool:
        """Settle a batch and acknowledge it; False if that was not possible before the end.

        The next one may be settled whether or not this one could be acknowledged: it may have come on another
        connection, which will not deliver it again.
        """

        async def settle() -> Settled:
            self._waits(False)
            await self._before()
            return await self._processor.settle(batch, self._waits)

        settled = await see_through(settle, self._settling, self._stop)
        if settled is None:
            logger.info("%d message(s) or more are left unacknowledged; they come again", len(batch.deliveries))
            return False
        self._done()
        await asyncio.sleep(0)  # the relay asks for what it may publish, and meanwhile all is reported
        self._processor.report(settled)
        try:
            await self._consumer.acknowledge(batch.deliveries)
            self._acknowledging.succeeded()
        except Unavailable as error:  # all is committed: what comes again is a repeat
            await self._acknowledging.pause(error)
        return True
