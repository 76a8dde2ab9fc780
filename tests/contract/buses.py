"""What the bus contract needs to see of a bus beyond the ports, and how each bus shows it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from chfw_sr.broker import topology
from chfw_sr.broker.connection import Link
from chfw_sr.broker.consuming import QueueConsumer
from chfw_sr.broker.lean import LeanConsumer, LeanPublisher
from chfw_sr.broker.lean.connection import LeanLink
from chfw_sr.broker.link import PacedLink
from chfw_sr.broker.memory import InProcessBus, QueuedMessage
from chfw_sr.broker.names import REQUESTS
from chfw_sr.broker.publishing import ConfirmingPublisher
from chfw_sr.broker.rabbitmq import RabbitConsumer, RabbitPublisher, Server
from chfw_sr.messages import EUI
from chfw_sr.service.ports import Consumer, Publisher

TAKE_SECONDS = 30.0
"""How long a message may take to lie in its queue; never waited for in full."""


@dataclass(frozen=True)
class Client:
    """What speaks AMQP.

    Attributes:
        logger: where it writes what the server told it.
        envelope: what makes AMQP's properties of a message.
    """

    consumer: type[QueueConsumer]
    publisher: type[ConfirmingPublisher]
    link: type[PacedLink]
    logger: str
    envelope: str


CLIENTS = {
    "aio-pika": Client(RabbitConsumer, RabbitPublisher, Link, "aiormq", "chfw_sr.broker.publisher._envelope"),
    "lean": Client(
        LeanConsumer, LeanPublisher, LeanLink, "chfw_sr.broker.lean", "chfw_sr.broker.lean.publisher.content_frames"
    ),
}


class ClosableConsumer(Consumer, Protocol):
    """A consumer that can go away."""

    async def close(self) -> None: ...


class BusUnderTest(Protocol):
    """A bus, from the outside."""

    async def send(
        self,
        octets: bytes,
        *,
        routing_key: str = "11.6",
        reply_to: str | None = None,
        correlation_id: str | None = None,
        message_id: str | None = None,
    ) -> None: ...

    async def declare_user(self, eui: EUI) -> None: ...

    async def declare_queue(self, name: str) -> None: ...

    async def delete_queue(self, name: str) -> None: ...

    async def consumer(self, *, prefetch: int = 100) -> ClosableConsumer:
        """Give a consumer to which the bus hands over up to `prefetch` requests ahead, if it does that at all."""
        ...

    async def publisher(self) -> Publisher: ...

    async def take(self, queue: str, count: int) -> Sequence[QueuedMessage]:
        """Take exactly `count` messages; fails if more or fewer lie there."""
        ...

    async def close(self) -> None: ...


class InProcessUnderTest:
    """The in-process bus."""

    def __init__(self, bus: InProcessBus) -> None:
        self._bus = bus

    async def send(
        self,
        octets: bytes,
        *,
        routing_key: str = "11.6",
        reply_to: str | None = None,
        correlation_id: str | None = None,
        message_id: str | None = None,
    ) -> None:
        await self._bus.send(
            octets,
            routing_key=routing_key,
            reply_to=reply_to,
            correlation_id=correlation_id,
            message_id=message_id,
        )

    async def declare_user(self, eui: EUI) -> None:
        self._bus.declare_user(eui)

    async def declare_queue(self, name: str) -> None:
        self._bus.declare_queue(name)

    async def delete_queue(self, name: str) -> None:
        await self._bus.delete_queue(name)

    async def consumer(self, *, prefetch: int = 100) -> ClosableConsumer:
        return self._bus.consumer()

    async def publisher(self) -> Publisher:
        return self._bus.publisher()

    async def take(self, queue: str, count: int) -> Sequence[QueuedMessage]:
        messages = self._bus.take(queue)
        assert len(messages) == count
        return messages

    async def close(self) -> None:
        return None


class RabbitUnderTest:
    """RabbitMQ, in a virtual host of its own. What the tests declare is deleted in the end.

    Args:
        url: of the virtual host, which holds nothing else.
        delivery_limit: of the request queue.
        client: what its consumers and publishers are.
    """

    def __init__(self, url: str, *, delivery_limit: int, client: Client = CLIENTS["lean"]) -> None:
        self._client = client
        self.server = Server.parse(url)
        self._topology = topology.Topology.of_service(delivery_limit=delivery_limit)
        self._link = Link(self.server, "test")
        self._queues = {queue.name for queue in self._topology.queues}
        self._opened: list[QueueConsumer | ConfirmingPublisher] = []

    async def open(self) -> None:
        """Connect and make the topology; what is missing of it, when it is called again."""
        self._channel = await (await self._link.open(_itself)).channel()
        await topology.apply(self._channel, self._topology)

    async def send(
        self,
        octets: bytes,
        *,
        routing_key: str = "11.6",
        reply_to: str | None = None,
        correlation_id: str | None = None,
        message_id: str | None = None,
    ) -> None:
        message = aio_pika.Message(
            octets, reply_to=reply_to, correlation_id=correlation_id, message_id=message_id, delivery_mode=2
        )
        exchange = await self._channel.get_exchange(REQUESTS, ensure=False)
        await exchange.publish(message, routing_key)

    async def declare_user(self, eui: EUI) -> None:
        users = topology.Topology.of_users([eui])
        self._queues |= {queue.name for queue in users.queues}
        await topology.apply(self._channel, users)

    async def declare_queue(self, name: str) -> None:
        self._queues.add(name)
        await topology.Queue(name).declare(self._channel)

    async def delete_queue(self, name: str) -> None:
        await self._channel.queue_delete(name)

    async def declare_full_queue(self, name: str, exchange: str, key: str) -> None:
        """Bind a queue that takes one message and refuses the next."""
        self._queues.add(name)
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        queue = await self._channel.declare_queue(name, durable=True, arguments=arguments)
        await queue.bind(exchange, key)

    async def delete_exchange(self, name: str) -> None:
        await self._channel.exchange_delete(name)

    async def get(self, queue: str) -> AbstractIncomingMessage:
        """Take the one message that lies in a queue, with all its properties."""
        return await (await self._channel.get_queue(queue, ensure=False)).get(no_ack=True)

    async def consumer(self, *, prefetch: int = 100) -> ClosableConsumer:
        consumer = self._client.consumer(self.server, prefetch=prefetch)
        self._opened.append(consumer)
        await consumer.start()
        return consumer

    async def publisher(self) -> Publisher:
        publisher = self._client.publisher(self.server)
        self._opened.append(publisher)
        return publisher

    async def take(self, queue: str, count: int) -> Sequence[QueuedMessage]:
        """Take `count` messages, waiting for them; then none may be left."""
        source = await self._channel.get_queue(queue, ensure=False)
        messages = []
        async with asyncio.timeout(TAKE_SECONDS):
            while len(messages) < count:
                if message := await source.get(no_ack=True, fail=False):
                    messages.append(_queued(message))
        assert await source.get(no_ack=True, fail=False) is None
        return messages

    async def drain(self, queue: str) -> Sequence[QueuedMessage]:
        """Take whatever lies in a queue."""
        source = await self._channel.get_queue(queue, ensure=False)
        messages = []
        while message := await source.get(no_ack=True, fail=False):
            messages.append(_queued(message))
        return messages

    async def close(self) -> None:
        for opened in self._opened:
            await opened.close()
        for queue in self._queues:
            await self._channel.queue_delete(queue)
        for exchange in self._topology.exchanges:
            await self._channel.exchange_delete(exchange.name)
        await self._link.close()


def _queued(message: AbstractIncomingMessage) -> QueuedMessage:
    return QueuedMessage(
        message.body,
        message.routing_key or "",
        message.message_id,
        message.type,
        message.correlation_id,
        message.reply_to,
        dict(message.headers),
        message.timestamp,
    )


async def _itself(connection: AbstractConnection) -> AbstractConnection:
    return connection
