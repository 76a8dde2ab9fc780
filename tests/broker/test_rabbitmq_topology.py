"""What the service declares on RabbitMQ, how it is brought there, and how it is checked (wire contract §7)."""

from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from chfw_sr.broker.names import ALERTS, QUARANTINE, REQUESTS, RESPONSES, UNROUTED, alerts_queue, responses_queue
from chfw_sr.broker.rabbitmq import RabbitPublisher, Server
from chfw_sr.broker.topology import Binding, Defect, Exchange, Queue, Topology, TopologyRefused, apply, check, depths
from chfw_sr.messages import EUI
from chfw_sr.service.ports import MessageKind, PublishResult, Unavailable
from tests.contract.buses import RabbitUnderTest

from .proxy import Proxy
from .test_rabbitmq_publisher import message
from .vhost import Vhost

ALICE = EUI("90-B3-D5-1F-30-01-00-00")
SERVICE = Topology.of_service(delivery_limit=3)
"""As the fixture `rabbit` has it."""


@pytest.fixture
async def connection(rabbitmq_url: str) -> AsyncIterator[AbstractConnection]:
    """Give a connection."""
    async with Server.parse(rabbitmq_url).session("test") as connection:
        yield connection


def test_every_queue_is_a_quorum_queue_and_bound() -> None:
    topology = SERVICE + Topology.of_users([ALICE])
    assert {queue.arguments["x-queue-type"] for queue in topology.queues} == {"quorum"}
    assert {binding.queue for binding in topology.bindings} == {queue.name for queue in topology.queues}
    assert {binding.exchange for binding in topology.bindings} == {exchange.name for exchange in topology.exchanges}


def test_requests_are_dead_lettered_at_least_once_at_their_limit() -> None:
    (requests,) = [queue for queue in Topology.of_service(delivery_limit=7).queues if queue.name == REQUESTS]
    assert requests.arguments == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 7,
        "x-dead-letter-exchange": QUARANTINE,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def test_a_user_has_two_queues_however_often_it_is_named() -> None:
    topology = Topology.of_users([ALICE, ALICE])
    assert [queue.name for queue in topology.queues] == [alerts_queue(ALICE), responses_queue(ALICE)]
    assert [(b.exchange, b.key) for b in topology.bindings] == [(ALERTS, f"{ALICE}.*"), (RESPONSES, ALICE)]


@pytest.mark.rabbitmq
async def test_what_was_applied_checks_clean_and_can_be_applied_again(
    rabbit: RabbitUnderTest, connection: AbstractConnection
) -> None:
    await rabbit.declare_user(ALICE)
    await rabbit.send(b"kept")
    async with connection.channel() as channel:
        await apply(channel, SERVICE + Topology.of_users([ALICE]))

    assert await check(connection, SERVICE + Topology.of_users([ALICE])) == []
    (kept,) = await rabbit.take(REQUESTS, 1)
    assert kept.octets == b"kept"


@pytest.mark.rabbitmq
async def test_a_check_names_what_is_missing_and_makes_nothing(
    rabbit: RabbitUnderTest, connection: AbstractConnection
) -> None:
    await rabbit.delete_queue(QUARANTINE)
    await rabbit.delete_exchange(ALERTS)
    users = Topology.of_users([ALICE])

    for _ in range(2):
        findings = await check(connection, SERVICE + users)
        assert [(finding.defect, finding.item.name) for finding in findings] == [
            (Defect.MISSING, ALERTS),
            (Defect.MISSING, QUARANTINE),
            (Defect.MISSING, alerts_queue(ALICE)),
            (Defect.MISSING, responses_queue(ALICE)),
        ]
    assert str(findings[0]) == f"exchange {ALERTS} is missing"

    await rabbit.open()
    assert await check(connection, SERVICE) == []


@pytest.mark.rabbitmq
async def test_a_check_names_what_differs_and_applying_refuses_it(
    rabbit: RabbitUnderTest, connection: AbstractConnection
) -> None:
    wanted = Topology.of_service(delivery_limit=4)
    (finding,) = await check(connection, wanted)
    assert (finding.defect, str(finding.item)) == (Defect.DIFFERENT, f"queue {REQUESTS}")
    assert "x-delivery-limit" in str(finding)

    async with connection.channel() as channel:
        with pytest.raises(TopologyRefused, match=r"queue chfw\.requests.*x-delivery-limit"):
            await apply(channel, wanted)
    assert await check(connection, SERVICE) == []


@pytest.mark.rabbitmq
async def test_a_binding_to_nothing_is_refused_by_name(rabbit: RabbitUnderTest, connection: AbstractConnection) -> None:
    async with connection.channel() as channel:
        with pytest.raises(TopologyRefused, match=r"binding of queue .* to exchange missing by #"):
            await apply(channel, Topology(bindings=(Binding("missing", "#", REQUESTS),)))


@pytest.mark.rabbitmq
async def test_an_exchange_without_its_alternate_differs(
    rabbit: RabbitUnderTest, connection: AbstractConnection
) -> None:
    findings = await check(connection, Topology(exchanges=(Exchange(ALERTS),)))
    assert [(finding.defect, finding.item.name) for finding in findings] == [(Defect.DIFFERENT, ALERTS)]


@pytest.mark.rabbitmq
async def test_an_account_that_may_not_declare_can_still_check(rabbit: RabbitUnderTest, rabbitmq_vhost: Vhost) -> None:
    rabbitmq_vhost.permit("^$")
    try:
        async with Server.parse(rabbitmq_vhost.url).session("test") as connection:
            findings = await check(connection, SERVICE + Topology(queues=(Queue("missing"),)))
            assert [(finding.defect, finding.item.name) for finding in findings] == [(Defect.MISSING, "missing")]
            async with connection.channel() as channel:
                with pytest.raises(TopologyRefused, match="ACCESS_REFUSED"):
                    await apply(channel, SERVICE)
    finally:
        rabbitmq_vhost.permit(".*")


@pytest.mark.rabbitmq
async def test_depths_count_what_lies_ready(rabbit: RabbitUnderTest, connection: AbstractConnection) -> None:
    await rabbit.send(b"a")
    await rabbit.send(b"b")
    assert await depths(connection, [REQUESTS, QUARANTINE, "missing"]) == {REQUESTS: 2, QUARANTINE: 0}


@pytest.mark.rabbitmq
async def test_a_lost_connection_is_unavailable(rabbit: RabbitUnderTest, proxy: Proxy, server: Server) -> None:
    async with server.session("test") as connection:
        channel = await connection.channel()
        proxy.cut()
        await channel.closed()
        for call in (check(connection, SERVICE), depths(connection, [REQUESTS]), apply(channel, SERVICE)):
            with pytest.raises(Unavailable):
                await call


@pytest.mark.rabbitmq
async def test_what_a_users_own_client_refuses_is_kept(
    rabbit: RabbitUnderTest, connection: AbstractConnection, server: Server
) -> None:
    await rabbit.declare_user(ALICE)
    async with RabbitPublisher(server) as publisher:
        assert await publisher.publish([message(1, MessageKind.RESPONSE)]) == [PublishResult.CONFIRMED]

    async with connection.channel() as channel:
        queue = await channel.get_queue(responses_queue(ALICE), ensure=False)
        received = await queue.get()
        assert isinstance(received, aio_pika.IncomingMessage)
        await received.reject(requeue=False)

    (kept,) = await rabbit.take(UNROUTED, 1)
    assert kept.octets == b"<1/>"
    assert kept.headers["x-first-death-queue"] == responses_queue(ALICE)
