"""The contract of every transport: what `Transport` and `Source` promise, on RabbitMQ and on the in-process bus."""

import asyncio

import pytest

from chfw_sr.broker.names import REQUESTS, alerts_queue, responses_queue
from chfw_sr.client import Inbound, Unavailable
from chfw_sr.client.rabbitmq import RabbitTransport
from chfw_sr.messages import RequestID
from chfw_sr.service.ports import MessageKind
from tests.contract.buses import RabbitUnderTest

from .parts import DCC, SUPPLIER, Desk, transport_of

REQUEST = RequestID(originator=SUPPLIER, target=DCC, counter=1)


@pytest.fixture
async def transport(desk: Desk):
    transport = transport_of(desk.bus)
    yield transport
    await transport.close()


@pytest.fixture
def open_source(transport):
    """Opens sources."""

    def make(inbound: Inbound = Inbound.ALERTS, prefetch: int = 10):
        return transport.source(inbound, prefetch)

    return make


async def received(source, count: int) -> list:
    """Receive exactly so many."""
    arrivals = []
    while len(arrivals) < count:
        arrivals += await source.receive(count - len(arrivals))
    return arrivals


async def test_a_request_that_was_sent_is_in_the_queue(desk: Desk, transport):
    await transport.send(b"<request/>", REQUEST, "11.6")
    consumer = await desk.bus.consumer()
    (delivery,) = await consumer.receive(1, 0)
    assert (delivery.octets, delivery.routing_key, delivery.message_id) == (b"<request/>", "11.6", str(REQUEST))
    await consumer.close()


async def test_each_queue_has_its_own_messages_in_order(desk: Desk, open_source):
    for number in range(3):
        await desk.put(b"alert %d" % number)
        await desk.put(b"response %d" % number, MessageKind.RESPONSE)
    for inbound, what in ((Inbound.ALERTS, b"alert"), (Inbound.RESPONSES, b"response")):
        source = open_source(inbound)
        assert [each.octets for each in await received(source, 3)] == [b"%s %d" % (what, each) for each in range(3)]
        await source.close()


async def test_a_source_waits_for_a_message(desk: Desk, open_source):
    source = open_source()
    receiving = asyncio.ensure_future(source.receive(5))
    await desk.put(b"late")
    assert [each.octets for each in await receiving] == [b"late"]
    await source.close()


async def test_what_was_acknowledged_is_gone_and_the_rest_comes_again(desk: Desk, open_source):
    for number in range(4):
        await desk.put(b"%d" % number)
    source = open_source()
    arrivals = await received(source, 4)
    await source.acknowledge([arrivals[0], arrivals[2]])
    await source.close()
    again = open_source()
    assert [each.octets for each in await received(again, 2)] == [b"1", b"3"]
    await again.close()
    await desk.bus.take(alerts_queue(SUPPLIER), 2)


async def test_no_more_is_handed_over_than_the_prefetch(desk: Desk, open_source):
    for number in range(3):
        await desk.put(b"%d" % number)
    source = open_source(prefetch=2)
    first = await received(source, 2)
    receiving = asyncio.ensure_future(source.receive(5))
    await source.acknowledge(first[:1])
    assert [each.octets for each in await receiving] == [b"2"]
    await source.close()


async def test_closing_wakes_who_waits(open_source):
    source = open_source()
    receiving = asyncio.ensure_future(source.receive(1))
    await asyncio.sleep(0)
    await source.close()
    with pytest.raises(Unavailable):
        await receiving
    with pytest.raises(Unavailable):
        await source.receive(1)


async def test_a_cancelled_receive_loses_nothing(desk: Desk, open_source):
    source = open_source()
    receiving = asyncio.ensure_future(source.receive(1))
    await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.wait({receiving})
    await desk.put(b"later")
    assert [each.octets for each in await received(source, 1)] == [b"later"]
    await source.close()


async def test_a_source_cannot_acknowledge_anothers_arrival(desk: Desk, open_source):
    await desk.put(b"0")
    one = open_source()
    arrivals = await received(one, 1)
    await one.close()
    with pytest.raises(Unavailable):
        await one.acknowledge(arrivals)
    await desk.bus.take(alerts_queue(SUPPLIER), 1)


async def test_a_queue_that_is_not_there_is_unavailable(desk: Desk, open_source):
    await desk.bus.delete_queue(responses_queue(SUPPLIER))
    source = open_source(Inbound.RESPONSES)
    with pytest.raises(Unavailable):
        await source.receive(1)
    await source.close()


async def test_a_prefetch_is_at_least_one(transport):
    with pytest.raises(ValueError, match="at least 1"):
        transport.source(Inbound.ALERTS, 0)


@pytest.fixture
async def rabbit(desk: Desk) -> RabbitUnderTest:
    if not isinstance(desk.bus, RabbitUnderTest):
        pytest.skip("RabbitMQ's own")
    return desk.bus


async def _for_ever(work) -> None:
    while True:
        await work()


async def test_rabbitmq_lost_connections_are_opened_again(desk: Desk, rabbit, open_source):
    await desk.put(b"0")
    source = open_source()
    (held,) = await received(source, 1)
    source._link._call.cut()
    with pytest.raises(Unavailable):
        await _for_ever(lambda: source.receive(1))
    (again,) = await received(source, 1)
    assert again.octets == b"0"
    assert again.tag != held.tag
    with pytest.raises(Unavailable):
        await source.acknowledge([held])
    await source.acknowledge([again])
    await source.close()
    await desk.bus.take(alerts_queue(SUPPLIER), 0)


async def test_rabbitmq_a_sender_recovers_from_a_lost_connection(desk: Desk, rabbit, transport):
    await transport.send(b"0", REQUEST, "11.6")
    transport._sender._call.cut()
    with pytest.raises(Unavailable):
        await _for_ever(lambda: transport.send(b"1", REQUEST, "11.6"))
    await transport.send(b"2", REQUEST, "11.6")
    consumer = await desk.bus.consumer()
    octets = [each.octets for each in await consumer.receive(100, 0.05)]
    assert octets[0] == b"0"
    assert octets[-1] == b"2"
    await consumer.close()


async def test_rabbitmq_without_the_services_queue_is_unavailable(rabbit, transport):
    await rabbit.delete_queue(REQUESTS)
    with pytest.raises(Unavailable, match="topology"):
        await transport.send(b"0", REQUEST, "11.6")
    await rabbit.open()


async def test_rabbitmq_own_copies_take_nothing_away(desk: Desk, rabbit):
    copies = RabbitTransport(rabbit.server, SUPPLIER, own_copies=True)
    sources = [copies.source(inbound, 10) for inbound in Inbound]
    for source in sources:
        await source.open()
    await desk.put(b"alert")
    await desk.put(b"response", MessageKind.RESPONSE)
    assert [(await received(source, 1))[0].octets for source in sources] == [b"response", b"alert"]
    for source in sources:
        await source.close()
    await copies.close()
    await desk.bus.take(alerts_queue(SUPPLIER), 1)
    await desk.bus.take(responses_queue(SUPPLIER), 1)
