"""What the publishers have in common, whatever they speak AMQP with."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult

from .link import PacedLink
from .names import ALERTS, QUARANTINE, RESPONSES
from .pipeline import Caution, Pipeline

if TYPE_CHECKING:
    from types import TracebackType

    from .connection import Server

Connection = TypeVar("Connection")
Taken_contra = TypeVar("Taken_contra", contravariant=True)

DEFAULT_IN_FLIGHT = 1000
"""Messages that may be under way without a confirm, so that many reach a queue together; twice as many gain nothing."""

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


class Outlet(Protocol[Taken_contra]):
    """What messages leave by: the channels of one connection."""

    @property
    def lost(self) -> bool:
        """Whether it cannot be used any more."""
        ...

    async def start(self, connection: Taken_contra) -> Self:
        """Open the channels."""
        ...

    async def accepting(self, timeout_seconds: float) -> None:
        """Wait until the server accepts messages.

        Raises:
            Unavailable: if it does not in time.
        """
        ...

    async def send(
        self, messages: Sequence[OutboxMessage], pipeline: Pipeline, caution: Caution, timeout_seconds: float
    ) -> bool:
        """Send what the pipeline lets go, and tell it what came of each.

        Returns:
            Whether the connection may be used again.
        """
        ...


class ConfirmingPublisher(ABC, Generic[Connection]):
    """What every publisher does: one call after the other, on a connection that nobody doubts; a `Publisher`.

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
        server: "Server",
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        in_flight_per_recipient: int | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        link: PacedLink[Connection] | None = None,
    ) -> None:
        if in_flight < 1:
            raise ValueError(f"at least 1 message must be under way: {in_flight}")
        self._server = server
        self._in_flight = in_flight
        self._caution = Caution(in_flight if in_flight_per_recipient is None else in_flight_per_recipient)
        self._timeout_seconds = timeout_seconds
        self._link = link or self._link_to(server)
        self._turn = asyncio.Lock()
        self._outlet: Outlet[Connection] | None = None

    @abstractmethod
    def _link_to(self, server: "Server") -> PacedLink[Connection]:
        """Give the connection, not open yet."""

    @abstractmethod
    def _outlet_on(self, server: "Server") -> "Outlet[Connection]":
        """Give what is to be set up on a new connection."""

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
            trusted = False
            try:
                trusted = await outlet.send(messages, pipeline, self._caution, self._timeout_seconds)
            finally:
                if not trusted:
                    await self._forget()
            return pipeline.results

    async def close(self) -> None:
        """Hang up; what is under way is FAILED."""
        await self._link.close()

    async def _connected(self) -> "Outlet[Connection]":
        if self._outlet is None or self._outlet.lost:
            self._outlet = None
            self._outlet = await self._link.open(self._outlet_on(self._server).start)
        return self._outlet

    async def _forget(self) -> None:
        self._outlet = None
        await self._link.drop()


def routing_key(kind: MessageKind, recipient: str, code: str) -> str:
    """Give the routing key of wire contract §7."""
    match kind:
        case MessageKind.ALERT:
            return f"{recipient}.{code}"
        case MessageKind.RESPONSE | MessageKind.REPLY:
            return recipient
        case MessageKind.QUARANTINE:
            return code
        case MessageKind.EMAIL:
            raise ValueError("an e-mail has no routing key")
