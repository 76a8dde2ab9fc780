"""The contract of every bus: what `Consumer` and `Publisher` of the ports promise (wire contract §7)."""

import asyncio
from datetime import UTC, datetime

import pytest

from chfw_sr.broker.names import QUARANTINE, REQUESTS, UNROUTED, alerts_queue, responses_queue
from chfw_sr.messages import EUI
from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult, Unavailable

from .buses import BusUnderTest
from .conftest import MakeBus

ALICE = EUI("90-B3-D5-1F-30-01-00-00")
BOB = EUI("90-B3-D5-1F-30-01-00-01")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = 30.0
"""Seconds that no test ever waits for in full."""


def message(
    number: int, kind: MessageKind = MessageKind.ALERT, recipient: str = ALICE, **other: object
) -> OutboxMessage:
    fields = {"message_id": f"m{number}", "type": "N64", "octets": b"<%d/>" % number, "created_at": AT} | other
    return OutboxMessage(id=number, kind=kind, recipient=recipient, **fields)  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------- consumers


async def test_a_request_arrives_as_it_was_sent(bus: BusUnderTest) -> None:
    consumer = await bus.consumer()
    await bus.send(b"<a/>", routing_key="11.30", reply_to="q", correlation_id="c", message_id="m")

    (delivery,) = await consumer.receive(10, 0)

    assert delivery.octets == b"<a/>"
    assert delivery.routing_key == "11.30"
    assert (delivery.reply_to, delivery.correlation_id, delivery.message_id) == ("q", "c", "m")
    assert not delivery.redelivered


async def test_requests_come_in_order_and_no_more_than_asked_for(bus: BusUnderTest) -> None:
    consumer = await bus.consumer()
    for number in range(5):
        await bus.send(b"%d" % number)

    first = await consumer.receive(3, LONG)
    rest = await consumer.receive(3, 0.05)

    assert [d.octets for d in first] == [b"0", b"1", b"2"]
    assert [d.octets for d in rest] == [b"3", b"4"]


async def test_receive_waits_for_the_first_request(bus: BusUnderTest) -> None:
    consumer = await bus.consumer()
    receiving = asyncio.create_task(consumer.receive(10, 0))
    await bus.send(b"a")

    assert [d.octets for d in await receiving] == [b"a"]


async def test_a_full_batch_does_not_wait(bus: BusUnderTest) -> None:
    consumer = await bus.consumer()
    receiving = asyncio.create_task(consumer.receive(2, LONG))
    async with asyncio.timeout(LONG / 2):
        await bus.send(b"a")
        await bus.send(b"b")
        batch = await receiving

    assert [d.octets for d in batch] == [b"a", b"b"]


async def test_what_was_acknowledged_never_comes_again(bus: BusUnderTest) -> None:
    consumer = await bus.consumer()
    for number in range(3):
        await bus.send(b"%d" % number)
    await consumer.acknowledge(await consumer.receive(2, LONG))
    await consumer.close()

    other = await bus.consumer()
    assert [d.octets for d in await other.receive(10, 0)] == [b"2"]


async def test_requeued_requests_come_back_first_in_order_and_say_so(bus: BusUnderTest) -> None:
    consumer = await bus.consumer()
    for number in range(4):
        await bus.send(b"%d" % number)
    zero, one, two = await consumer.receive(3, LONG)
    await consumer.acknowledge([one])
    await consumer.requeue([zero, two])
    await bus.send(b"4")

    batch = await consumer.receive(4, LONG)

    assert [(d.octets, d.redelivered) for d in batch] == [(b"0", True), (b"2", True), (b"3", False), (b"4", False)]


async def test_competing_consumers_share_the_requests(bus: BusUnderTest) -> None:
    one, two = await bus.consumer(), await bus.consumer()
    for number in range(4):
        await bus.send(b"%d" % number)

    batches = [*await one.receive(2, LONG), *await two.receive(2, LONG)]

    assert sorted(d.octets for d in batches) == [b"0", b"1", b"2", b"3"]


async def test_competing_consumers_that_wait_get_a_request_once(bus: BusUnderTest) -> None:
    one, two = await bus.consumer(), await bus.consumer()
    receiving = {asyncio.create_task(one.receive(5, 0.01)), asyncio.create_task(two.receive(5, 0.01))}
    await bus.send(b"a")
    done, waiting = await asyncio.wait(receiving, return_when=asyncio.FIRST_COMPLETED)
    await bus.send(b"b")
    done_later, _ = await asyncio.wait(waiting)

    assert [d.octets for task in (*done, *done_later) for d in task.result()] == [b"a", b"b"]


async def test_a_consumer_that_goes_away_leaves_its_requests_to_the_others(bus: BusUnderTest) -> None:
    one = await bus.consumer()
    await bus.send(b"a")
    await bus.send(b"b")
    await one.receive(2, LONG)
    two = await bus.consumer()
    receiving = asyncio.create_task(two.receive(2, LONG))
    await one.close()

    assert [(d.octets, d.redelivered) for d in await receiving] == [(b"a", True), (b"b", True)]


async def test_a_closed_consumer_is_unavailable(bus: BusUnderTest) -> None:
    consumer = await bus.consumer()
    await bus.send(b"a")
    batch = await consumer.receive(1, LONG)
    await consumer.close()

    for call in (consumer.receive(1, 0), consumer.acknowledge(batch), consumer.requeue(batch)):
        with pytest.raises(Unavailable):
            await call


async def test_closing_wakes_a_consumer_that_waits(bus: BusUnderTest) -> None:
    consumer = await bus.consumer()
    receiving = asyncio.create_task(consumer.receive(1, LONG))
    await asyncio.sleep(0)
    await consumer.close()

    with pytest.raises(Unavailable):
        await receiving


async def test_a_cancelled_receive_loses_nothing(bus: BusUnderTest) -> None:
    consumer = await bus.consumer()
    await bus.send(b"a")
    receiving = asyncio.create_task(consumer.receive(2, LONG))
    await asyncio.sleep(0)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving

    assert [d.octets for d in await consumer.receive(1, LONG)] == [b"a"]


async def test_a_request_returned_too_often_is_quarantined(make_bus: MakeBus) -> None:
    bus = await make_bus(delivery_limit=2)
    consumer = await bus.consumer(prefetch=1)
    await bus.send(b"poison", routing_key="11.9", message_id="m")
    await bus.send(b"good")
    for expected in (False, True, True):
        (delivery,) = await consumer.receive(1, LONG)
        assert (delivery.octets, delivery.redelivered) == (b"poison", expected)
        await consumer.requeue([delivery])

    assert [d.octets for d in await consumer.receive(2, 0.05)] == [b"good"]
    (dead,) = await bus.take(QUARANTINE, 1)
    assert (dead.octets, dead.message_id, dead.routing_key) == (b"poison", "m", "11.9")
    assert dead.headers["x-first-death-reason"] == "delivery_limit"


# -------------------------------------------------------------------------------------------------- publishers


async def test_an_alert_reaches_its_recipient_alone(bus: BusUnderTest) -> None:
    await bus.declare_user(ALICE)
    await bus.declare_user(BOB)
    publisher = await bus.publisher()

    results = await publisher.publish([message(1), message(2, recipient=BOB), message(3, type="N901")])

    assert list(results) == [PublishResult.CONFIRMED] * 3
    one, three = await bus.take(alerts_queue(ALICE), 2)
    (two,) = await bus.take(alerts_queue(BOB), 1)
    assert [m.octets for m in (one, two, three)] == [b"<1/>", b"<2/>", b"<3/>"]
    assert (one.message_id, one.type, one.routing_key) == ("m1", "N64", f"{ALICE}.N64")
    assert one.timestamp == AT
    assert three.routing_key == f"{ALICE}.N901"


async def test_a_response_reaches_its_originator_with_the_correlation_id(bus: BusUnderTest) -> None:
    await bus.declare_user(ALICE)
    publisher = await bus.publisher()

    results = await publisher.publish([message(1, MessageKind.RESPONSE, type="11.6", correlation_id="c")])

    assert list(results) == [PublishResult.CONFIRMED]
    (received,) = await bus.take(responses_queue(ALICE), 1)
    assert (received.octets, received.correlation_id, received.routing_key) == (b"<1/>", "c", ALICE)
    await bus.take(alerts_queue(ALICE), 0)


@pytest.mark.parametrize("kind", [MessageKind.ALERT, MessageKind.RESPONSE])
async def test_what_has_no_queue_is_confirmed_and_kept(bus: BusUnderTest, kind: MessageKind) -> None:
    publisher = await bus.publisher()

    assert list(await publisher.publish([message(1, kind)])) == [PublishResult.CONFIRMED]
    (kept,) = await bus.take(UNROUTED, 1)
    assert (kept.octets, kept.message_id) == (b"<1/>", "m1")


async def test_a_reply_goes_to_its_queue_or_is_unroutable(bus: BusUnderTest) -> None:
    await bus.declare_queue("there")
    await bus.declare_queue("gone")
    await bus.delete_queue("gone")
    publisher = await bus.publisher()
    kind = MessageKind.REPLY

    results = await publisher.publish([message(1, kind, "never"), message(2, kind, "there"), message(3, kind, "gone")])

    assert list(results) == [PublishResult.UNROUTABLE, PublishResult.CONFIRMED, PublishResult.UNROUTABLE]
    (received,) = await bus.take("there", 1)
    assert received.octets == b"<2/>"


@pytest.mark.parametrize("queue", [alerts_queue(ALICE), responses_queue(ALICE), REQUESTS, QUARANTINE])
async def test_a_reply_never_goes_to_a_queue_of_the_services_own(bus: BusUnderTest, queue: str) -> None:
    await bus.declare_user(ALICE)
    publisher = await bus.publisher()

    results = await publisher.publish([message(1, MessageKind.REPLY, queue), message(2)])

    assert list(results) == [PublishResult.UNROUTABLE, PublishResult.CONFIRMED]
    await bus.take(alerts_queue(ALICE), 1)
    await bus.take(responses_queue(ALICE), 0)
    await bus.take(QUARANTINE, 0)
    consumer = await bus.consumer()
    await bus.send(b"first")
    assert [d.octets for d in await consumer.receive(1, LONG)] == [b"first"]


async def test_a_quarantined_message_keeps_octets_and_headers(bus: BusUnderTest) -> None:
    publisher = await bus.publisher()
    headers = {"x-chfw-code": "E900", "x-chfw-reason": "not well-formed"}

    await publisher.publish([message(1, MessageKind.QUARANTINE, "", octets=b"\xff\x00<", headers=headers)])

    (kept,) = await bus.take(QUARANTINE, 1)
    assert kept.octets == b"\xff\x00<"
    assert headers.items() <= kept.headers.items()


async def test_publishing_nothing_gives_nothing(bus: BusUnderTest) -> None:
    publisher = await bus.publisher()
    assert list(await publisher.publish([])) == []


async def test_declaring_a_user_again_keeps_its_messages(bus: BusUnderTest) -> None:
    await bus.declare_user(ALICE)
    await (await bus.publisher()).publish([message(1)])
    await bus.declare_user(ALICE)

    assert [m.octets for m in await bus.take(alerts_queue(ALICE), 1)] == [b"<1/>"]
