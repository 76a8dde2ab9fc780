"""What an adapter needs of a bus, as Protocols; RabbitMQ and the in-process bus both pass one contract suite.

The rules:

- A Service Request is sent once the bus has confirmed it. After `Unavailable` it may have arrived or not: send it
  again.
- What a queue hands over stays the queue's until it is acknowledged. A source that is closed or lost gives it back, and
  it comes again, before anything that came later.
- An arrival belongs to the source that gave it, and to the connection of that moment. Acknowledging it after that
  connection was lost is `Unavailable`, and can never acknowledge anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chfw_sr.messages import SRV, RequestID


class Inbound(StrEnum):
    """The two queues of a User (wire contract §7)."""

    RESPONSES = "responses"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that a queue has handed over, and that is not acknowledged yet.

    Attributes:
        octets: the document; nobody has looked at it.
        tag: what its source needs to acknowledge it; never given twice by one source.
        message_id: the ResponseID, as the sender's envelope has it; not signed, so for people only.
    """

    octets: bytes
    tag: int
    message_id: str | None = None


class Source(Protocol):
    """One queue, being consumed. Used by one task at a time."""

    async def receive(self, limit: int) -> Sequence[Arrival]:
        """Wait for at least one message, then take what is there, at most `limit`.

        Raises:
            Unavailable: if the connection was lost or cannot be had; the next call connects again, at its own pace.
        """
        ...

    async def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Say that these are done.

        Raises:
            Unavailable: if the connection that they came by was lost; they come again.
        """
        ...

    async def close(self) -> None:
        """Give back everything that is not acknowledged. A `receive` that waits raises `Unavailable`."""
        ...


class Transport(Protocol):
    """The way to the DCC and back, for one User."""

    async def send(self, octets: bytes, request_id: RequestID, srv: SRV | str) -> None:
        """Send a Service Request, and wait until the bus has it safe.

        Args:
            octets: the signed document.
            request_id: its name, for the envelope.
            srv: its Service Reference Variant, the routing key.

        Raises:
            Unavailable: if it was not confirmed; it may have arrived all the same.
        """
        ...

    def source(self, inbound: Inbound, prefetch: int) -> Source:
        """Begin to consume one of the User's queues; nothing connects before the first `receive`.

        Args:
            inbound: which of the two.
            prefetch: messages that may be handed over without being acknowledged.
        """
        ...

    async def close(self) -> None:
        """Hang up."""
        ...
