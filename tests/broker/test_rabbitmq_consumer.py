"""The consumer when connections break, queues vanish and senders are hostile; what it shares with every bus is in the
contract suite.
"""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest
from aiormq.abc import ChannelFrame

from chfw_sr.broker.consuming import QueueConsumer
from chfw_sr.broker.names import QUARANTINE, REQUESTS
from chfw_sr.broker.rabbitmq import Server
from chfw_sr.service.ports import Delivery, Unavailable
from tests.contract.buses import Client, RabbitUnderTest

from .proxy import Proxy

pytestmark = pytest.mark.rabbitmq

LONG = 30.0
"""Seconds that no test ever waits for in full."""

ACK_OCTETS = 21
"""The frame of one Basic.Ack."""


@pytest.fixture
async def consumer(client: Client, server: Server, rabbit: RabbitUnderTest) -> AsyncIterator[QueueConsumer]:
    """Give a consumer through the proxy, started."""
    async with client.consumer(server) as consumer:
        yield consumer


async def lose(consumer: QueueConsumer, proxy: Proxy) -> None:
    """Cut the connection, and wait until the consumer has noticed; it must hold no message that was not taken."""
    receiving = asyncio.create_task(consumer.receive(1, 0))
    await asyncio.sleep(0)
    proxy.cut()
    with pytest.raises(Unavailable):
        await receiving


async def test_nothing_connects_before_it_is_asked_to(
    client: Client, server: Server, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    consumer = client.consumer(server)
    assert not consumer.ready
    assert proxy.connections == 0
    with pytest.raises(Unavailable):
        await consumer.acknowledge([])
    async with consumer:
        assert consumer.ready
        assert proxy.connections == 1
    assert not consumer.ready


async def test_a_consumer_that_was_never_started_can_be_closed(client: Client, server: Server, proxy: Proxy) -> None:
    await client.consumer(server).close()
    assert proxy.connections == 0


async def test_a_prefetch_is_positive(client: Client, server: Server) -> None:
    with pytest.raises(ValueError, match="prefetch"):
        client.consumer(server, prefetch=0)


async def test_a_lost_connection_ends_a_wait_and_gives_everything_back(
    consumer: QueueConsumer, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    await rabbit.send(b"a")
    await rabbit.send(b"b")
    old = await consumer.receive(2, LONG)

    await lose(consumer, proxy)

    assert not consumer.ready
    for call in (consumer.acknowledge(old), consumer.requeue(old)):
        with pytest.raises(Unavailable):
            await call
    new = await consumer.receive(2, LONG)
    assert [(d.octets, d.redelivered) for d in new] == [(b"a", True), (b"b", True)]
    assert consumer.ready


async def test_an_old_tag_never_acknowledges_on_a_new_channel(
    consumer: QueueConsumer, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    await rabbit.send(b"a")
    old = await consumer.receive(1, LONG)
    await lose(consumer, proxy)
    new = await consumer.receive(1, LONG)

    with pytest.raises(Unavailable):
        await consumer.acknowledge(old)
    await lose(consumer, proxy)

    (again,) = await consumer.receive(1, LONG)
    assert again.octets == b"a"
    assert len({old[0].tag, new[0].tag, again.tag}) == 3


async def test_of_a_batch_that_came_by_two_connections_the_later_part_is_acknowledged(
    consumer: QueueConsumer, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    await rabbit.send(b"a")
    old = await consumer.receive(1, LONG)
    await lose(consumer, proxy)
    await rabbit.send(b"b")
    again, other = await receive_all(consumer, 2)
    with pytest.raises(Unavailable, match="comes again"):
        await consumer.acknowledge([*old, other])
    await consumer.close()
    left = await rabbit.drain(REQUESTS)
    assert [message.octets for message in left] == [again.octets] == [b"a"]


async def receive_all(consumer: QueueConsumer, count: int) -> list[Delivery]:
    """Receive so many, in order of their octets."""
    received: list[Delivery] = []
    while len(received) < count:
        received += await consumer.receive(count - len(received), LONG)
    return sorted(received, key=lambda each: each.octets)


async def test_what_was_handed_over_but_not_taken_comes_again_after_a_loss(
    consumer: QueueConsumer, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    await rabbit.send(b"a")
    await rabbit.send(b"b")
    taken = await consumer.receive(1, LONG)
    receiving = asyncio.create_task(consumer.receive(3, LONG))  # there is one, and it waits for two more
    await asyncio.sleep(0)
    proxy.cut()
    with pytest.raises(Unavailable):
        await receiving

    assert [d.octets for d in taken + await consumer.receive(2, LONG)] == [b"a", b"a", b"b"]


async def test_a_connection_that_the_server_closes_is_opened_again(
    consumer: QueueConsumer, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    receiving = asyncio.create_task(consumer.receive(1, 0))
    await asyncio.sleep(0)
    proxy.tell_server(b"\x01\x00\x00\x00\x00\x00\x04junk\x00")  # no frame ends so: the server closes the connection

    with pytest.raises(Unavailable, match="lost"):
        await receiving
    await rabbit.send(b"a")
    assert [d.octets for d in await consumer.receive(1, 0)] == [b"a"]


async def test_a_server_that_is_away_is_unavailable_until_it_is_back(
    client: Client, server: Server, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    proxy.refuse()
    async with asyncio.timeout(LONG):
        consumer = client.consumer(server, link=client.link(server, "consumer", pause_seconds=0.001))
        for _ in range(3):
            with pytest.raises(Unavailable):
                await consumer.receive(1, 0)
            assert not consumer.ready
        proxy.refuse(refusing=False)
        await rabbit.send(b"a")
        assert [d.octets for d in await consumer.receive(1, 0)] == [b"a"]
    assert proxy.connections == 4
    await consumer.close()


async def test_closing_ends_the_pause_between_attempts(
    client: Client, server: Server, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    proxy.refuse()
    link = client.link(server, "consumer", pause_seconds=LONG, longest_pause_seconds=LONG)
    consumer = client.consumer(server, link=link)
    with pytest.raises(Unavailable):
        await consumer.start()
    async with asyncio.timeout(LONG / 4):
        receiving = asyncio.create_task(consumer.receive(1, 0))
        await asyncio.sleep(0)
        await consumer.close()
        with pytest.raises(Unavailable, match="closed"):
            await receiving
    assert proxy.connections == 1


async def test_a_deleted_queue_is_unavailable_until_it_is_back(
    consumer: QueueConsumer, rabbit: RabbitUnderTest
) -> None:
    receiving = asyncio.create_task(consumer.receive(1, 0))
    await asyncio.sleep(0)
    await rabbit.delete_queue(REQUESTS)

    with pytest.raises(Unavailable, match="deleted"):
        await receiving
    assert not consumer.ready
    with pytest.raises(Unavailable, match="no queue"):
        await consumer.receive(1, 0)
    assert not consumer.ready

    await rabbit.open()
    await rabbit.send(b"a")
    assert [d.octets for d in await consumer.receive(1, LONG)] == [b"a"]
    assert consumer.ready


async def test_what_a_deleted_queue_had_handed_over_is_still_given_out(
    consumer: QueueConsumer, rabbit: RabbitUnderTest
) -> None:
    await rabbit.send(b"a")
    await rabbit.send(b"b")
    (first,) = await consumer.receive(1, LONG)
    receiving = asyncio.create_task(consumer.receive(2, LONG))
    await asyncio.sleep(0)
    await rabbit.delete_queue(REQUESTS)

    (second,) = await receiving
    assert second.octets == b"b"
    await consumer.acknowledge([first, second])
    with pytest.raises(Unavailable):
        await consumer.receive(1, 0)


async def test_a_batch_ends_when_the_prefetch_is_exhausted(
    client: Client, server: Server, rabbit: RabbitUnderTest
) -> None:
    for number in range(5):
        await rabbit.send(b"%d" % number)
    async with client.consumer(server, prefetch=3) as consumer, asyncio.timeout(LONG):
        batch = await consumer.receive(10, LONG)
        assert [d.octets for d in batch] == [b"0", b"1", b"2"]
        await consumer.acknowledge(batch[:1])
        assert [d.octets for d in await consumer.receive(10, LONG)] == [b"3"]


async def test_concurrent_calls_share_what_comes(consumer: QueueConsumer, rabbit: RabbitUnderTest) -> None:
    calls = [asyncio.create_task(consumer.receive(5, 0)) for _ in range(2)]
    await asyncio.sleep(0)
    await rabbit.send(b"a")
    done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    await rabbit.send(b"b")
    await asyncio.wait(waiting)
    assert [d.octets for call in (*done, *waiting) for d in call.result()] == [b"a", b"b"]


async def test_a_whole_batch_is_acknowledged_in_one_frame(
    consumer: QueueConsumer, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    for number in range(50):
        await rabbit.send(b"%d" % number)
    batch = await consumer.receive(50, LONG)
    before = proxy.sent_octets
    await consumer.acknowledge(batch)
    await consumer.close()
    assert ACK_OCTETS <= proxy.sent_octets - before < 10 * ACK_OCTETS


async def test_what_lies_between_is_not_acknowledged_with_the_rest(
    consumer: QueueConsumer, rabbit: RabbitUnderTest
) -> None:
    for number in range(7):
        await rabbit.send(b"%d" % number)
    batch = await consumer.receive(6, LONG)  # and one that was handed over, but not taken
    await consumer.acknowledge([batch[4], batch[1], batch[0], batch[3]])
    await consumer.close()

    assert [left.octets for left in await rabbit.take(REQUESTS, 3)] == [b"2", b"5", b"6"]


async def test_only_what_is_held_can_be_settled_and_then_only_once(
    consumer: QueueConsumer, rabbit: RabbitUnderTest
) -> None:
    await rabbit.send(b"a")
    (delivery,) = await consumer.receive(1, LONG)
    for wrong in ([delivery, delivery], [delivery, Delivery(b"", 99)]):
        with pytest.raises(ValueError, match="not held"):
            await consumer.acknowledge(wrong)
    await consumer.acknowledge([delivery])
    with pytest.raises(ValueError, match="not held"):
        await consumer.requeue([delivery])
    await consumer.acknowledge([])


async def test_a_request_of_full_size_arrives_whole(consumer: QueueConsumer, rabbit: RabbitUnderTest) -> None:
    octets = bytes(range(256)) * (4 * 2**20 // 256)
    await rabbit.send(octets)
    (delivery,) = await consumer.receive(1, LONG)
    assert delivery.octets == octets


async def test_a_delivery_says_where_it_came_from_but_no_secret(
    consumer: QueueConsumer, rabbit: RabbitUnderTest
) -> None:
    await rabbit.send(b"a")
    (delivery,) = await consumer.receive(1, LONG)
    assert delivery.source is not None
    assert "127.0.0.1" in delivery.source
    assert "guest" not in delivery.source


async def test_losses_count_towards_the_delivery_limit_and_the_octets_stay_untouched(
    consumer: QueueConsumer, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    octets = b"\xff\x00<not-xml"
    await rabbit.send(octets, routing_key="11.30", message_id="m")
    for _ in range(4):  # the limit is 3 returns
        assert [d.octets for d in await consumer.receive(1, LONG)] == [octets]
        await lose(consumer, proxy)

    (dead,) = await rabbit.take(QUARANTINE, 1)
    assert (dead.octets, dead.message_id, dead.routing_key) == (octets, "m", "11.30")
    assert dead.headers["x-first-death-reason"] == "delivery_limit"
    assert dead.headers["x-first-death-queue"] == REQUESTS


# ------------------------------------------------------------------------------------------------- hostile senders


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


BAD_PROPERTIES = {
    "a message id that is not UTF-8": (0x0080, short(b"\xff\xfe")),
    "a header name that is not UTF-8": (0x2000, struct.pack(">I", 4) + short(b"\xff") + b"t\x01"),
    "a date that does not exist": (0x0040, b"\xff" * 8),
}


async def send_raw(url: str, octets: bytes, *, key: bytes = b"11.6", flags: int = 0, properties: bytes = b"") -> None:
    """Send a request as no library would."""
    method = struct.pack(">HHH", 60, 40, 0) + short(REQUESTS.encode()) + short(key) + b"\0"
    content = struct.pack(">HHQH", 60, 0, len(octets), flags) + properties
    async with Server.parse(url).session("sender") as connection:
        channel = await (await connection.channel(publisher_confirms=False)).get_underlay_channel()
        payload = b"".join(
            struct.pack(">BHI", kind, channel.number, len(part)) + part + b"\xce"
            for kind, part in ((1, method), (2, content), (3, octets))
        )
        await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False))
        await channel.basic_qos()  # answered after what was sent before it


@pytest.mark.parametrize(("flags", "properties"), BAD_PROPERTIES.values(), ids=BAD_PROPERTIES.keys())
async def test_properties_that_cannot_be_read_cost_neither_connection_nor_request(
    consumer: QueueConsumer, proxy: Proxy, rabbit: RabbitUnderTest, rabbitmq_url: str, flags: int, properties: bytes
) -> None:
    await send_raw(rabbitmq_url, b"<hostile/>", flags=flags, properties=properties)
    await rabbit.send(b"<good/>", message_id="m")

    hostile, good = await consumer.receive(2, LONG)

    assert (hostile.octets, hostile.message_id, hostile.routing_key) == (b"<hostile/>", None, "11.6")
    assert (good.octets, good.message_id) == (b"<good/>", "m")
    await consumer.acknowledge([hostile, good])
    assert consumer.ready
    assert proxy.connections == 1


async def test_a_routing_key_that_cannot_be_read_is_repaired(
    consumer: QueueConsumer, rabbit: RabbitUnderTest, rabbitmq_url: str
) -> None:
    await send_raw(rabbitmq_url, b"<hostile/>", key=b"11\xff6", flags=0x0080, properties=short(b"m"))

    (hostile,) = await consumer.receive(1, LONG)

    assert (hostile.octets, hostile.message_id, hostile.routing_key) == (b"<hostile/>", "m", "11?6")
    await consumer.acknowledge([hostile])
    assert consumer.ready


async def test_a_consumer_that_the_server_has_forgotten_subscribes_anew(
    consumer: QueueConsumer, rabbit: RabbitUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer._subscription, "arrive", lambda _: None)  # what it is sent is lost
    await rabbit.send(b"<unheard/>")
    receiving = asyncio.create_task(consumer.receive(1, 0))
    await asyncio.sleep(0)
    consumer.lie_ready(1)
    consumer.lie_ready(0)
    consumer.lie_ready(1)
    assert consumer.ready, "once is no proof: the message may be on its way"
    consumer.lie_ready(1)
    with pytest.raises(Unavailable, match=r"1 message.* not handed over"):
        await receiving
    (delivery,) = await consumer.receive(1, 0)
    assert delivery.octets == b"<unheard/>"
    consumer.lie_ready(5)
    consumer.lie_ready(5)
    assert consumer.ready, "who holds messages is not deaf, however many more lie ready"
    await consumer.acknowledge([delivery])


async def test_a_consumer_that_gets_something_between_two_looks_is_not_deaf(
    consumer: QueueConsumer, rabbit: RabbitUnderTest
) -> None:
    consumer.lie_ready(1)
    await rabbit.send(b"<a/>")
    await consumer.acknowledge(await consumer.receive(1, 0))
    consumer.lie_ready(1)
    assert consumer.ready
