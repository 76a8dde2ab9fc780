"""What the consumers have in common, whatever they speak AMQP with."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from chfw_sr.service.ports import Delivery, Unavailable

from .failures import unavailable_if_lost
from .link import PacedLink
from .names import REQUESTS

if TYPE_CHECKING:
    from types import TracebackType

    from .connection import Server

logger = logging.getLogger(__name__)

Connection = TypeVar("Connection")

DEFAULT_PREFETCH = 400
"""Requests that a consumer may hold unacknowledged."""


class Subscription(ABC, Generic[Connection]):
    """What one channel has delivered; forgotten as a whole when the channel is lost.

    Args:
        server: for texts.
        base: added to the channel's delivery tags to make tags that are unique for the consumer's life.
        prefetch: what the server hands out at most before it sees acknowledgements.
    """

    def __init__(self, server: "Server", base: int, prefetch: int) -> None:
        self.base = base
        self.highest = base
        self.ended: str | None = None
        self._server = server
        self._source = str(server)
        self._prefetch = prefetch
        self._lost = False
        self._waiting: dict[int, Delivery] = {}
        self._held: set[int] = set()
        self._changed = asyncio.Event()

    @abstractmethod
    async def start(self, connection: Connection) -> Self:
        """Open a channel and begin to consume."""

    @abstractmethod
    async def _settle(self, frames: Sequence[tuple[int, bool]], *, requeue: bool) -> None:
        """Acknowledge, or give back: delivery tags of the channel, each with whether all up to it are meant."""

    def arrive(self, delivery: Delivery) -> None:
        """Keep a message until it is taken."""
        if self.ended is None:
            self.highest = delivery.tag
            self._waiting[delivery.tag] = delivery
            self._changed.set()

    def cancelled(self) -> None:
        """Learn that the queue is gone."""
        self._end(f"{self._server}: {REQUESTS} was deleted")

    def disconnected(self, why: str) -> None:
        """Learn that the channel is gone."""
        self.lose(f"{self._server}: the connection was lost: {why}")

    def _end(self, reason: str) -> None:
        """Nothing more comes; what was delivered is still ours."""
        if self.ended is None:
            logger.info("no longer consuming: %s", reason)
            self.ended = reason
            self._changed.set()

    def lose(self, reason: str) -> None:
        """Nothing more comes, and what was delivered is the server's again."""
        self._end(reason)
        self._lost = True
        self._waiting.clear()
        self._held.clear()
        self._changed.set()

    @property
    def usable(self) -> bool:
        """Whether there is any point in asking for more."""
        return self.ended is None or bool(self._waiting)

    @property
    def holds_nothing(self) -> bool:
        """Whether everything that was delivered is settled."""
        return self.ended is None and not self._waiting and not self._held

    async def take(self, limit: int, wait_seconds: float) -> list[Delivery]:
        """See `QueueConsumer.receive`. Nothing is taken before the wait is over."""
        while True:
            await self._first()
            if wait_seconds > 0:
                await self._more(limit, wait_seconds)
            elif len(self._waiting) < limit:
                await asyncio.sleep(0)  # what has come to the socket meanwhile
            if self._waiting:  # else it was lost, or a concurrent call was faster
                # They are in order of tag; what was delivered before is older than whatever was not, so it goes first.
                again = (each for each in self._waiting.values() if each.redelivered)
                others = (each for each in self._waiting.values() if not each.redelivered)
                taken = list(islice(chain(again, others), limit))
                for each in taken:
                    self._held.add(each.tag)
                    del self._waiting[each.tag]
                return taken

    async def _first(self) -> None:
        while not self._waiting:
            if self.ended is not None:
                raise Unavailable(self.ended)
            await self._change()

    async def _more(self, limit: int, wait_seconds: float) -> None:
        try:
            async with asyncio.timeout(wait_seconds):
                while self.ended is None and len(self._waiting) < limit and not self._exhausted():
                    await self._change()
        except TimeoutError:
            pass

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _exhausted(self) -> bool:
        return len(self._waiting) + len(self._held) >= self._prefetch

    async def settle(self, tags: Collection[int], *, requeue: bool) -> None:
        """Acknowledge, or give back, what came by this channel; as few frames as possible."""
        ours = set() if self._lost else {tag for tag in tags if tag > self.base}
        if not self._held.issuperset(ours):
            raise ValueError("not held by this consumer")
        self._held.difference_update(ours)
        others = min((*self._held, *self._waiting), default=self.highest + 1)
        all_up_to = max((tag for tag in ours if tag < others), default=None)
        frames = [(tag, False) for tag in sorted(ours) if tag > others]
        if all_up_to is not None:
            frames.insert(0, (all_up_to, True))
        if frames:
            with unavailable_if_lost(self._server):
                await self._settle([(tag - self.base, multiple) for tag, multiple in frames], requeue=requeue)
        if self._lost or len(ours) < len(tags):
            raise Unavailable(f"{self._server}: the connection was lost; what was not acknowledged comes again")


class QueueConsumer(ABC, Generic[Connection]):
    """Takes Service Requests from `chfw.requests`; a `Consumer`. Several compete.

    Args:
        server: where.
        prefetch: requests that the server may hand over before it sees acknowledgements; bounds a batch.
        link: the connection, where its pauses are to be others than usual.

    Source: wire contract §7.
    """

    def __init__(
        self, server: "Server", *, prefetch: int = DEFAULT_PREFETCH, link: PacedLink[Connection] | None = None
    ) -> None:
        if prefetch < 1:
            raise ValueError(f"a prefetch is at least 1: {prefetch}")
        self._server = server
        self._prefetch = prefetch
        self._link = link or self._link_to(server)
        self._opening = asyncio.Lock()
        self._subscription: Subscription[Connection] | None = None
        self._suspected: int | None = None
        self._closed = False

    @abstractmethod
    def _link_to(self, server: "Server") -> PacedLink[Connection]:
        """Give the connection, not open yet."""

    @abstractmethod
    def _subscription_on(self, server: "Server", base: int, prefetch: int) -> Subscription[Connection]:
        """Give what is to be set up on a new connection."""

    @property
    def ready(self) -> bool:
        """Whether the queue is being consumed, now."""
        return self._subscription is not None and self._subscription.ended is None

    async def start(self) -> None:
        """Connect and begin to consume; `receive` does it by itself otherwise.

        Raises:
            Unavailable: if the server cannot be reached or has no such queue.
        """
        await self._subscribed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        await self.close()

    async def receive(self, limit: int, wait_seconds: float) -> Sequence[Delivery]:
        """Wait for at least one message, then take what arrives within `wait_seconds`, at most `limit`.

        Connects again if the connection was lost before. A batch ends early when `prefetch` is exhausted.

        Raises:
            Unavailable: if the connection is lost, cannot be had, or the queue was deleted, also while it waits; what
                was not acknowledged comes again.
        """
        return await (await self._subscribed()).take(limit, wait_seconds)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these are done.

        Raises:
            Unavailable: if the connection that some of them came by was lost; these come again, the others are done.
            ValueError: if one is not, or no longer, held by this consumer; then none is acknowledged.
        """
        await self._settle(deliveries, requeue=False)

    async def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Give these back, to be delivered again at their old place, or to be quarantined at the delivery limit.

        What the server has handed over already may be received before them, once.

        Raises:
            Unavailable: if the connection that some of them came by was lost; these come again anyhow.
            ValueError: if one is not, or no longer, held by this consumer; then none is given back.
        """
        await self._settle(deliveries, requeue=True)

    async def close(self) -> None:
        """Go away: all that is unacknowledged is given back; a `receive` that waits raises `Unavailable`."""
        self._closed = True
        if self._subscription is not None:
            self._subscription.lose("the consumer is closed")
        await self._link.close()

    def lie_ready(self, messages: int) -> None:
        """Learn how many messages lie ready in the queue; asked for every few seconds.

        A consumer that holds nothing is handed whatever lies ready. One that at two looks in a row was not has been
        forgotten by the server, which happens to RabbitMQ 3.10 when a queue is deleted and declared anew within
        milliseconds: it subscribes anew, on a new connection.
        """
        subscription = self._subscription
        if subscription is None or not messages or not subscription.holds_nothing:
            self._suspected = None
        elif self._suspected != subscription.highest:
            self._suspected = subscription.highest
        else:
            self._suspected = None
            subscription.lose(f"{self._server}: {messages} message(s) lie ready and are not handed over")

    async def _settle(self, deliveries: Sequence[Delivery], *, requeue: bool) -> None:
        if self._subscription is None or self._closed:
            raise Unavailable("the consumer is not connected")
        tags = {delivery.tag for delivery in deliveries}
        if len(tags) < len(deliveries):
            raise ValueError("not held by this consumer: the same one twice")
        await self._subscription.settle(tags, requeue=requeue)

    async def _subscribed(self) -> Subscription[Connection]:
        async with self._opening:
            if self._subscription is None or not self._subscription.usable:
                base = self._subscription.highest if self._subscription else 0
                if self._subscription is not None:
                    self._subscription.lose("replaced")
                self._subscription = await self._link.open(
                    self._subscription_on(self._server, base, self._prefetch).start
                )
            return self._subscription
