"""The bus: Service Requests in, messages out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chfw_sr.quick import quick

from .outbox import OutboxMessage


@quick
@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was taken from `chfw.requests` and is not acknowledged yet.

    Attributes:
        tag: what the bus needs to acknowledge it; means nothing elsewhere.
        routing_key: as sent.
        reply_to: queue to which the answer also goes.
        correlation_id: to be returned with the answer.
        source: where it came from, for people (a file, a connection).
    """

    octets: bytes
    tag: int
    routing_key: str = ""
    reply_to: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    user_id: str | None = None
    redelivered: bool = False
    source: str | None = None


class PublishResult(StrEnum):
    """What the bus said about one message."""

    CONFIRMED = "Confirmed"
    UNROUTABLE = "Unroutable"
    FAILED = "Failed"
    """Refused, or no confirmation in time: it may or may not have arrived."""


class Consumer(Protocol):
    """Takes Service Requests."""

    async def receive(self, limit: int, wait_seconds: float) -> Sequence[Delivery]:
        """Wait for at least one message, then take what arrives within `wait_seconds`, at most `limit`.

        May be called while what was received before is not acknowledged yet, or just being: that does not come again.

        Raises:
            Unavailable: if the connection was lost; what was not acknowledged comes again.
        """
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these are done."""
        ...

    async def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Give these back, to be delivered again."""
        ...


class Publisher(Protocol):
    """Publishes outbox messages with confirms."""

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        """Publish many, in order, and wait for every confirm; the results are in the order of the messages.

        Raises:
            Unavailable: if the connection was lost before any was sent.
        """
        ...
