"""An in-process bus that behaves as RabbitMQ does, seen through the ports of the service (wire contract §7).

The rules, which the contract suite holds for every bus:

- A request lies in the queue until it is acknowledged. Meanwhile it is *unacknowledged*, with exactly one consumer.
- What a consumer gives back, or held when it went away, is ready again at its old place: before everything that came
  later. It is delivered anew, marked as redelivered.
- A request that was returned more often than the delivery limit goes to quarantine instead of coming again.
- A published message is confirmed once it lies in a queue. An alert or a response without a queue is kept in
  `chfw.unrouted`; a reply without a queue is unroutable and gone, and so is one to a queue of the service's own.

Nothing here polls: one condition wakes whoever waits. A bus belongs to one event loop.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from chfw_sr.messages import EUI
from chfw_sr.service.ports import Delivery, MessageKind, OutboxMessage, PublishResult, Unavailable

from .names import QUARANTINE, REQUESTS, UNROUTED, alerts_queue, is_reserved, responses_queue

DEFAULT_DELIVERY_LIMIT = 20
"""Returns of one request before it is quarantined; what a RabbitMQ quorum queue has by default."""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message as it lies in a queue of the bus.

    Attributes:
        octets: the body, untouched.
        routing_key: as published.
        message_id: RequestID or ResponseID.
        type: SRV or alert code.
        headers: application headers.
        timestamp: when it was made; None for a request, whose sender did not say.
    """

    octets: bytes
    routing_key: str
    message_id: str | None = None
    type: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timestamp: datetime | None = None


@dataclass(slots=True, order=True)
class _Request:
    """A Service Request in the queue; `place` is its position for good, `returns` how often it was given back."""

    place: int
    message: QueuedMessage = field(compare=False)
    source: str | None = field(compare=False)
    user_id: str | None = field(compare=False)
    returns: int = field(compare=False, default=0)


class InProcessBus:
    """Queues in memory, with competing consumers and confirming publishers.

    Args:
        delivery_limit: how often a request may be returned; once more, and it is quarantined.

    Source: wire contract §7.
    """

    def __init__(self, *, delivery_limit: int = DEFAULT_DELIVERY_LIMIT) -> None:
        if delivery_limit < 0:
            raise ValueError(f"a delivery limit is not negative: {delivery_limit}")
        self._delivery_limit = delivery_limit
        self._places = count()
        self._ready: list[_Request] = []  # a heap by place
        self._unacknowledged = 0
        self._queues: dict[str, deque[QueuedMessage]] = {QUARANTINE: deque(), UNROUTED: deque()}
        self._changed = asyncio.Condition()

    # ------------------------------------------------------------------------------------ the sender's side

    async def send(
        self,
        octets: bytes,
        *,
        routing_key: str,
        reply_to: str | None = None,
        correlation_id: str | None = None,
        message_id: str | None = None,
        source: str | None = None,
        user_id: str | None = None,
    ) -> None:
        """Put a Service Request into the request queue.

        Args:
            octets: the document.
            routing_key: the SRV; any key reaches the one queue.
            reply_to: a declared queue to which the answer also goes.
            correlation_id: to be returned with the answer.
            message_id: the RequestID, as the sender has it.
            source: where it came from, for people.
            user_id: whom the bus has authenticated.
        """
        message = QueuedMessage(octets, routing_key, message_id, None, correlation_id, reply_to)
        async with self._changed:
            heapq.heappush(self._ready, _Request(next(self._places), message, source, user_id))
            self._changed.notify_all()

    def declare_user(self, eui: EUI) -> None:
        """Make the queues of a User, if they are not there: `alerts.EUI` and `responses.EUI`."""
        self.declare_queue(alerts_queue(eui))
        self.declare_queue(responses_queue(eui))

    def declare_queue(self, name: str) -> None:
        """Make a queue, if it is not there; a `reply_to`, for instance."""
        self._queues.setdefault(name, deque())

    async def delete_queue(self, name: str) -> None:
        """Drop a queue that was declared, with what lies in it; its subscribers end with `KeyError`.

        Raises:
            KeyError: if there is no such queue.
        """
        async with self._changed:
            del self._queues[name]
            self._changed.notify_all()

    # ------------------------------------------------------------------------------------ the reader's side

    def take(self, queue: str) -> list[QueuedMessage]:
        """Empty a queue and give what lay in it, oldest first.

        Raises:
            KeyError: if there is no such queue.
        """
        messages = list(self._queues[queue])
        self._queues[queue].clear()
        return messages

    async def subscribe(self, queue: str) -> AsyncIterator[QueuedMessage]:
        """Give the messages of a queue one by one as they come, without end; each is gone from the queue once given.

        Raises:
            KeyError: if there is no such queue, or it was deleted meanwhile.
        """
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: queue not in self._queues or self._queues[queue])
                message = self._queues[queue].popleft()
            yield message

    async def wait_for(self, queue: str, limit: int) -> list[QueuedMessage]:
        """Wait for at least one message of a queue, and take what lies there, at most `limit`, oldest first.

        Raises:
            KeyError: if there is no such queue, or it was deleted meanwhile.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: queue not in self._queues or self._queues[queue])
            messages = self._queues[queue]
            return [messages.popleft() for _ in range(min(limit, len(messages)))]

    async def give_back(self, queue: str, messages: Sequence[QueuedMessage]) -> None:
        """Put messages that were taken back to the front of their queue, in their old order.

        Raises:
            KeyError: if there is no such queue any more.
        """
        async with self._changed:
            self._queues[queue].extendleft(reversed(messages))
            self._changed.notify_all()

    def queues(self) -> dict[str, int]:
        """Give how many messages lie ready in each queue, by name."""
        return {REQUESTS: len(self._ready)} | {name: len(messages) for name, messages in self._queues.items()}

    @property
    def unacknowledged(self) -> int:
        """How many requests consumers hold."""
        return self._unacknowledged

    async def join(self) -> None:
        """Wait until every request was acknowledged or quarantined."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._ready and not self._unacknowledged)

    # ------------------------------------------------------------------------------------ the service's side

    def consumer(self) -> "InProcessConsumer":
        """Give a new consumer; several compete for the requests."""
        return InProcessConsumer(self)

    def publisher(self) -> "InProcessPublisher":
        """Give a publisher."""
        return InProcessPublisher(self)

    async def _hand_out(self, limit: int, wait_seconds: float, closed: Callable[[], bool]) -> list[_Request]:
        """Wait for one request, then up to `wait_seconds` for `limit`; nothing is taken before the wait is over."""
        async with self._changed:
            while True:
                await self._changed.wait_for(lambda: closed() or self._ready)
                try:
                    async with asyncio.timeout(wait_seconds):
                        await self._changed.wait_for(lambda: closed() or len(self._ready) >= limit)
                except TimeoutError:
                    pass
                if closed():
                    raise Unavailable("the consumer is closed")
                if self._ready:  # else a competitor was faster
                    taken = [heapq.heappop(self._ready) for _ in range(min(limit, len(self._ready)))]
                    self._unacknowledged += len(taken)
                    return taken

    async def _settle(self, done: Sequence[_Request], returned: Sequence[_Request]) -> None:
        """Forget requests that are done; make returned ones ready again, or quarantine them."""
        async with self._changed:
            self._unacknowledged -= len(done) + len(returned)
            for request in returned:
                request.returns += 1
                if request.returns > self._delivery_limit:
                    self._queues[QUARANTINE].append(_dead_letter(request))
                else:
                    heapq.heappush(self._ready, request)
            self._changed.notify_all()

    async def _publish(self, messages: Sequence[OutboxMessage]) -> list[PublishResult]:
        async with self._changed:
            results = [self._route(message) for message in messages]
            self._changed.notify_all()
        return results

    def _route(self, message: OutboxMessage) -> PublishResult:
        routing_key, queue = _address(message)
        if message.kind is MessageKind.REPLY and is_reserved(queue):
            return PublishResult.UNROUTABLE
        if queue not in self._queues:
            if message.kind is MessageKind.REPLY:
                return PublishResult.UNROUTABLE
            queue = UNROUTED
        self._queues[queue].append(
            QueuedMessage(
                message.octets,
                routing_key,
                message.message_id,
                message.type,
                message.correlation_id,
                headers=dict(message.headers),
                timestamp=message.created_at,
            )
        )
        return PublishResult.CONFIRMED


class InProcessConsumer:
    """One of the competing consumers of an `InProcessBus`; a `Consumer`."""

    def __init__(self, bus: InProcessBus) -> None:
        self._bus = bus
        self._tags = count(1)
        self._held: dict[int, _Request] = {}
        self._closed = False

    async def receive(self, limit: int, wait_seconds: float) -> Sequence[Delivery]:
        """Wait for at least one message, then take what arrives within `wait_seconds`, at most `limit`.

        Raises:
            Unavailable: if the consumer was closed, also while it waits.
        """
        taken = await self._bus._hand_out(limit, wait_seconds, lambda: self._closed)  # noqa: SLF001 - one machine
        return [self._delivery(request) for request in taken]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these are done.

        Raises:
            Unavailable: if the consumer was closed; they come again.
            ValueError: if one is not, or no longer, held by this consumer; then none is acknowledged.
        """
        await self._bus._settle(self._release(deliveries), ())  # noqa: SLF001 - one machine

    async def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Give these back, to be delivered again at their old place, or to be quarantined at the delivery limit.

        Raises:
            Unavailable: if the consumer was closed; they come again.
            ValueError: if one is not, or no longer, held by this consumer; then none is given back.
        """
        await self._bus._settle((), self._release(deliveries))  # noqa: SLF001 - one machine

    async def close(self) -> None:
        """Go away: all that is unacknowledged is given back; a `receive` that waits raises `Unavailable`."""
        self._closed = True
        held = list(self._held.values())
        self._held.clear()
        await self._bus._settle((), held)  # noqa: SLF001 - one machine

    def _delivery(self, request: _Request) -> Delivery:
        tag = next(self._tags)
        self._held[tag] = request
        message = request.message
        return Delivery(
            message.octets,
            tag,
            message.routing_key,
            message.reply_to,
            message.correlation_id,
            message.message_id,
            request.user_id,
            redelivered=request.returns > 0,
            source=request.source,
        )

    def _release(self, deliveries: Sequence[Delivery]) -> list[_Request]:
        if self._closed:
            raise Unavailable("the consumer is closed")
        tags = [delivery.tag for delivery in deliveries]
        if len(set(tags)) < len(tags) or not self._held.keys() >= set(tags):
            raise ValueError("not held by this consumer")
        return [self._held.pop(tag) for tag in tags]


class InProcessPublisher:
    """Publishes into the queues of an `InProcessBus`; a `Publisher`."""

    def __init__(self, bus: InProcessBus) -> None:
        self._bus = bus

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        """Publish many, in order; the results are in the order of the messages."""
        return await self._bus._publish(messages)  # noqa: SLF001 - one machine


def _address(message: OutboxMessage) -> tuple[str, str]:
    """Give the routing key and the queue of a message."""
    match message.kind:
        case MessageKind.ALERT:
            return f"{message.recipient}.{message.type}", alerts_queue(EUI(message.recipient))
        case MessageKind.RESPONSE:
            return message.recipient, responses_queue(EUI(message.recipient))
        case MessageKind.REPLY:
            return message.recipient, message.recipient
        case MessageKind.QUARANTINE:
            return message.type, QUARANTINE
        case MessageKind.EMAIL:
            raise ValueError("an e-mail has no queue")


def _dead_letter(request: _Request) -> QueuedMessage:
    """Give a request that was returned too often the headers that RabbitMQ gives it."""
    message = request.message
    return QueuedMessage(
        message.octets,
        message.routing_key,
        message.message_id,
        message.type,
        message.correlation_id,
        message.reply_to,
        headers={
            "x-first-death-queue": REQUESTS,
            "x-first-death-reason": "delivery_limit",
            "x-delivery-count": str(request.returns),
        },
    )
