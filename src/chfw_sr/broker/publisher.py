"""RabbitMQ's publisher. The rules stand in `rabbitmq`."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Self

import aio_pika
from aio_pika.exceptions import DeliveryError, PublishError

from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult, Unavailable

from .connection import Link, Server, unavailable_if_lost, why
from .names import ALERTS, QUARANTINE, RESPONSES, is_reserved
from .pipeline import Caution, Pipeline

if TYPE_CHECKING:
    from types import TracebackType

    from aio_pika.abc import AbstractConnection, AbstractExchange

logger = logging.getLogger(__name__)

DEFAULT_IN_FLIGHT = 256
"""Messages that may be under way without a confirm."""

DEFAULT_IN_FLIGHT_OCTETS = 16 * 2**20
"""Octets of them, at most."""

DEFAULT_TIMEOUT_SECONDS = 15.0
"""How long a confirm may take; well below the relay's lease."""

EXCHANGES = {
    MessageKind.ALERT: ALERTS,
    MessageKind.RESPONSE: RESPONSES,
    MessageKind.QUARANTINE: QUARANTINE,
    MessageKind.REPLY: "",
}
"""Where messages of each kind go; replies to the default exchange, which puts them into the queue they name."""


class _Outlet:
    """The two channels of a publisher's connection, and the exchanges on them."""

    def __init__(self, server: Server) -> None:
        self.lost = False
        self.exchanges: dict[MessageKind, AbstractExchange] = {}
        self._server = server
        self._connection: AbstractConnection | None = None

    async def start(self, connection: "AbstractConnection") -> Self:
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


class _Batch:
    """One call of `RabbitPublisher.publish`, under way.

    Attributes:
        suspect: whether the connection must not be used again.
    """

    def __init__(
        self, outlet: _Outlet, server: Server, pipeline: Pipeline, caution: Caution, timeout_seconds: float
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
                _envelope(message), _routing_key(message), mandatory=True, timeout=self._timeout_seconds
            )
        except PublishError:
            return PublishResult.UNROUTABLE
        except DeliveryError:
            logger.warning("%s %s to %s was refused by the server", message.kind, message.message_id, message.recipient)
            self._caution.refused(message.recipient)
            return PublishResult.FAILED
        return PublishResult.CONFIRMED


class RabbitPublisher:
    """Publishes outbox messages, persistent and mandatory, with confirms; a `Publisher`.

    Args:
        server: where.
        in_flight: messages that may be under way without a confirm.
        in_flight_per_recipient: of those, messages to one recipient; 1 keeps their order even where a queue refuses
            messages. As many as `in_flight` by default.
        timeout_seconds: how long a confirm may take, and how long to wait for a server that accepts no messages.
        link: the connection, where its pauses are to be others than usual.

    Source: wire contract §7.
    """

    def __init__(
        self,
        server: Server,
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        in_flight_per_recipient: int | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        link: Link | None = None,
    ) -> None:
        if in_flight < 1:
            raise ValueError(f"at least 1 message must be under way: {in_flight}")
        self._server = server
        self._in_flight = in_flight
        self._caution = Caution(in_flight if in_flight_per_recipient is None else in_flight_per_recipient)
        self._timeout_seconds = timeout_seconds
        self._link = link or Link(server, "publisher")
        self._turn = asyncio.Lock()
        self._outlet: _Outlet | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a connection that can be published on, now."""
        return self._outlet is not None and not self._outlet.lost

    async def start(self) -> None:
        """Connect; `publish` does it by itself otherwise.

        Raises:
            Unavailable: if the server cannot be reached.
        """
        async with self._turn:
            await self._connected()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        await self.close()

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        """Publish many and wait for every answer; the results are in the order of the messages.

        Messages to one recipient are sent in order; after one that failed, the later ones are FAILED unsent. Calls
        follow one another.

        Args:
            messages: the same octets and message id as ever, where it is a repetition.

        Raises:
            Unavailable: if nothing was sent, because there is no connection to be had.
        """
        if not messages:
            return []
        async with self._turn:
            outlet = await self._connected()
            await outlet.accepting(self._timeout_seconds)
            pipeline = Pipeline(
                messages, self._caution, in_flight=self._in_flight, in_flight_octets=DEFAULT_IN_FLIGHT_OCTETS
            )
            batch = _Batch(outlet, self._server, pipeline, self._caution, self._timeout_seconds)
            complete = False
            try:
                await batch.send(messages)
                complete = not batch.suspect
            finally:
                if not complete:
                    await self._forget()
            return pipeline.results

    async def close(self) -> None:
        """Hang up; what is under way is FAILED."""
        await self._link.close()

    async def _connected(self) -> _Outlet:
        if self._outlet is None or self._outlet.lost:
            self._outlet = None
            self._outlet = await self._link.open(_Outlet(self._server).start)
        return self._outlet

    async def _forget(self) -> None:
        self._outlet = None
        await self._link.drop()


def _routing_key(message: OutboxMessage) -> str:
    match message.kind:
        case MessageKind.ALERT:
            return f"{message.recipient}.{message.type}"
        case MessageKind.RESPONSE | MessageKind.REPLY:
            return message.recipient
        case MessageKind.QUARANTINE:
            return message.type


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
