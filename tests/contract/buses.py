"""What the bus contract needs to see of a bus beyond the ports, and how each bus shows it."""

from collections.abc import Sequence
from typing import Protocol

from chfw_sr.broker.memory import InProcessBus, QueuedMessage
from chfw_sr.messages import EUI
from chfw_sr.service.ports import Consumer, Publisher


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

    async def consumer(self) -> ClosableConsumer: ...

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

    async def consumer(self) -> ClosableConsumer:
        return self._bus.consumer()

    async def publisher(self) -> Publisher:
        return self._bus.publisher()

    async def take(self, queue: str, count: int) -> Sequence[QueuedMessage]:
        messages = self._bus.take(queue)
        assert len(messages) == count
        return messages

    async def close(self) -> None:
        return None
