"""The consumer by aio-pika. The rules stand in `rabbitmq`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from aio_pika.abc import AbstractConnection

from chfw_sr.service.ports import Delivery

from .connection import Link, Server
from .consuming import QueueConsumer, Subscription
from .failures import why
from .names import REQUESTS

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, DeliveredMessage


class AioPikaSubscription(Subscription[AbstractConnection]):
    """What one channel has delivered."""

    _channel: "AbstractChannel"

    async def start(self, connection: AbstractConnection) -> Self:
        """Open a channel and begin to consume."""
        channel = connection.channel(publisher_confirms=False)
        await channel.initialize()
        self._channel = underlay = await channel.get_underlay_channel()
        underlay.closing.add_done_callback(lambda closing: self.disconnected(why(closing)))
        underlay.on_consumer_cancel_callbacks.add(lambda _: self.cancelled())
        await underlay.basic_qos(prefetch_count=self._prefetch)
        await underlay.basic_consume(REQUESTS, self._take_in)
        return self

    async def _take_in(self, message: "DeliveredMessage") -> None:
        if message.delivery_tag is not None:
            properties = message.header.properties
            self.arrive(
                Delivery(
                    message.body,
                    self.base + message.delivery_tag,
                    message.routing_key or "",
                    properties.reply_to or None,
                    properties.correlation_id or None,
                    properties.message_id or None,
                    properties.user_id or None,
                    redelivered=bool(message.redelivered),
                    source=self._source,
                )
            )

    async def _settle(self, frames: Sequence[tuple[int, bool]], *, requeue: bool) -> None:
        for number, (delivery_tag, multiple) in enumerate(frames, start=1):
            last = number == len(frames)
            if requeue:
                await self._channel.basic_nack(delivery_tag, multiple=multiple, wait=last)
            else:
                await self._channel.basic_ack(delivery_tag, multiple=multiple, wait=last)


class RabbitConsumer(QueueConsumer[AbstractConnection]):
    """Takes Service Requests from `chfw.requests`; a `Consumer`. Several compete.

    Source: wire contract §7.
    """

    def _link_to(self, server: Server) -> Link:
        return Link(server, "consumer")

    def _subscription_on(self, server: Server, base: int, prefetch: int) -> AioPikaSubscription:
        return AioPikaSubscription(server, base, prefetch)
