"""The consumer: deliveries in bulk, acknowledgement of many at once. The rules stand in `rabbitmq`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pamqp import commands

from chfw_sr.broker.consuming import QueueConsumer, Subscription
from chfw_sr.broker.names import REQUESTS
from chfw_sr.service.ports import Delivery

from .connection import Channel, LeanConnection, LeanLink
from .frames import ACK, CANCEL, DELIVER, NACK, delivered, properties, settle_frame

if TYPE_CHECKING:
    from chfw_sr.broker.connection import Server

MULTIPLE, REQUEUE = 1, 2
"""Flags of Basic.Ack and Basic.Nack."""


class _Incoming(Channel):
    """A channel that consumes."""

    def __init__(self, connection: LeanConnection, subscription: "LeanSubscription") -> None:
        super().__init__(connection, 1)
        self._subscription = subscription

    def method(self, payload: bytes) -> None:
        """Take the beginning of a delivery, or the notice that the queue is gone."""
        if payload.startswith(DELIVER):
            self.expect_content(payload)
        elif payload.startswith(CANCEL):
            self._subscription.cancelled()
        else:
            super().method(payload)

    def content(self, method: bytes, content_header: bytes, body: bytes) -> None:
        """Take a delivery."""
        self._subscription.deliver(method, content_header, body)

    def ended(self, reason: str) -> None:
        """Tell the subscription."""
        self._subscription.disconnected(reason)


class LeanSubscription(Subscription[LeanConnection]):
    """What one channel has delivered."""

    _channel: _Incoming | None = None

    async def start(self, connection: LeanConnection) -> Self:
        """Open a channel and begin to consume."""
        self._channel = channel = _Incoming(connection, self)
        await channel.ask(commands.Channel.Open(), commands.Channel.OpenOk)
        await channel.ask(commands.Basic.Qos(prefetch_count=self._prefetch), commands.Basic.QosOk)
        await channel.ask(commands.Basic.Consume(queue=REQUESTS), commands.Basic.ConsumeOk)
        return self

    def deliver(self, method: bytes, content_header: bytes, body: bytes) -> None:
        """Keep a message until it is taken."""
        tag, redelivered, key = delivered(method)
        known = properties(content_header)
        self.arrive(
            Delivery(
                body,
                self.base + tag,
                key,
                known.reply_to,
                known.correlation_id,
                known.message_id,
                known.user_id,
                redelivered=redelivered,
                source=self._source,
            ),
        )

    async def _settle(self, frames: Sequence[tuple[int, bool]], *, requeue: bool) -> None:
        assert self._channel is not None
        method, flags = (NACK, REQUEUE) if requeue else (ACK, 0)
        self._channel.connection.write(
            b"".join(
                settle_frame(self._channel.number, method, tag, flags | (MULTIPLE if multiple else 0))
                for tag, multiple in frames
            )
        )


class LeanConsumer(QueueConsumer[LeanConnection]):
    """Takes Service Requests from `chfw.requests`; a `Consumer`. Several compete.

    Source: wire contract §7.
    """

    def _link_to(self, server: "Server") -> LeanLink:
        return LeanLink(server, "consumer")

    def _subscription_on(self, server: "Server", base: int, prefetch: int) -> LeanSubscription:
        return LeanSubscription(server, base, prefetch)
