"""What a message costs with each AMQP client: microseconds of processor time, of this process and of RabbitMQ.

    python benchmarks/amqp_clients.py --url amqp://guest:guest@127.0.0.1/bench --broker-pid "$(pgrep -x beam.smp)"

The virtual host must be empty and the server otherwise idle; what is made in it is deleted in the end. Messages are of
1.5 kB, persistent, confirmed, to quorum queues of four Users; requests are taken by hundreds and acknowledged so.
RabbitMQ's time is utime + stime of its process, less what it uses when nothing happens.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from chfw_sr.broker.connection import Server
from chfw_sr.broker.consuming import QueueConsumer
from chfw_sr.broker.lean import LeanConsumer, LeanPublisher
from chfw_sr.broker.names import REQUESTS
from chfw_sr.broker.publishing import ConfirmingPublisher
from chfw_sr.broker.rabbitmq import RabbitConsumer, RabbitPublisher
from chfw_sr.broker.topology import Topology, apply
from chfw_sr.messages import EUI
from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult

USERS = [EUI(f"90-B3-D5-1F-30-01-00-0{number}") for number in range(4)]
OCTETS = b"<a>" + b"x" * 1493 + b"</a>"
AT = datetime(2027, 3, 1, tzinfo=UTC)
BATCH = 500
"""Messages in one call of the publisher, as in the relay."""
TAKEN = 100
"""Requests in one transaction."""
SETTLE_SECONDS = 1.0
"""How long RabbitMQ may take to finish what it has confirmed."""

Client = tuple[type[ConfirmingPublisher[Any]], type[QueueConsumer[Any]]]
CLIENTS: dict[str, Client] = {"aio-pika": (RabbitPublisher, RabbitConsumer), "lean": (LeanPublisher, LeanConsumer)}


def broker_seconds(pid: int) -> float:
    """Give the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measured(pid: int, idle: float, count: int, work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Do something; give microseconds a message, ours and the broker's."""
    began, ours, theirs = time.monotonic(), time.process_time(), broker_seconds(pid)
    await work()
    ours = time.process_time() - ours
    await asyncio.sleep(SETTLE_SECONDS)
    theirs = broker_seconds(pid) - theirs - idle * (time.monotonic() - began)
    return ours / count * 1e6, theirs / count * 1e6


async def publish(publisher: ConfirmingPublisher[Any], count: int) -> None:
    """Publish alerts, each User's in turn."""
    for first in range(0, count, BATCH):
        batch = [
            OutboxMessage(
                number, MessageKind.ALERT, USERS[number % len(USERS)], f"id:{number}", "N64", OCTETS, AT, headers={}
            )
            for number in range(first, first + BATCH)
        ]
        assert set(await publisher.publish(batch)) == {PublishResult.CONFIRMED}


async def consume(consumer: QueueConsumer[Any], count: int) -> None:
    """Take requests and acknowledge them."""
    while count > 0:
        batch = await consumer.receive(TAKEN, 0.005)
        await consumer.acknowledge(batch)
        count -= len(batch)


async def fill(channel: AbstractChannel, count: int) -> None:
    """Send requests."""
    exchange = await channel.get_exchange(REQUESTS)
    message = aio_pika.Message(OCTETS, delivery_mode=2, message_id="id")
    for _ in range(0, count, BATCH):
        await asyncio.gather(*(exchange.publish(message, "11.6") for _ in range(BATCH)))


async def run(server: Server, pid: int, count: int, rounds: int) -> None:
    """Measure both clients in turn, and print medians and spread."""
    topology = Topology.of_service() + Topology.of_users(USERS)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    async with server.session("bench") as connection, connection.channel() as channel:
        await apply(channel, topology)
        before = broker_seconds(pid)
        await asyncio.sleep(5)
        idle = (broker_seconds(pid) - before) / 5
        for _ in range(rounds):
            for name, (publishes, consumes) in CLIENTS.items():
                async with publishes(server) as publisher:
                    figures = await measured(pid, idle, count, lambda publisher=publisher: publish(publisher, count))  # type: ignore[misc]
                    found.setdefault(("publish", name), []).append(figures)
                await fill(channel, count)
                consumer = consumes(server)
                figures = await measured(pid, idle, count, lambda consumer=consumer: consume(consumer, count))  # type: ignore[misc]
                found.setdefault(("consume", name), []).append(figures)
                await consumer.close()
                for queue in topology.queues:
                    await (await channel.get_queue(queue.name, ensure=False)).purge()
        for queue in topology.queues:
            await channel.queue_delete(queue.name)
        for exchange in topology.exchanges:
            await channel.exchange_delete(exchange.name)
    print("| what | client | its CPU, µs a message | RabbitMQ's |\n|---|---|--:|--:|")
    for (what, name), each in sorted(found.items(), reverse=True):
        columns = [f"{statistics.median(c):.0f} ({min(c):.0f} to {max(c):.0f})" for c in zip(*each, strict=True)]
        print(f"| {what} | {name} | {columns[0]} | {columns[1]} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--broker-pid", type=int, required=True)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    asyncio.run(run(Server.parse(options.url), options.broker_pid, options.messages, options.rounds))
