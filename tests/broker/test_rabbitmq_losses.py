"""Connections cut again and again, in the middle of anything, with a ledger: nothing is lost, nothing overtakes."""

import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from chfw_sr.broker.names import QUARANTINE, REQUESTS, alerts_queue
from chfw_sr.broker.rabbitmq import Server
from chfw_sr.messages import EUI
from chfw_sr.service.ports import PublishResult, Unavailable
from tests.contract.buses import Client, RabbitUnderTest

from .proxy import Proxy
from .test_rabbitmq_publisher import message

pytestmark = pytest.mark.rabbitmq

USERS = [EUI(f"90-B3-D5-1F-30-01-00-0{number}") for number in range(3)]
CUTS = 15


@pytest.fixture
async def patient(rabbitmq_url: str) -> AsyncIterator[RabbitUnderTest]:
    """Give the bus with a delivery limit that cuts alone do not reach."""
    bus = RabbitUnderTest(rabbitmq_url, delivery_limit=10 * CUTS)
    await bus.open()
    yield bus
    await bus.close()


def fuses(seed: int, longest: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.randint(800, longest) for _ in range(CUTS)]


@pytest.mark.parametrize("seed", range(3))
async def test_every_message_is_stored_in_order_through_any_number_of_cuts(
    client: Client, patient: RabbitUnderTest, proxy: Proxy, server: Server, seed: int
) -> None:
    for user in USERS:
        await patient.declare_user(user)
    messages = [message(number, recipient=USERS[number % 3], octets=b"%d" % number * 50) for number in range(300)]
    publisher = client.publisher(server, in_flight=20, link=client.link(server, "publisher", pause_seconds=0.001))
    proxy.cut_after(fuses(seed, 8_000))

    waiting, confirmed = messages, Counter[str]()
    while waiting:
        try:
            results = await publisher.publish(waiting)
        except Unavailable:
            continue
        confirmed.update(m.message_id for m, r in zip(waiting, results, strict=True) if r is PublishResult.CONFIRMED)
        waiting = [m for m, r in zip(waiting, results, strict=True) if r is not PublishResult.CONFIRMED]
    await publisher.close()

    assert proxy.cuts == CUTS
    assert set(confirmed.values()) == {1}
    for user in USERS:
        sent = [m.octets for m in messages if m.recipient == user]
        stored = [m.octets for m in await patient.drain(alerts_queue(user))]
        assert list(dict.fromkeys(stored)) == sent  # the first of each: none missing, none overtaken


@pytest.mark.parametrize("seed", range(3))
async def test_every_request_is_received_through_any_number_of_cuts(
    client: Client, patient: RabbitUnderTest, proxy: Proxy, server: Server, seed: int
) -> None:
    sent = [b"%d" % number * 50 for number in range(200)]
    for octets in sent:
        await patient.send(octets)
    consumer = client.consumer(server, prefetch=30, link=client.link(server, "consumer", pause_seconds=0.001))
    proxy.cut_after(fuses(seed, 12_000))

    received: set[bytes] = set()
    while received != set(sent):
        try:
            batch = await consumer.receive(10, 0)
            received.update(delivery.octets for delivery in batch)
            await consumer.acknowledge(batch)
        except Unavailable:
            continue
    await consumer.close()

    assert proxy.cuts > CUTS / 3
    left = Counter(m.octets for m in await patient.drain(REQUESTS))  # acknowledgements that were cut
    assert all(octets in sent and times == 1 for octets, times in left.items())
    await patient.take(QUARANTINE, 0)
