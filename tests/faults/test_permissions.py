"""Permissions of Users' accounts, on a real RabbitMQ with its management API."""

import asyncio
import json
import shlex

import aio_pika
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from chfw_sr.broker.names import ALERTS, QUARANTINE, REQUESTS, RESPONSES, UNROUTED, alerts_queue, responses_queue
from chfw_sr.broker.permissions import Management, ManagementRefused, Wrong, apply, check
from chfw_sr.broker.rabbitmq import RabbitConsumer, Server
from chfw_sr.broker.topology import Topology
from chfw_sr.broker.topology import apply as apply_topology
from chfw_sr.messages import EUI
from tests.cli.conftest import bare
from tests.running.conftest import isolated, migrated_sqlite, site
from tests.running.site import OPERATOR

from .servers import private_rabbits

__all__ = ["bare", "isolated", "migrated_sqlite", "site"]

ALICE, BOB, CAROL = (EUI(f"90-B3-D5-1F-30-0{number}-00-00") for number in (1, 2, 3))


async def test_on_a_real_server(site, bare, monkeypatch) -> None:
    """One server, one story: it takes long to start."""
    async with private_rabbits(management=True) as (node,):
        monkeypatch.setenv("CHFW_SR_DATABASE_URL", site.database_url)
        monkeypatch.setenv("CHFW_SR_AMQP_URL", node.url)
        monkeypatch.setenv("CHFW_SR_AMQP_MANAGEMENT_URL", f"http://guest:guest@127.0.0.1:{node.management_port}")

        async def command(*arguments: str):
            return await asyncio.to_thread(bare, *arguments)

        management = Management.parse(f"http://guest:guest@127.0.0.1:{node.management_port}")
        await _accounts_are_permitted(node, management)
        await _an_account_can_do_what_it_is_for_and_nothing_else(node)
        await _a_user_id_is_the_accounts(node)

        # As its users do: the register knows one User, the operator.
        found = await command("topology", "check", "--json")
        assert (found.exit_code, [each["item"] for each in json.loads(found.stdout)][-1]) == (1, f"account {OPERATOR}")
        applied = await command("topology", "apply")
        assert (applied.exit_code, f"warning: account {OPERATOR}: there is no such account" in applied.stderr) == (
            0,
            True,
        )
        await node.control("add_user", OPERATOR, "password")
        assert (await command("topology", "apply")).exit_code == 0
        assert (await command("topology", "check")).exit_code == 0
        await node.control("clear_permissions", OPERATOR)
        by_hand = shlex.split((await command("topology", "permissions")).stdout)
        assert by_hand[:5] == ["rabbitmqctl", "set_permissions", "--vhost", "/", OPERATOR]
        await node.control(*by_hand[1:])
        assert (await command("topology", "check")).exit_code == 0
        monkeypatch.setenv(
            "CHFW_SR_AMQP_MANAGEMENT_URL", f"http://{OPERATOR}:password@127.0.0.1:{node.management_port}"
        )
        refused = await command("topology", "apply")
        assert (refused.exit_code, "RabbitMQ refuses: " in refused.stderr, "password" in refused.stderr) == (
            1,
            True,
            False,
        )


async def _accounts_are_permitted(node, management: Management) -> None:
    await node.control("add_user", ALICE, "password")
    await node.control("add_user", BOB, "password")
    await node.control("set_user_tags", BOB, "impersonator")
    await node.control("set_permissions", BOB, ".*", ".*", ".*")
    users = [ALICE, BOB, CAROL]
    kinds = [(each.account, each.wrong) for each in await asyncio.to_thread(check, management, "/", users)]
    assert kinds == [
        (ALICE, Wrong.NO_PERMISSION),
        (BOB, Wrong.TAGGED),
        (BOB, Wrong.DIFFERENT),
        (CAROL, Wrong.NO_ACCOUNT),
    ]
    left = await asyncio.to_thread(apply, management, "/", users)
    assert [(each.account, each.wrong) for each in left] == [(BOB, Wrong.TAGGED), (CAROL, Wrong.NO_ACCOUNT)]
    assert str(left[0]).endswith("is to have none: impersonator")
    await node.control("set_user_tags", BOB)
    assert await asyncio.to_thread(check, management, "/", [ALICE, BOB]) == []
    with pytest.raises(ManagementRefused):
        await asyncio.to_thread(check, management, "elsewhere", users)
    async with Server.parse(node.url).session("test") as connection, connection.channel() as channel:
        await apply_topology(channel, Topology.of_service() + Topology.of_users(users))


async def _an_account_can_do_what_it_is_for_and_nothing_else(node) -> None:
    async with await aio_pika.connect(f"amqp://{ALICE}:password@127.0.0.1:{node.port}/") as connection:

        async def refused(attempt) -> bool:
            """Try something on a channel of its own."""
            channel = await connection.channel()
            try:
                await attempt(channel)
            except ChannelAccessRefused:
                return True
            finally:
                if not channel.is_closed:
                    await channel.close()
            return False

        def publish(exchange: str, key: str = "11.5"):
            async def attempt(channel) -> None:
                where = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
                await where.publish(aio_pika.Message(b"request"), key, mandatory=False)

            return attempt

        def get(queue: str):
            async def attempt(channel) -> None:
                await (await channel.get_queue(queue, ensure=False)).get(fail=False)

            return attempt

        def bind(queue: str, exchange: str):
            async def attempt(channel) -> None:
                await (await channel.get_queue(queue, ensure=False)).bind(exchange, "#")

            return attempt

        allowed = [
            publish(REQUESTS),
            publish(REQUESTS, "any.key"),
            get(alerts_queue(ALICE)),
            get(responses_queue(ALICE)),
        ]
        assert [await refused(attempt) for attempt in allowed] == [False] * len(allowed)
        forbidden = [
            *(publish(name) for name in (ALERTS, RESPONSES, QUARANTINE, UNROUTED, "amq.topic")),
            publish("", alerts_queue(BOB)),
            *(get(name(BOB)) for name in (alerts_queue, responses_queue)),
            *(get(name) for name in (REQUESTS, QUARANTINE, UNROUTED)),
            bind(alerts_queue(ALICE), ALERTS),
            bind(alerts_queue(ALICE), REQUESTS),
            lambda channel: channel.declare_queue("mine"),
            lambda channel: channel.declare_queue(exclusive=True),
            lambda channel: channel.declare_exchange("mine"),
            lambda channel: channel.queue_delete(alerts_queue(ALICE)),
            lambda channel: channel.exchange_delete(ALERTS),
        ]
        assert [await refused(attempt) for attempt in forbidden] == [True] * len(forbidden)

        channel = await connection.channel()
        replies: asyncio.Queue[bytes] = asyncio.Queue()
        direct = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)

        async def keep(message) -> None:
            await replies.put(message.body)

        await direct.consume(keep, no_ack=True)
        where = await channel.get_exchange(REQUESTS, ensure=False)
        await where.publish(aio_pika.Message(b"ask", reply_to="amq.rabbitmq.reply-to"), "11.5")
        async with RabbitConsumer(Server.parse(node.url)) as consumer:
            asked = None
            while asked is None:
                taken = await consumer.receive(10, 0.01)
                asked = next((each for each in taken if each.octets == b"ask"), None)
                await consumer.acknowledge(taken)
        assert asked.reply_to
        async with await aio_pika.connect(node.url) as service:
            ours = await service.channel()
            await ours.default_exchange.publish(aio_pika.Message(b"answer"), asked.reply_to)
            assert await asyncio.wait_for(replies.get(), 30) == b"answer"


async def _a_user_id_is_the_accounts(node) -> None:
    """The rule on which the check of `user_id` builds is RabbitMQ's."""
    async with await aio_pika.connect(f"amqp://{ALICE}:password@127.0.0.1:{node.port}/") as connection:
        for user_id in (BOB, ALICE):
            channel = await connection.channel()
            where = await channel.get_exchange(REQUESTS, ensure=False)
            attempt = where.publish(aio_pika.Message(b"named", user_id=user_id), "11.5")
            if user_id == ALICE:
                await attempt
            else:
                with pytest.raises(ChannelPreconditionFailed):
                    await attempt
    async with RabbitConsumer(Server.parse(node.url)) as consumer:
        (delivery,) = await consumer.receive(10, 0.01)
        await consumer.acknowledge([delivery])
    assert (delivery.octets, delivery.user_id) == (b"named", ALICE)
