"""RabbitMQ as an adapter uses it: publishes to `chfw.requests`, consumes `responses.EUI` and `alerts.EUI`.

An account that may write to the exchange and read the two queues is enough; nothing is declared. Each source and the
sender have a connection of their own, because RabbitMQ stops reading from connections that publish when it runs short
of memory, and acknowledgements must get through then.

With `own_copies` a source is a queue of its own, bound for as long as it lives to what the User is sent: it takes
nothing away from who consumes the User's queues, and sees what comes from now on. That needs an account that may
declare and bind.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import aio_pika
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq.exceptions import ChannelAccessRefused

from chfw_sr.broker.connection import Link, Server
from chfw_sr.broker.failures import unavailable_if_lost, why
from chfw_sr.broker.names import ALERTS, REQUESTS, RESPONSES, alerts_queue, responses_queue
from chfw_sr.messages import EUI, SRV, RequestID
from chfw_sr.unavailable import Unavailable

from .errors import NotPermitted
from .transport import Arrival, Inbound

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection, AbstractExchange
    from aiormq.abc import AbstractChannel, DeliveredMessage

__all__ = ["RabbitTransport", "Server"]

CONFIRM_SECONDS = 15.0
"""How long a confirm may take."""


class _Consumption:
    """What one channel has delivered; forgotten as a whole when the channel is lost."""

    def __init__(self, transport: "RabbitTransport", inbound: Inbound, prefetch: int, base: int) -> None:
        self.base = base
        self.highest = base
        self.ended: str | None = None
        self.waiting: deque[Arrival] = deque()
        self.changed = asyncio.Event()
        self._transport = transport
        self._inbound = inbound
        self._prefetch = prefetch
        self._channel: AbstractChannel | None = None

    async def start(self, connection: "AbstractConnection") -> Self:
        """Open a channel and begin to consume."""
        channel = connection.channel(publisher_confirms=False)
        await channel.initialize()
        self._channel = underlay = await channel.get_underlay_channel()
        server = self._transport.server
        underlay.closing.add_done_callback(
            lambda closing: self.lose(f"{server}: the connection was lost: {why(closing)}")
        )
        queue = await self._transport.queue_of(underlay, self._inbound)
        underlay.on_consumer_cancel_callbacks.add(lambda _: self.lose(f"{server}: {queue} was deleted"))
        await underlay.basic_qos(prefetch_count=self._prefetch)
        await underlay.basic_consume(queue, self._arrive)
        return self

    async def _arrive(self, message: "DeliveredMessage") -> None:
        if self.ended is None and message.delivery_tag is not None:
            self.highest = self.base + message.delivery_tag
            self.waiting.append(Arrival(message.body, self.highest, message.header.properties.message_id or None))
            self.changed.set()

    def lose(self, reason: str) -> None:
        """Nothing more comes, and what was delivered is the server's again."""
        if self.ended is None:
            self.ended = reason
        self._channel = None
        self.waiting.clear()
        self.changed.set()

    async def acknowledge(self, tags: Sequence[int]) -> None:
        """Acknowledge one by one; the last frame is waited for until it is written."""
        with unavailable_if_lost(self._transport.server):
            for number, tag in enumerate(tags, start=1):
                if self._channel is None or tag <= self.base:
                    raise Unavailable(
                        f"{self._transport.server}: the connection was lost; what was not acknowledged comes again"
                    )
                await self._channel.basic_ack(tag - self.base, wait=number == len(tags))


class RabbitSource:
    """One queue, being consumed; a `Source`."""

    def __init__(self, transport: "RabbitTransport", inbound: Inbound, prefetch: int, link: Link) -> None:
        if prefetch < 1:
            raise ValueError(f"a prefetch is at least 1: {prefetch}")
        self._transport = transport
        self._inbound = inbound
        self._prefetch = prefetch
        self._link = link
        self._consumption: _Consumption | None = None

    async def open(self) -> None:
        """Connect and begin to consume; `receive` does it by itself otherwise.

        Raises:
            Unavailable: if there is no connection to be had, or no such queue.
        """
        await self._consuming()

    async def receive(self, limit: int) -> Sequence[Arrival]:
        """Wait for at least one message, then take what is there, at most `limit`."""
        consumption = await self._consuming()
        while not consumption.waiting:
            if consumption.ended is not None:
                raise Unavailable(consumption.ended)
            consumption.changed.clear()
            await consumption.changed.wait()
        return [consumption.waiting.popleft() for _ in range(min(limit, len(consumption.waiting)))]

    async def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Say that these are done."""
        if self._consumption is None:
            raise Unavailable("the source is not connected")
        await self._consumption.acknowledge([arrival.tag for arrival in arrivals])

    async def close(self) -> None:
        """Give back what is not acknowledged, and hang up."""
        if self._consumption is not None:
            self._consumption.lose("the source is closed")
        await self._link.close()

    async def _consuming(self) -> _Consumption:
        if self._consumption is None or self._consumption.ended is not None:
            base = self._consumption.highest if self._consumption else 0
            fresh = _Consumption(self._transport, self._inbound, self._prefetch, base)
            self._consumption = await self._link.open(fresh.start)
        return self._consumption


class RabbitTransport:
    """The way to the DCC over RabbitMQ; a `Transport`.

    Args:
        server: where it is, and who we are there.
        user: whose queues are consumed.
        own_copies: consume copies of what the User is sent, from now on, in place of the User's queues.
        link_pause_seconds: after a failed attempt to connect; it grows from there.

    Source: wire contract §7.
    """

    def __init__(self, server: Server, user: EUI, *, own_copies: bool = False, link_pause_seconds: float = 0.1) -> None:
        self.server = server
        self._user = user
        self._own_copies = own_copies
        self._pause_seconds = link_pause_seconds
        self._sending = asyncio.Lock()
        self._sender = self._link("sends requests")
        self._exchange: AbstractExchange | None = None
        self._numbers = itertools.count(1)

    def _link(self, purpose: str) -> Link:
        return Link(self.server, f"{self._user} {purpose}", pause_seconds=self._pause_seconds)

    async def send(self, octets: bytes, request_id: RequestID, srv: SRV | str) -> None:
        """Publish to `chfw.requests`, and wait for the confirm."""
        message = aio_pika.Message(
            octets,
            content_type="application/xml",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(request_id),
            type=str(srv),
        )
        async with self._sending:
            complete = False
            try:
                if self._exchange is None:
                    self._exchange = await self._sender.open(self._open_exchange)
                with unavailable_if_lost(self.server):
                    await self._publish(self._exchange, message, str(srv))
                complete = True
            finally:
                if not complete:  # a late confirm might be taken for that of the next message
                    self._exchange = None
                    await self._sender.drop()

    async def _publish(self, exchange: "AbstractExchange", message: aio_pika.Message, key: str) -> None:
        try:
            await exchange.publish(message, key, mandatory=True, timeout=CONFIRM_SECONDS)
        except PublishError:
            raise Unavailable(f"{self.server}: {REQUESTS} has no queue; is the service's topology applied?") from None
        except DeliveryError:
            raise Unavailable(f"{self.server}: the request was refused; the queue may be full") from None

    @staticmethod
    async def _open_exchange(connection: "AbstractConnection") -> "AbstractExchange":
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        return await channel.get_exchange(REQUESTS, ensure=False)

    def source(self, inbound: Inbound, prefetch: int) -> RabbitSource:
        """Begin to consume one of the User's queues."""
        return RabbitSource(self, inbound, prefetch, self._link(f"reads {inbound} {next(self._numbers)}"))

    async def queue_of(self, channel: "AbstractChannel", inbound: Inbound) -> str:
        """Give the queue to consume, on this channel; an own one is made on it."""
        if not self._own_copies:
            return (responses_queue if inbound is Inbound.RESPONSES else alerts_queue)(self._user)
        exchange, key = (RESPONSES, self._user) if inbound is Inbound.RESPONSES else (ALERTS, f"{self._user}.*")
        try:
            declared = await channel.queue_declare(exclusive=True, auto_delete=True)
            queue = declared.queue or ""
            await channel.queue_bind(queue, exchange, key)
        except ChannelAccessRefused as error:
            raise NotPermitted(f"{self.server}: this account may not have copies of what is sent: {error}") from error
        return queue

    async def close(self) -> None:
        """Hang up; sources are closed by whoever has them."""
        await self._sender.close()
