"""The publisher by aio-pika. The rules stand in `rabbitmq` and `pipeline`."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Self

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError

from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult, Unavailable

from .connection import Link, Server
from .failures import unavailable_if_lost, why
from .names import is_reserved
from .publishing import EXCHANGES, ConfirmingPublisher, routing_key

if TYPE_CHECKING:
    from aio_pika.abc import AbstractExchange

    from .pipeline import Caution, Pipeline

logger = logging.getLogger(__name__)


class _Outlet:
    """The two channels of a publisher's connection, and the exchanges on them."""

    def __init__(self, server: Server) -> None:
        self.lost = False
        self.exchanges: dict[MessageKind, AbstractExchange] = {}
        self._server = server
        self._connection: AbstractConnection | None = None

    async def start(self, connection: AbstractConnection) -> Self:
        """Open both, with confirms."""
        self._connection = connection
        for kinds in (EXCHANGES.keys() - {MessageKind.REPLY}, {MessageKind.REPLY}):
            channel = connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.initialize()
            (await channel.get_underlay_channel()).closing.add_done_callback(self._lose)
            for kind in kinds:
                name = EXCHANGES[kind]
                self.exchanges[kind] = (
                    await channel.get_exchange(name, ensure=False) if name else channel.default_exchange
                )
        return self

    def _lose(self, closing: "asyncio.Future[None]") -> None:
        if not self.lost:
            self.lost = True
            logger.info("no longer publishing: %s: the connection was lost: %s", self._server, why(closing))

    async def accepting(self, timeout_seconds: float) -> None:
        """Wait until the server accepts messages.

        Raises:
            Unavailable: if it does not in time.
        """
        transport = self._connection and self._connection.transport
        if transport is None:
            raise Unavailable(f"{self._server}: the connection was lost")
        try:
            async with asyncio.timeout(timeout_seconds):
                await transport.ready()
        except TimeoutError:
            raise Unavailable(f"{self._server}: accepts no messages; it runs short of memory or disk") from None

    async def send(
        self, messages: Sequence[OutboxMessage], pipeline: "Pipeline", caution: "Caution", timeout_seconds: float
    ) -> bool:
        """See `Outlet`."""
        batch = _Batch(self, self._server, pipeline, caution, timeout_seconds)
        await batch.send(messages)
        return not batch.suspect


class _Batch:
    """One call of `publish`, under way.

    Attributes:
        suspect: whether the connection must not be used again.
    """

    def __init__(
        self, outlet: _Outlet, server: Server, pipeline: "Pipeline", caution: "Caution", timeout_seconds: float
    ) -> None:
        self.suspect = False
        self._outlet = outlet
        self._server = server
        self._pipeline = pipeline
        self._caution = caution
        self._timeout_seconds = timeout_seconds
        self._answered = asyncio.Event()

    async def send(self, messages: Sequence[OutboxMessage]) -> None:
        """Send all that can be sent and wait for every answer. Tasks begin in order, and queue for the channel so."""
        async with asyncio.TaskGroup() as group:
            while not self._pipeline.done:
                self._answered.clear()
                for index in self._pipeline.departures():
                    group.create_task(self._one(index, messages[index]))
                if self._pipeline.under_way:
                    await self._answered.wait()

    async def _one(self, index: int, message: OutboxMessage) -> None:
        result = await self._answer(message)
        if self.suspect:
            self._pipeline.stop()
        self._pipeline.arrived(index, result)
        self._answered.set()

    async def _answer(self, message: OutboxMessage) -> PublishResult:
        if message.kind is MessageKind.REPLY and is_reserved(message.recipient):
            logger.warning("a request asked for its reply in %s: refused", message.recipient)
            return PublishResult.UNROUTABLE
        try:
            with unavailable_if_lost(self._server):
                return await self._publish(message)
        except Unavailable as error:
            if not self.suspect:
                logger.warning("%s; what is not confirmed counts as failed", error)
            self.suspect = True
            return PublishResult.FAILED
        except (ValueError, TypeError):
            logger.exception("%s %s cannot be put into AMQP", message.kind, message.message_id)
            return PublishResult.UNROUTABLE if message.kind is MessageKind.REPLY else PublishResult.FAILED

    async def _publish(self, message: OutboxMessage) -> PublishResult:
        try:
            await self._outlet.exchanges[message.kind].publish(
                _envelope(message),
                routing_key(message.kind, message.recipient, message.type),
                mandatory=True,
                timeout=self._timeout_seconds,
            )
        except PublishError:
            return PublishResult.UNROUTABLE
        except DeliveryError:
            logger.warning("%s %s to %s was refused by the server", message.kind, message.message_id, message.recipient)
            self._caution.refused(message.recipient)
            return PublishResult.FAILED
        return PublishResult.CONFIRMED


class RabbitPublisher(ConfirmingPublisher[AbstractConnection]):
    """Publishes outbox messages, persistent and mandatory, with confirms; a `Publisher`.

    Source: wire contract §7.
    """

    def _link_to(self, server: Server) -> Link:
        return Link(server, "publisher")

    def _outlet_on(self, server: Server) -> _Outlet:
        return _Outlet(server)


def _envelope(message: OutboxMessage) -> aio_pika.Message:
    """Give the message with the properties of wire contract §7."""
    return aio_pika.Message(
        message.octets,
        headers=dict(message.headers),
        content_type="application/xml",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        timestamp=message.created_at.astimezone(UTC),
        type=message.type,
    )
