"""What the in-process bus offers beyond the ports: for tests and for the replay."""

import asyncio
from datetime import UTC, datetime

import pytest

from chfw_sr.broker.memory import InProcessBus, QueuedMessage
from chfw_sr.broker.names import QUARANTINE, REQUESTS, UNROUTED
from chfw_sr.messages import EUI
from chfw_sr.service.ports import Delivery, MessageKind, OutboxMessage

ALICE = EUI("90-B3-D5-1F-30-01-00-00")


def reply(number: int, queue: str) -> OutboxMessage:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return OutboxMessage(number, MessageKind.REPLY, queue, f"m{number}", "11.6", b"%d" % number, at)


async def test_source_and_user_travel_with_the_request() -> None:
    bus = InProcessBus()
    await bus.send(b"a", routing_key="11.5", source="one.xml", user_id="alice")
    (delivery,) = await bus.consumer().receive(1, 0)
    assert (delivery.source, delivery.user_id) == ("one.xml", "alice")


async def test_depths_count_what_is_ready() -> None:
    bus = InProcessBus()
    bus.declare_user(ALICE)
    consumer = bus.consumer()
    await bus.send(b"a", routing_key="11.5")
    await bus.send(b"b", routing_key="11.5")
    await consumer.receive(1, 0)

    assert bus.queues() == {REQUESTS: 1, QUARANTINE: 0, UNROUTED: 0, f"alerts.{ALICE}": 0, f"responses.{ALICE}": 0}
    assert bus.unacknowledged == 1


async def test_taking_empties_a_queue() -> None:
    bus = InProcessBus()
    bus.declare_queue("q")
    await bus.publisher().publish([reply(1, "q"), reply(2, "q")])
    assert [m.octets for m in bus.take("q")] == [b"1", b"2"]
    assert bus.take("q") == []


async def test_join_waits_until_every_request_is_done() -> None:
    bus = InProcessBus()
    consumer = bus.consumer()
    await bus.send(b"a", routing_key="11.5")
    joining = asyncio.create_task(bus.join())
    batch = await consumer.receive(1, 0)
    await asyncio.sleep(0)
    assert not joining.done()
    await consumer.acknowledge(batch)
    await joining
    assert bus.unacknowledged == 0


async def test_join_counts_a_quarantined_request_as_done() -> None:
    bus = InProcessBus(delivery_limit=0)
    consumer = bus.consumer()
    await bus.send(b"a", routing_key="11.5")
    await consumer.requeue(await consumer.receive(1, 0))
    await bus.join()
    assert bus.queues()[QUARANTINE] == 1


async def test_a_subscriber_gets_what_lies_there_and_what_comes() -> None:
    bus = InProcessBus()
    bus.declare_queue("q")
    publisher = bus.publisher()
    await publisher.publish([reply(1, "q")])
    messages: list[QueuedMessage] = []
    ended = asyncio.Event()

    async def read() -> None:
        async for message in bus.subscribe("q"):
            messages.append(message)
            if len(messages) == 2:
                ended.set()

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    await publisher.publish([reply(2, "q")])
    await ended.wait()
    assert [m.octets for m in messages] == [b"1", b"2"]
    assert bus.queues()["q"] == 0
    await bus.delete_queue("q")
    with pytest.raises(KeyError):
        await reading


async def test_unknown_queues_are_refused() -> None:
    bus = InProcessBus()
    with pytest.raises(KeyError):
        bus.take("none")
    with pytest.raises(KeyError):
        await bus.delete_queue("none")
    with pytest.raises(KeyError):
        await anext(bus.subscribe("none"))


async def test_only_what_is_held_can_be_acknowledged_and_then_only_once() -> None:
    bus = InProcessBus()
    consumer = bus.consumer()
    await bus.send(b"a", routing_key="11.5")
    (delivery,) = await consumer.receive(1, 0)
    for wrong in ([delivery, delivery], [delivery, Delivery(b"", 99)]):
        with pytest.raises(ValueError, match="not held"):
            await consumer.acknowledge(wrong)
    assert bus.unacknowledged == 1
    await consumer.acknowledge([delivery])
    with pytest.raises(ValueError, match="not held"):
        await consumer.requeue([delivery])


def test_a_delivery_limit_is_not_negative() -> None:
    with pytest.raises(ValueError, match="delivery limit"):
        InProcessBus(delivery_limit=-1)
