"""`chfw-sr run` on RabbitMQ and PostgreSQL, as processes side by side."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aio_pika
import pytest

from chfw_sr.wire import read_response

from .site import DCC, OPERATOR, PATIENCE_SECONDS, Service, Site, eventually

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgresql]

Answer = TypeVar("Answer")
ALERTS, RESPONSES = f"alerts.{OPERATOR}", f"responses.{OPERATOR}"


def on_channel(site: Site, work: Callable[[aio_pika.abc.AbstractChannel], Awaitable[Answer]]) -> Answer:
    """Do something on a channel of one's own."""

    async def do() -> Answer:
        async with await aio_pika.connect(str(site.more["amqp_url"])) as connection:
            return await work(await connection.channel())

    return asyncio.run(do())


def send(site: Site, *documents: bytes) -> None:
    async def publish(channel: aio_pika.abc.AbstractChannel) -> None:
        exchange = await channel.get_exchange("chfw.requests")
        for octets in documents:
            await exchange.publish(aio_pika.Message(octets), routing_key="11.20")

    on_channel(site, publish)


def take(site: Site, queue_name: str, count: int) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Take messages from a queue, as many as are asked for."""

    async def collect(channel: aio_pika.abc.AbstractChannel) -> list[aio_pika.abc.AbstractIncomingMessage]:
        queue = await channel.get_queue(queue_name)
        taken: list[aio_pika.abc.AbstractIncomingMessage] = []
        async with asyncio.timeout(PATIENCE_SECONDS), queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                taken.append(message)
                if len(taken) == count:
                    break
        return taken

    return on_channel(site, collect)


@pytest.fixture
def site(server_site) -> Site:
    """A site whose topology is there."""
    done = server_site.call("topology", "apply")
    assert done.returncode == 0, done.stderr
    return server_site


def consuming(*services: Service) -> None:
    for service in services:
        service.until_ready()


def test_a_request_is_answered_and_alerted_over_rabbitmq(site) -> None:
    request_id, octets = site.request()
    with site.running() as service:
        consuming(service)
        send(site, octets)
        (response,) = take(site, RESPONSES, 1)
        (alert,) = take(site, ALERTS, 1)
        eventually(lambda: service.metric('chfw_sr_queue_messages{queue="chfw.requests"}') == 0, "the queue's depth")
        assert json.loads(service.ask("/readyz")[1])["checks"] == {
            "database": "ok",
            "consumer": "ok",
            "publisher": "ok",
        }
        assert service.stop() == 0
    assert read_response(response.body).request_id == request_id
    assert response.message_id == str(request_id.response_id())
    assert (alert.routing_key, alert.type) == (f"{OPERATOR}.N911", "N911")
    assert alert.message_id is not None
    assert alert.message_id.startswith(f"{DCC}:{OPERATOR}:")


def test_several_processes_share_the_work_and_one_clock_is_active(site) -> None:
    requests = [site.request() for _ in range(30)]
    with site.running() as first, site.running() as second:
        consuming(first, second)
        active = eventually(
            lambda: [each for each in (first, second) if each.metric("chfw_sr_clock_active") == 1], "an active clock"
        )
        assert isinstance(active, list)
        assert len(active) == 1
        send(site, *(octets for _, octets in requests))
        responses = take(site, RESPONSES, 30)
        assert {str(read_response(each.body).request_id) for each in responses} == {str(each) for each, _ in requests}
        (leader,) = active
        other = second if leader is first else first
        assert leader.stop() == 0
        eventually(lambda: other.metric("chfw_sr_clock_active") == 1, "the other clock takes over")
        assert other.stop() == 0


def test_roles_on_processes_of_their_own(site) -> None:
    _, octets = site.request()
    with (
        site.running("--no-relay", "--no-clock") as consumer,
        site.running("--no-consumer", "--no-clock") as relay,
        site.running("--no-consumer", "--no-relay") as clock,
    ):
        consuming(consumer, relay, clock)
        send(site, octets)
        take(site, ALERTS, 1)
        assert clock.metric("chfw_sr_clock_active") == 1
        assert "publisher" not in json.loads(consumer.ask("/readyz")[1])["checks"]
        assert json.loads(clock.ask("/readyz")[1])["checks"].keys() == {"database"}
        assert [each.stop() for each in (consumer, relay, clock)] == [0, 0, 0]


def test_a_consumer_that_lost_its_queue_is_not_ready_until_it_is_back(site) -> None:
    _, octets = site.request()

    async def delete(channel: aio_pika.abc.AbstractChannel) -> None:
        await channel.queue_delete("chfw.requests")

    with site.running() as service:
        consuming(service)
        on_channel(site, delete)
        assert "not being consumed" in service.until_not_ready()["consumer"]
        assert service.ask("/healthz")[0] == 200
        assert site.call("topology", "check").returncode == 1
        assert site.call("topology", "apply").returncode == 0
        consuming(service)
        send(site, octets)
        take(site, ALERTS, 1)
        assert service.metric('chfw_sr_retries_total{what="receiving"}') > 0
        assert service.stop() == 0


def test_a_process_that_is_killed_loses_nothing(site) -> None:
    site.more |= {"relay_lease_seconds": 1, "batch_size": 1, "prefetch": 10}
    requests = [site.request() for _ in range(20)]
    with site.running() as service:
        consuming(service)
        send(site, *(octets for _, octets in requests))
        take(site, RESPONSES, 1)
        service.process.kill()
        service.process.wait()
    with site.running() as service:
        answered = {str(read_response(each.body).request_id) for each in take(site, RESPONSES, 19)}
        assert len(answered) >= 18, "a response may come twice"
        alerts = {each.message_id: each.body for each in take(site, ALERTS, 20)}
        assert len(alerts) >= 19
        assert consuming(service) is None
        assert service.stop() == 0


@pytest.mark.parametrize("missing", ["exchange", "queue"])
def test_without_its_topology_it_does_not_start(site, missing) -> None:
    async def delete(channel: aio_pika.abc.AbstractChannel) -> None:
        if missing == "exchange":
            await channel.exchange_delete("chfw.alerts")
        else:
            await channel.queue_delete("chfw.quarantine")

    on_channel(site, delete)
    with site.running() as service:
        assert service.process.wait(timeout=PATIENCE_SECONDS) == 2
    assert "topology apply" in service.log.read_text()


def test_a_user_s_missing_queue_is_said_and_no_obstacle(site) -> None:
    async def delete(channel: aio_pika.abc.AbstractChannel) -> None:
        await channel.queue_delete(ALERTS)

    on_channel(site, delete)
    _, octets = site.request()
    with site.running() as service:
        consuming(service)
        send(site, octets)
        (kept,) = take(site, "chfw.unrouted", 1)
        assert service.stop() == 0
    assert kept.routing_key == f"{OPERATOR}.N911"
    assert any(ALERTS in str(line.get("event")) for line in service.lines if line.get("level") == "warning")


def test_a_server_that_is_away_at_the_start_ends_it_with_3(site) -> None:
    site.more["amqp_url"] = "amqp://guest:secret@127.0.0.1:1/"
    with site.running() as service:
        assert service.process.wait(timeout=PATIENCE_SECONDS) == 3
    assert "secret" not in service.log.read_text()


def test_topology_check_names_what_is_missing(server_site) -> None:
    done = server_site.call("topology", "check", "--json")
    assert done.returncode == 1
    found = {each["item"]: each["defect"] for each in json.loads(done.stdout)}
    assert found["queue chfw.requests"] == "missing"
    assert found[f"queue {ALERTS}"] == "missing"
    assert server_site.call("topology", "apply").returncode == 0
    done = server_site.call("topology", "check")
    assert (done.returncode, done.stdout) == (0, "")


def test_users_that_are_imported_get_their_queues(server_site) -> None:
    users = server_site.folder / "users.csv"
    users.write_text(f"eui,name,roles\n{OPERATOR},Operator,DCC\n")
    done = server_site.call("users", "import", str(users))
    assert done.returncode == 0, done.stderr
    assert server_site.call("topology", "check").returncode == 0


def test_topology_that_the_server_refuses_is_said(site) -> None:
    site.more["delivery_limit"] = 7
    done = site.call("topology", "apply")
    assert done.returncode == 1
    assert "chfw.requests" in done.stderr
    assert "delivery" in done.stderr
