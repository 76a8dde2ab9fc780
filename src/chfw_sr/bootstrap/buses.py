"""The bus of a running service: RabbitMQ, or a spool folder. Both say how they are, for readiness and metrics."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from chfw_sr.broker.connection import Server
from chfw_sr.broker.consuming import QueueConsumer
from chfw_sr.broker.lean import LeanConsumer, LeanPublisher
from chfw_sr.broker.names import REQUESTS, UNROUTED
from chfw_sr.broker.publishing import ConfirmingPublisher
from chfw_sr.broker.rabbitmq import RabbitConsumer, RabbitPublisher
from chfw_sr.broker.topology import Finding, Topology, TopologyRefused, apply, check
from chfw_sr.messages import EUI
from chfw_sr.service.ports import Consumer, Publisher, Unavailable
from chfw_sr.service.spool import SpoolConsumer, SpoolPublisher
from chfw_sr.settings import AmqpClient, Settings, SettingsError
from chfw_sr.telemetry.health import OK, PATIENCE_SECONDS

from .depths import QueueDepths

logger = logging.getLogger(__name__)

SHOWN_FINDINGS = 5

CLIENTS: dict[AmqpClient, tuple[type[QueueConsumer[Any]], type[ConfirmingPublisher[Any]]]] = {
    AmqpClient.LEAN: (LeanConsumer, LeanPublisher),
    AmqpClient.AIO_PIKA: (RabbitConsumer, RabbitPublisher),
}
"""What receives and publishes."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Which loops a process runs."""

    consumer: bool = True
    relay: bool = True
    clock: bool = True
    email: bool = True
    """Only where the settings name an SMTP server."""


class TopologyMissing(Exception):  # noqa: N818 - it names what is found
    """RabbitMQ lacks what the service needs, or has it otherwise, or refuses to have it."""


class Bus(Protocol):
    """Where requests come from and messages go to."""

    @property
    def consumer(self) -> Consumer:
        """Takes Service Requests."""
        ...

    @property
    def publisher(self) -> Publisher:
        """Publishes outbox messages."""
        ...

    async def look(self) -> Mapping[str, str]:
        """Tell how consumer and publisher are: `ok`, or what is wrong."""
        ...

    async def depths(self) -> Mapping[str, int]:
        """Tell how many messages lie ready in each of our own queues.

        Raises:
            Unavailable: if nobody can tell.
        """
        ...


class SpoolBus:
    """A folder; a `Bus`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._consumer = SpoolConsumer(folder, max_octets=settings.max_octets, idle_seconds=settings.idle_seconds)
        self._publisher = SpoolPublisher(folder)

    @property
    def consumer(self) -> Consumer:
        """Takes files."""
        return self._consumer

    @property
    def publisher(self) -> Publisher:
        """Writes files."""
        return self._publisher

    async def look(self) -> Mapping[str, str]:
        """Tell whether the folder is there."""
        return {"spool": OK if await asyncio.to_thread(self._consumer.is_there) else "the folder is gone"}

    async def depths(self) -> Mapping[str, int]:
        """Tell how many files wait."""
        return {REQUESTS: self._consumer.waiting}


class RabbitBus:
    """RabbitMQ; a `Bus`.

    Args:
        server: where.
        roles: which of consumer and publisher are to be connected.
        prefetch: requests that the consumer may hold unacknowledged.
        client: what speaks AMQP.
        in_flight_per_recipient: messages to one recipient that may be under way; None is as many as to all.
    """

    def __init__(
        self,
        server: Server,
        roles: Roles,
        prefetch: int,
        *,
        client: AmqpClient = AmqpClient.LEAN,
        in_flight_per_recipient: int | None = None,
    ) -> None:
        self._server = server
        self._roles = roles
        consumer, publisher = CLIENTS[client]
        self._consumer = consumer(server, prefetch=prefetch)
        self._publisher = publisher(server, in_flight_per_recipient=in_flight_per_recipient)
        self._depths = QueueDepths(server)

    @property
    def consumer(self) -> Consumer:
        """Takes messages of `chfw.requests`."""
        return self._consumer

    @property
    def publisher(self) -> Publisher:
        """Publishes with confirms."""
        return self._publisher

    async def check(self, users: Sequence[EUI], delivery_limit: int) -> None:
        """Make sure that everything is there that nothing can be done without.

        Raises:
            TopologyMissing: if something is missing or different.
            Unavailable: if the server cannot be reached.
        """
        async with self._server.session("topology") as connection:
            if findings := await check(connection, Topology.of_service(delivery_limit=delivery_limit)):
                raise TopologyMissing(_in_words(findings))
            if findings := await check(connection, Topology.of_users(users)):
                logger.warning("%s: kept in %s meanwhile", _in_words(findings), UNROUTED)

    async def start(self) -> None:
        """Connect what the roles need.

        Raises:
            Unavailable: if the server cannot be reached.
        """
        if self._roles.consumer:
            await self._consumer.start()
        if self._roles.relay:
            await self._publisher.start()

    async def look(self) -> Mapping[str, str]:
        """Tell whether the queue is being consumed and the publisher connected; an idle publisher connects again."""
        found = {}
        if self._roles.consumer:
            found["consumer"] = OK if self._consumer.ready else f"{self._server}: the queue is not being consumed"
        if self._roles.relay:
            found["publisher"] = await self._look_at_publisher()
        return found

    async def depths(self) -> Mapping[str, int]:
        """Tell how many messages lie ready in the service's own queues; the consumer learns it too."""
        found = await self._depths.look()
        if self._roles.consumer:
            self._consumer.lie_ready(found.get(REQUESTS, 0))
        return found

    async def close(self) -> None:
        """Give back what is unacknowledged, and hang up."""
        await self._consumer.close()
        await self._publisher.close()
        await self._depths.close()

    async def _look_at_publisher(self) -> str:
        if not self._publisher.ready:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._publisher.start()
            except TimeoutError:
                return f"{self._server}: no connection within {PATIENCE_SECONDS:g} s"
            except Unavailable as error:
                return str(error)
        return OK


def server_of(settings: Settings, name: str = "chfw-sr") -> Server:
    """Tell where RabbitMQ is.

    Args:
        settings: name it, with the files for TLS.
        name: what the server's operators see of each connection.

    Raises:
        SettingsError: if it is not set or cannot be used.
    """
    if settings.amqp_url is None:
        raise SettingsError("amqp_url is not set: where is RabbitMQ? (run --embedded needs none)")
    try:
        return Server.parse(
            settings.amqp_url.get_secret_value(),
            ca_file=settings.amqp_ca_file,
            certificate=settings.amqp_certificate,
            key=settings.amqp_key,
            name=name,
        )
    except ValueError as error:
        raise SettingsError(f"amqp_url: {error}") from error


@asynccontextmanager
async def open_depths(settings: Settings) -> AsyncIterator[QueueDepths | None]:
    """Give what tells how much lies in RabbitMQ's queues, None where the settings name none; hang up in the end.

    Raises:
        SettingsError: if the settings cannot be used.
    """
    if settings.amqp_url is None:
        yield None
        return
    asking = QueueDepths(server_of(settings, "chfw-sr monitor"))
    try:
        yield asking
    finally:
        await asking.close()


@asynccontextmanager
async def open_rabbit(settings: Settings, roles: Roles, users: Sequence[EUI], name: str) -> AsyncIterator[RabbitBus]:
    """Check RabbitMQ's topology, connect, and hang up in the end.

    Args:
        settings: where it is.
        roles: what is to be connected.
        users: whose queues are looked for; that one is missing is said and no more.
        name: what the server's operators see of each connection.

    Raises:
        SettingsError: if the settings cannot be used.
        TopologyMissing: if something is missing or different.
        Unavailable: if the server cannot be reached.
    """
    bus = RabbitBus(
        server_of(settings, name),
        roles,
        settings.prefetch,
        client=settings.amqp_client,
        in_flight_per_recipient=settings.relay_in_flight_per_recipient,
    )
    try:
        await bus.check(users, settings.delivery_limit)
        await bus.start()
        yield bus
    finally:
        await bus.close()


def full_topology(settings: Settings, users: Sequence[EUI]) -> Topology:
    """Give everything that is to be on the server: the service's own, and a pair of queues for each User."""
    return Topology.of_service(delivery_limit=settings.delivery_limit) + Topology.of_users(users)


async def apply_topology(settings: Settings, users: Sequence[EUI]) -> Topology:
    """Make everything on RabbitMQ that is not there yet; give what is to be there.

    Raises:
        SettingsError: if the settings cannot be used.
        TopologyMissing: if the server refuses something.
        Unavailable: if the server cannot be reached.
    """
    topology = full_topology(settings, users)
    async with server_of(settings).session("topology") as connection, connection.channel() as channel:
        try:
            await apply(channel, topology)
        except TopologyRefused as error:
            raise TopologyMissing(str(error)) from error
    return topology


async def check_topology(settings: Settings, users: Sequence[EUI]) -> Sequence[Finding]:
    """Say what is missing or different on RabbitMQ.

    Raises:
        SettingsError: if the settings cannot be used.
        Unavailable: if the server cannot be reached.
    """
    async with server_of(settings).session("topology") as connection:
        return await check(connection, full_topology(settings, users))


def _in_words(findings: Sequence[Finding]) -> str:
    shown = "; ".join(map(str, findings[:SHOWN_FINDINGS]))
    more = len(findings) - SHOWN_FINDINGS
    return f"{shown}; and {more} more" if more > 0 else shown
