"""Measures it: its own database and queues on the same servers, the same documents, the same way of counting."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
from pamqp import commands
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.cpu import Meter
from benchmarks.frames import Link
from benchmarks.load import SETTLE_SECONDS, Repetition
from benchmarks.mix import Mix
from benchmarks.product import Failed
from benchmarks.servers import Servers, database
from benchmarks.world import CAMPAIGN, DAY, DCC, MANUFACTURER, NEW, SUPPLIER, World, hub_rows
from chfw_sr.resources import resource_directory
from chfw_sr.wire.pki import read_certificate

from .models import Base
from .service import ALERTS, REQUESTS, RESPONSES


def measure(
    servers: Servers, world: World, mix: Mix, meter: Meter, *, repetitions: int, count: int
) -> list[Repetition]:
    """Have it take 11.6 that are accepted.

    Args:
        servers: where a database and queues are made for it, and dropped.
        world: Suppliers, campaigns and hubs.
        mix: makes the documents.
        meter: of the servers.
        repetitions: how often.
        count: requests each time.
    """
    with database(servers.postgresql) as own, _topology(servers):
        asyncio.run(_fill(own.url, world))
        return [_repeat(own.url, servers, world, mix, meter, count) for _ in range(repetitions)]


@contextmanager
def _topology(servers: Servers) -> Iterator[None]:
    queues = [f"plain.{kind}.{eui}" for eui in SUPPLIER for kind in ("responses", "alerts")]
    with Link(servers.rabbitmq.url) as link:
        for exchange in (RESPONSES, ALERTS):
            link.call(
                commands.Exchange.Declare(exchange=exchange, exchange_type="topic", durable=True),
                commands.Exchange.DeclareOk,
            )
        for queue in (REQUESTS, *queues):
            link.declare(queue)
        for eui in SUPPLIER:
            _bind(link, f"plain.responses.{eui}", RESPONSES, eui)
            _bind(link, f"plain.alerts.{eui}", ALERTS, f"{eui}.*")
        try:
            yield
        finally:
            for queue in (REQUESTS, *queues):
                link.delete(queue)


def _bind(link: Link, queue: str, exchange: str, key: str) -> None:
    link.call(commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=key), commands.Queue.BindOk)


async def _fill(url: str, world: World) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    certificates = [(eui, (world.folder / f"{eui}.pem").read_bytes()) for eui in SUPPLIER]
    hubs = ((row[0], row[1], row[2], row[3], row[5], row[6], row[7]) for row in hub_rows(0, world.hubs))
    campaigns = [
        (name, MANUFACTURER, f"Hub-{place}", NEW, "PilotConsultation", datetime.now(UTC) + 5 * DAY)
        for place, name in enumerate(CAMPAIGN)
    ]
    plain = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        await plain.copy_records_to_table("users", records=[(eui, "IS", "Active") for eui in SUPPLIER])
        await plain.copy_records_to_table(
            "certificates",
            records=[(str(read_certificate(pem).serial_number), eui, pem.decode()) for eui, pem in certificates],
        )
        await plain.copy_records_to_table("campaigns", records=campaigns)
        await plain.copy_records_to_table("hubs", records=hubs)
        await plain.execute("ANALYZE")
    finally:
        await plain.close()


def _repeat(url: str, servers: Servers, world: World, mix: Mix, meter: Meter, count: int) -> Repetition:
    arguments = (
        url,
        servers.rabbitmq.url,
        str(resource_directory("schemas")),
        str(world.signing_key),
        str(world.folder / f"{DCC}.pem"),
        str(2 * count),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.straightforward.service", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise Failed("the straightforward service did not start")
        _send(servers, mix, count)  # to warm up
        while _waiting(servers):
            if process.poll() is not None:
                raise Failed("the straightforward service ended while it was warmed up")
            time.sleep(0.1)
        process.send_signal(signal.SIGSTOP)
        _send(servers, mix, count)
        time.sleep(SETTLE_SECONDS)
        stop = meter.add("service", lambda: [process.pid]).start()
        process.send_signal(signal.SIGCONT)
        if process.stdout.readline() != "done\n":
            raise Failed("the straightforward service ended before it was done")
        cost = stop()
        _empty(servers)
        return Repetition(count, 2 * count, cost)
    finally:
        process.kill()
        process.wait()


def _send(servers: Servers, mix: Mix, count: int) -> None:
    messages = [replace(each.message, exchange="", key=REQUESTS) for each in mix.preferences(count)]
    with Link(servers.rabbitmq.url) as link:
        link.publish(messages, int(time.time()))


def _waiting(servers: Servers) -> int:
    with Link(servers.rabbitmq.url) as link:
        return link.ready(REQUESTS)


def _empty(servers: Servers) -> None:
    with Link(servers.rabbitmq.url) as link:
        for eui in SUPPLIER:
            link.purge(f"plain.responses.{eui}")
            link.purge(f"plain.alerts.{eui}")
