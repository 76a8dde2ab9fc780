"""The publisher when connections break, answers fail to come and servers refuse; what it shares with every bus is in
the contract suite.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

import aio_pika
import pytest
from pamqp import commands, frame

from chfw_sr.broker import topology
from chfw_sr.broker.names import ALERTS, UNROUTED, alerts_queue, responses_queue
from chfw_sr.broker.publishing import ConfirmingPublisher
from chfw_sr.broker.rabbitmq import Server
from chfw_sr.messages import EUI
from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult, Unavailable
from tests.contract.buses import Client, RabbitUnderTest

from .proxy import Proxy

pytestmark = pytest.mark.rabbitmq

ALICE = EUI("90-B3-D5-1F-30-01-00-00")
BOB = EUI("90-B3-D5-1F-30-01-00-01")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = 30.0
"""Seconds that no test ever waits for in full."""
SHORT = 0.5
"""Seconds that a test does wait for: nothing comes."""
CONFIRMED, FAILED, UNROUTABLE = PublishResult.CONFIRMED, PublishResult.FAILED, PublishResult.UNROUTABLE


def message(
    number: int, kind: MessageKind = MessageKind.ALERT, recipient: str = ALICE, **other: object
) -> OutboxMessage:
    fields = {"message_id": f"m{number}", "type": "N64", "octets": b"<%d/>" % number, "created_at": AT} | other
    return OutboxMessage(id=number, kind=kind, recipient=recipient, **fields)  # type: ignore[arg-type]


def numbers(count: int, first: int = 0) -> list[OutboxMessage]:
    return [message(number) for number in range(first, first + count)]


@pytest.fixture
async def users(rabbit: RabbitUnderTest) -> None:
    """Make the queues of Alice and Bob."""
    await rabbit.declare_user(ALICE)
    await rabbit.declare_user(BOB)


@pytest.fixture
async def publisher(
    client: Client, server: Server, rabbit: RabbitUnderTest, users: None
) -> AsyncIterator[ConfirmingPublisher]:
    """Give a publisher through the proxy, started; it waits a long time for confirms."""
    async with client.publisher(server, timeout_seconds=LONG) as publisher:
        yield publisher


@pytest.fixture
async def hasty(
    client: Client, server: Server, rabbit: RabbitUnderTest, users: None
) -> AsyncIterator[ConfirmingPublisher]:
    """Give a publisher that keeps two messages under way and waits a short time for confirms."""
    async with client.publisher(server, timeout_seconds=SHORT, in_flight=2) as publisher:
        yield publisher


async def until_stored(rabbit: RabbitUnderTest, queue: str, count: int) -> None:
    """Wait until so many messages lie in a queue."""
    async with asyncio.timeout(LONG), rabbit.server.session("probe") as connection:
        while (await topology.depths(connection, [queue]))[queue] < count:
            pass


class Listener(logging.Handler):
    """Waits for a line of the client library's log: it knows of something then."""

    def __init__(self, logger: str, text: str) -> None:
        super().__init__()
        self._logger = logging.getLogger(logger)
        self._text = text
        self._heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._text in record.getMessage():
            self._heard.set()

    async def __aenter__(self) -> None:
        self._logger.addHandler(self)

    async def __aexit__(self, *_: object) -> None:
        try:
            async with asyncio.timeout(LONG):
                await self._heard.wait()
        finally:
            self._logger.removeHandler(self)


async def octets(rabbit: RabbitUnderTest, queue: str, count: int) -> Sequence[bytes]:
    return [taken.octets for taken in await rabbit.take(queue, count)]


async def test_nothing_connects_before_it_is_asked_to(
    client: Client, server: Server, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    publisher = client.publisher(server)
    assert not publisher.ready
    assert await publisher.publish([]) == []
    assert proxy.connections == 0
    async with publisher:
        assert publisher.ready
        assert proxy.connections == 1
    assert not publisher.ready
    with pytest.raises(Unavailable, match="closed"):
        await publisher.publish([message(1)])


async def test_at_least_one_message_is_under_way(client: Client, server: Server) -> None:
    with pytest.raises(ValueError, match="under way"):
        client.publisher(server, in_flight=0)


async def test_a_message_has_the_properties_of_the_contract(
    publisher: ConfirmingPublisher, rabbit: RabbitUnderTest
) -> None:
    at = datetime(2026, 7, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    await publisher.publish([message(1, created_at=at, correlation_id="c", headers={"x-chfw-code": "E900"})])

    received = await rabbit.get(alerts_queue(ALICE))
    assert received.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert received.content_type == "application/xml"
    assert (received.message_id, received.type, received.correlation_id) == ("m1", "N64", "c")
    assert received.timestamp == at
    assert received.headers["x-chfw-code"] == "E900"


async def test_order_is_kept_for_every_recipient(
    client: Client, server: Server, rabbit: RabbitUnderTest, users: None
) -> None:
    messages = [message(number, recipient=(ALICE, BOB)[number % 2]) for number in range(100)]
    async with client.publisher(server, in_flight=7) as publisher:
        assert set(await publisher.publish(messages)) == {CONFIRMED}

    assert await octets(rabbit, alerts_queue(ALICE), 50) == [m.octets for m in messages[::2]]
    assert await octets(rabbit, alerts_queue(BOB), 50) == [m.octets for m in messages[1::2]]


async def test_calls_follow_one_another(publisher: ConfirmingPublisher, rabbit: RabbitUnderTest) -> None:
    calls = [publisher.publish(numbers(20, first)) for first in (0, 20, 40)]
    await asyncio.gather(*calls)
    assert await octets(rabbit, alerts_queue(ALICE), 60) == [m.octets for m in numbers(60)]


async def test_a_large_message_arrives_whole(publisher: ConfirmingPublisher, rabbit: RabbitUnderTest) -> None:
    large = b"x" * (2 * 2**20)
    assert await publisher.publish([message(1, octets=large), message(2)]) == [CONFIRMED, CONFIRMED]
    assert await octets(rabbit, alerts_queue(ALICE), 2) == [large, b"<2/>"]


# ------------------------------------------------------------------------------------------------ lost connections


async def test_what_was_stored_but_not_confirmed_is_failed_and_repeated_identically(
    publisher: ConfirmingPublisher, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    proxy.hold_answers()
    publishing = asyncio.create_task(publisher.publish(numbers(10)))
    await until_stored(rabbit, alerts_queue(ALICE), 10)
    proxy.cut()

    assert await publishing == [FAILED] * 10
    assert not publisher.ready
    assert await publisher.publish(numbers(10)) == [CONFIRMED] * 10
    assert publisher.ready
    stored = await rabbit.take(alerts_queue(ALICE), 20)
    assert [(m.octets, m.message_id) for m in stored] == [(m.octets, m.message_id) for m in numbers(10)] * 2


async def test_what_was_never_stored_is_never_confirmed(
    publisher: ConfirmingPublisher, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    assert await publisher.publish(numbers(1)) == [CONFIRMED]
    proxy.hold_requests()
    publishing = asyncio.create_task(publisher.publish(numbers(5, 1)))
    await proxy.held()
    proxy.cut()

    assert await publishing == [FAILED] * 5
    assert await octets(rabbit, alerts_queue(ALICE), 1) == [b"<0/>"]


async def test_a_server_that_is_away_is_unavailable_until_it_is_back(
    client: Client, server: Server, proxy: Proxy, rabbit: RabbitUnderTest, users: None
) -> None:
    proxy.refuse()
    async with asyncio.timeout(LONG):
        publisher = client.publisher(server, link=client.link(server, "publisher", pause_seconds=0.001))
        for _ in range(3):
            with pytest.raises(Unavailable):
                await publisher.publish(numbers(1))
        proxy.refuse(refusing=False)
        assert await publisher.publish(numbers(1)) == [CONFIRMED]
    await publisher.close()


async def test_closing_ends_a_call_that_waits(
    publisher: ConfirmingPublisher, proxy: Proxy, rabbit: RabbitUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chfw_sr.broker.link.HANG_UP_SECONDS", SHORT)
    proxy.hold_answers()
    publishing = asyncio.create_task(publisher.publish(numbers(3)))
    await until_stored(rabbit, alerts_queue(ALICE), 3)
    async with asyncio.timeout(LONG / 2):
        await publisher.close()
        assert await publishing == [FAILED] * 3


async def test_a_cancelled_call_leaves_no_connection_behind_that_could_mix_up_answers(
    publisher: ConfirmingPublisher, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    proxy.hold_answers()
    publishing = asyncio.create_task(publisher.publish(numbers(3)))
    await until_stored(rabbit, alerts_queue(ALICE), 3)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    proxy.release()

    assert not publisher.ready
    assert await publisher.publish(numbers(3)) == [CONFIRMED] * 3
    assert proxy.connections == 2
    await rabbit.take(alerts_queue(ALICE), 6)


# --------------------------------------------------------------------------------------------- no answer, or a bad one


async def test_no_confirm_in_time_is_failed_and_the_rest_stays_unsent(
    hasty: ConfirmingPublisher, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    proxy.hold_answers()
    assert await hasty.publish(numbers(5)) == [FAILED] * 5
    proxy.release()

    assert not hasty.ready
    hasty._timeout_seconds = LONG
    assert await hasty.publish(numbers(5)) == [CONFIRMED] * 5
    assert proxy.connections == 2
    stored = await octets(rabbit, alerts_queue(ALICE), 7)  # two were under way; three were not sent
    assert stored == [m.octets for m in (*numbers(2), *numbers(5))]


async def test_what_one_queue_refuses_stays_in_order_and_is_nobody_elses_matter(
    client: Client, server: Server, rabbit: RabbitUnderTest, users: None
) -> None:
    await rabbit.declare_full_queue("full", ALERTS, f"{BOB}.*")
    mixed = [message(number, recipient=(ALICE, BOB)[number % 2]) for number in range(8)]
    async with client.publisher(server, in_flight=1) as publisher:
        results = await publisher.publish(mixed)
        assert results == [CONFIRMED, CONFIRMED, CONFIRMED, FAILED, CONFIRMED, FAILED, CONFIRMED, FAILED]
        assert publisher.ready
    assert await octets(rabbit, "full", 1) == [b"<1/>"]
    await octets(rabbit, alerts_queue(ALICE), 4)
    # Of those that were refused by one of two queues, the other may keep what came first, but nothing that came later.
    assert await octets(rabbit, alerts_queue(BOB), 2) == [b"<1/>", b"<3/>"]


async def test_one_under_way_to_a_recipient_keeps_the_order_where_its_queue_refuses_and_takes_again(
    client: Client, server: Server, rabbit: RabbitUnderTest
) -> None:
    await rabbit.declare_full_queue("full", ALERTS, f"{BOB}.*")
    waiting, stored = [message(number, recipient=BOB) for number in range(60)], []

    async def read() -> None:
        while len(stored) < 60:
            stored.extend(taken.octets for taken in await rabbit.drain("full"))

    async with (
        client.publisher(server, in_flight_per_recipient=1) as publisher,
        asyncio.timeout(LONG),
        asyncio.TaskGroup() as group,
    ):
        while waiting:
            results = await publisher.publish(waiting)
            if len(waiting) == 60:
                assert FAILED in results
                group.create_task(read())
            waiting = [m for m, result in zip(waiting, results, strict=True) if result is not CONFIRMED]
    assert stored == [b"<%d/>" % number for number in range(60)]


async def test_a_recipient_that_refused_is_served_with_caution(
    client: Client, server: Server, rabbit: RabbitUnderTest
) -> None:
    await rabbit.declare_full_queue("full", ALERTS, f"{BOB}.*")
    async with client.publisher(server) as publisher:
        while FAILED not in await publisher.publish([message(0, recipient=BOB)]):
            pass
        await rabbit.drain("full")
        results = await publisher.publish([message(number, recipient=BOB) for number in range(1, 6)])
    taken = [index for index, result in enumerate(results) if result is CONFIRMED]
    assert taken == list(range(len(taken)))
    assert [each.octets for each in await rabbit.drain("full")] == [b"<%d/>" % (index + 1) for index in taken]


async def test_a_server_that_accepts_no_messages_is_unavailable(
    client: Client, hasty: ConfirmingPublisher, proxy: Proxy, rabbit: RabbitUnderTest
) -> None:
    async with Listener(client.logger, "was blocked"):
        proxy.tell_client(frame.marshal(commands.Connection.Blocked("low on memory"), 0))
    with pytest.raises(Unavailable, match="accepts no messages"):
        await hasty.publish(numbers(1))

    hasty._timeout_seconds = LONG
    async with Listener(client.logger, "was unblocked"):
        proxy.tell_client(frame.marshal(commands.Connection.Unblocked(), 0))
    assert await hasty.publish(numbers(1)) == [CONFIRMED]
    assert await octets(rabbit, alerts_queue(ALICE), 1) == [b"<0/>"]


async def test_a_missing_exchange_fails_everything_under_way_and_mends_itself(
    publisher: ConfirmingPublisher, rabbit: RabbitUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    await rabbit.delete_exchange(ALERTS)
    with caplog.at_level(logging.WARNING):
        assert await publisher.publish(numbers(3)) == [FAILED] * 3
    assert "no exchange" in caplog.text

    await rabbit.open()
    await rabbit.declare_user(ALICE)
    assert await publisher.publish(numbers(3)) == [CONFIRMED] * 3


async def test_an_alert_that_nobody_could_keep_is_unroutable(
    publisher: ConfirmingPublisher, rabbit: RabbitUnderTest
) -> None:
    await rabbit.delete_queue(UNROUTED)
    nobody = "90-B3-D5-1F-30-01-00-99"
    assert await publisher.publish([message(1, recipient=nobody), message(2)]) == [UNROUTABLE, CONFIRMED]
    await rabbit.open()


@pytest.mark.parametrize("lost_first", [True, False])
async def test_messages_with_one_id_get_each_its_own_answer(
    publisher: ConfirmingPublisher, rabbit: RabbitUnderTest, lost_first: bool
) -> None:
    await rabbit.declare_queue("there")
    same = {"message_id": "the-same", "type": "11.6"}
    lost = message(1, MessageKind.REPLY, "gone", **same)
    kept = [message(2, MessageKind.RESPONSE, **same), message(3, MessageKind.REPLY, "there", **same)]
    batch = [lost, *kept, *kept] if lost_first else [*kept, lost, *kept]

    results = dict.fromkeys([1, 2, 3], CONFIRMED) | {1: UNROUTABLE}
    assert await publisher.publish(batch) == [results[m.id] for m in batch]
    assert await octets(rabbit, "there", 2) == [b"<3/>"] * 2
    assert await octets(rabbit, responses_queue(ALICE), 2) == [b"<2/>"] * 2


async def test_what_cannot_be_put_into_amqp_harms_nothing_else(
    publisher: ConfirmingPublisher, rabbit: RabbitUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    await rabbit.declare_queue("there")
    batch = [
        message(1, message_id="m" * 300),
        message(2, MessageKind.REPLY, "q" * 300),
        message(3, MessageKind.REPLY, "é" * 200),
        message(4, MessageKind.REPLY, "there"),
        message(5, recipient=BOB),
    ]
    assert await publisher.publish(batch) == [FAILED, UNROUTABLE, UNROUTABLE, CONFIRMED, CONFIRMED]
    assert publisher.ready
    assert caplog.text.count("cannot be put into AMQP") == 3


async def test_a_bug_is_loud_and_leaves_no_connection_in_doubt(
    client: Client,
    publisher: ConfirmingPublisher,
    proxy: Proxy,
    rabbit: RabbitUnderTest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(client.envelope, lambda first, *_: first.nonsense)
        with pytest.raises((ExceptionGroup, AttributeError)) as raised:
            # In a task of its own: early releases of Python 3.11 leave a task that a group failed in half cancelled.
            await asyncio.create_task(publisher.publish(numbers(1)))
    assert isinstance(raised.value, AttributeError) or raised.group_contains(AttributeError)
    assert not publisher.ready
    assert await publisher.publish(numbers(1)) == [CONFIRMED]
