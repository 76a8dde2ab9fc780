"""Exchanges, queues and bindings of wire contract §7, as data, and how to bring them to a server.

    chfw.requests  --#-->  chfw.requests    at the delivery limit → chfw.quarantine
    chfw.alerts    --EUI.*-->  alerts.EUI   without a queue → chfw.unrouted
    chfw.responses --EUI-->  responses.EUI  without a queue → chfw.unrouted
    chfw.quarantine --#-->  chfw.quarantine
    chfw.unrouted   --#-->  chfw.unrouted

All queues are quorum queues. Dead-lettering is at least once, which RabbitMQ offers for queues that reject what does
not fit; none of ours has a length limit of its own. What a User's own client refuses, or (from RabbitMQ 4 on, where
every quorum queue has a delivery limit) returns too often, goes to `chfw.unrouted` too, instead of being lost.

The arguments of a queue stand for its life: another delivery limit needs a new queue, or a policy of the operator.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from aio_pika import ExchangeType
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from chfw_sr.messages import EUI

from .failures import unavailable_if_lost
from .names import ALERTS, QUARANTINE, REQUESTS, RESPONSES, UNROUTED, alerts_queue, responses_queue

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection

DEFAULT_DELIVERY_LIMIT = 20
"""Returns of one request before it is quarantined."""


class TopologyRefused(Exception):  # noqa: N818 - it names the outcome
    """The server has something else under one of our names, or this account may not declare it; repeating is no use."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable topic exchange; `alternate` gets what no queue of it takes."""

    name: str
    alternate: str | None = None

    def __str__(self) -> str:
        return f"exchange {self.name}"

    async def declare(self, channel: "AbstractChannel", *, passive: bool = False) -> None:
        """Make sure of it; `passive` only asks whether it is there."""
        arguments = {"alternate-exchange": self.alternate} if self.alternate else None
        await channel.declare_exchange(
            self.name, ExchangeType.TOPIC, durable=True, passive=passive, arguments=dict(arguments or {})
        )


@dataclass(frozen=True, slots=True)
class Queue:
    """A quorum queue.

    Attributes:
        name: unique in the virtual host.
        dead_letters: exchange that gets what is refused or returned too often, at least once.
        delivery_limit: returns of one message; one more, and it is a dead letter. None is the server's default.
    """

    name: str
    dead_letters: str | None = None
    delivery_limit: int | None = None

    def __str__(self) -> str:
        return f"queue {self.name}"

    @property
    def arguments(self) -> Mapping[str, str | int]:
        """As the server wants them."""
        arguments: dict[str, str | int] = {"x-queue-type": "quorum"}
        if self.dead_letters is not None:
            arguments |= {
                "x-dead-letter-exchange": self.dead_letters,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            }
        if self.delivery_limit is not None:
            arguments["x-delivery-limit"] = self.delivery_limit
        return arguments

    async def declare(self, channel: "AbstractChannel", *, passive: bool = False) -> None:
        """Make sure of it; `passive` only asks whether it is there."""
        await channel.declare_queue(self.name, durable=True, passive=passive, arguments=dict(self.arguments))


@dataclass(frozen=True, slots=True)
class Binding:
    """What goes from an exchange into a queue."""

    exchange: str
    key: str
    queue: str

    def __str__(self) -> str:
        return f"binding of queue {self.queue} to exchange {self.exchange} by {self.key}"

    async def declare(self, channel: "AbstractChannel") -> None:
        """Make sure of it."""
        queue = await channel.get_queue(self.queue, ensure=False)
        await queue.bind(self.exchange, self.key)


@dataclass(frozen=True, slots=True)
class Topology:
    """What there is to be on a server, in an order in which it can be made."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    @classmethod
    def of_service(cls, *, delivery_limit: int = DEFAULT_DELIVERY_LIMIT) -> Self:
        """Give what the service itself needs.

        Args:
            delivery_limit: how often a request may be returned; once more, and it is quarantined.
        """
        return cls(
            (
                Exchange(UNROUTED),
                Exchange(QUARANTINE),
                Exchange(REQUESTS),
                Exchange(ALERTS, alternate=UNROUTED),
                Exchange(RESPONSES, alternate=UNROUTED),
            ),
            (Queue(UNROUTED), Queue(QUARANTINE), Queue(REQUESTS, QUARANTINE, delivery_limit)),
            tuple(Binding(name, "#", name) for name in (UNROUTED, QUARANTINE, REQUESTS)),
        )

    @classmethod
    def of_users(cls, users: Iterable[EUI]) -> Self:
        """Give the queues that keep what Users are told while they are away."""
        euis = sorted(set(users))
        return cls(
            queues=tuple(Queue(name(eui), UNROUTED) for eui in euis for name in (alerts_queue, responses_queue)),
            bindings=tuple(
                binding
                for eui in euis
                for binding in (
                    Binding(ALERTS, f"{eui}.*", alerts_queue(eui)),
                    Binding(RESPONSES, eui, responses_queue(eui)),
                )
            ),
        )

    def __add__(self, other: "Topology") -> "Topology":
        return Topology(self.exchanges + other.exchanges, self.queues + other.queues, self.bindings + other.bindings)


class Defect(StrEnum):
    """What may be wrong with an exchange or a queue."""

    MISSING = "missing"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; `detail` is what the server says of the difference."""

    defect: Defect
    item: Exchange | Queue
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.item} is {self.defect}" + (f": {self.detail}" if self.detail else "")


async def apply(channel: "AbstractChannel", topology: Topology) -> None:
    """Make everything that is not there yet; what is there stays as it is, with all that lies in it.

    Args:
        channel: an open one; it is closed by the server if something is refused.
        topology: what there is to be.

    Raises:
        TopologyRefused: naming what the server refuses, and why; what stands before it is made.
        Unavailable: if the connection is lost.

    Source: wire contract §7.
    """
    items: tuple[Exchange | Queue | Binding, ...] = (*topology.exchanges, *topology.queues, *topology.bindings)
    with unavailable_if_lost():
        for item in items:
            try:
                await item.declare(channel)
            except ChannelClosed as error:
                raise TopologyRefused(f"{item}: {error}") from error


async def check(connection: "AbstractConnection", topology: Topology) -> Sequence[Finding]:
    """Say what of it is missing or different; nothing is changed.

    A server tells of differences only who may declare; for another account it is enough that things are there. Bindings
    cannot be asked for; `apply` makes sure of them.

    Args:
        connection: an open one; every finding costs a channel of it.
        topology: what there is to be.

    Raises:
        Unavailable: if the connection is lost.

    Source: wire contract §7.
    """
    items: tuple[Exchange | Queue, ...] = (*topology.exchanges, *topology.queues)
    with unavailable_if_lost():
        return [finding for item in items if (finding := await _examine(connection, item))]


async def _examine(connection: "AbstractConnection", item: Exchange | Queue) -> Finding | None:
    try:
        async with connection.channel() as channel:
            await item.declare(channel, passive=True)
            await item.declare(channel)
    except ChannelNotFoundEntity:
        return Finding(Defect.MISSING, item)
    except ChannelPreconditionFailed as error:
        return Finding(Defect.DIFFERENT, item, str(error))
    except ChannelAccessRefused:  # it is there; no more is told to this account
        return None
    return None


async def depths(connection: "AbstractConnection", queues: Iterable[str]) -> Mapping[str, int]:
    """Say how many messages lie ready in each queue; one that is not there is left out.

    Args:
        connection: an open one.
        queues: names.

    Raises:
        Unavailable: if the connection is lost.
    """
    found = {}
    with unavailable_if_lost():
        for name in queues:
            try:
                async with connection.channel() as channel:
                    queue = await channel.declare_queue(name, passive=True)
                    found[name] = queue.declaration_result.message_count or 0
            except ChannelNotFoundEntity:
                continue
    return found
