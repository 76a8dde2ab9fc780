"""One play: a scene on real servers, load, faults, the settling of the dust, and the verdict."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
from lxml import etree

from chfw_sr.broker import topology
from chfw_sr.storage import migrations
from chfw_sr.storage.store import create_store

from .evidence import (
    Condition,
    Sender,
    Subscribers,
    depths,
    drain,
    eventually,
    evidence,
    lanes,
    losses_pass,
    stages,
    unfinished,
)
from .figures import Figures
from .fleet import Fleet
from .ledger import SR, Ledger
from .load import REPLIES, Load
from .scene import USERS, Scene

FAST = {
    "CHFW_SR_IDLE_SECONDS": "0.05",
    "CHFW_SR_RELAY_LEASE_SECONDS": "2",
    "CHFW_SR_TICK_SECONDS": "0.2",
    "CHFW_SR_CLOCK_LEASE_SECONDS": "2",
    "CHFW_SR_HEARTBEAT_SECONDS": "1",
    "CHFW_SR_BATCH_SIZE": "20",
    "CHFW_SR_PREFETCH": "40",
    "CHFW_SR_RELAY_BATCH": "50",
    "CHFW_SR_LOG_FORMAT": "json",
}
"""Settings that make a play quick: small batches, so that there are many; short leases, so that takeovers are soon."""

RELAXED_SECONDS = 120.0

ENDLESS = 10**6

USER_QUEUES = [f"{kind}.{user.eui}" for user in USERS for kind in ("alerts", "responses")]


@dataclass
class Play:
    """Everything that takes part.

    Attributes:
        ledger: what was sent and what arrived.
        fleet: the processes of the service.
        load: the clients.
        subscribers: of the Users' queues.
        rabbit_url: of the virtual host; asked for anew each time.
    """

    ledger: Ledger
    fleet: Fleet
    load: Load
    subscribers: Subscribers
    rabbit_url: Callable[[], str]
    database_url: str
    figures: Figures
    began: float
    clients: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def under_load(self, *, width: int = 1, rounds: int = ENDLESS, clocked: int = 0) -> AsyncIterator[None]:
        """Keep the clients at work meanwhile; afterwards each of them waits for its last response."""
        self.clients = task = asyncio.create_task(self.load.run(rounds=rounds, width=width, clocked=clocked))
        try:
            yield
            if rounds == ENDLESS:
                self.load.over.set()
            with suppress(TimeoutError):  # what has no response by now is lost; the ledger says which
                await asyncio.wait_for(task, RELAXED_SECONDS if rounds == ENDLESS else None)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Condition, what: str, *, seconds: float = RELAXED_SECONDS) -> None:
        """Wait until something has come about.

        Raises:
            AssertionError: if it does not in time; it tells how things stand.
            Exception: if clients or subscribers ended for a reason that nobody foresaw.
        """

        async def holds() -> bool:
            if self.clients is not None and self.clients.done():
                self.clients.result()
            self.subscribers.check()
            found = condition()
            return found if isinstance(found, bool) else await found

        try:
            await eventually(holds, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self._how_things_stand()}") from None

    async def _how_things_stand(self) -> str:
        waiting, sending, arrived = self.load.waiting, self.load.sender.sending, len(self.ledger.arrivals)
        lines = [
            f"clients: {waiting} wait for a response, {sending} send",
            f"subscribers: {self.subscribers.state}, {arrived} messages arrived",
        ]
        try:
            async with asyncio.timeout(20):
                found = await depths(self.rabbit_url(), ["chfw.requests", "chfw.quarantine", *USER_QUEUES, REPLIES])
                lines.append(f"ready: { {name: ready for name, ready in found.items() if ready} }")
                lines.append(await lanes(self.database_url))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it must not hide which wait ran out
            lines.append(f"the rest cannot be told: {error!r}")
        return "\n".join(lines)

    async def some_arrivals(self, count: int) -> None:
        """Wait until so many more messages have arrived at the Users."""
        before = len(self.ledger.arrivals)
        await self.until(lambda: len(self.ledger.arrivals) >= before + count, f"{count} more messages arrive")

    async def lies_in(self, queue: str, count: int) -> bool:
        """Tell whether at least so many messages lie in a queue."""
        return (await depths(self.rabbit_url(), [queue]))[queue] >= count

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
        """Give a channel to do things to RabbitMQ with."""
        connection = await aio_pika.connect(self.rabbit_url(), timeout=10)
        try:
            yield await connection.channel()
        finally:
            with losses_pass():
                await connection.close()

    async def declare(self) -> None:
        """Make everything on RabbitMQ that is not there."""
        async with self.channel() as channel:
            await topology.apply(channel, _topology())

    async def rest(self) -> None:
        """Wait until no requests wait and the outbox is empty."""
        await eventually(self._at_rest, RELAXED_SECONDS, "no requests wait, the outbox is empty")

    async def settle(self, seconds: float = RELAXED_SECONDS) -> None:
        """Wait until nothing moves any more, let the service end, and judge.

        Args:
            seconds: how long that may take.

        Raises:
            AssertionError: if anything is lost, doubled, stuck and so on, or a process ended that nobody had ended.
        """
        with suppress(AssertionError):  # the ledger says it better
            await eventually(self._pilots_complete, seconds, "the clock has done its work")
            await eventually(self._at_rest, seconds, "no requests wait, the outbox is empty")
        await self.fleet.retire()
        # What a process had in hand is in the queue again; one process alone takes it before what is sent from now on.
        await self.fleet.start("finisher")
        with suppress(AssertionError, TimeoutError):
            await asyncio.wait_for(self.load.ask_last(), seconds)
            await eventually(self._at_rest, seconds, "no requests wait, the outbox is empty")
        await self.fleet.retire()
        with suppress(AssertionError):
            await eventually(self._all_received, seconds / 3, "everything that was published is received")
        for octets in await drain(self.rabbit_url(), "chfw.quarantine"):
            self.ledger.quarantined.append(_request_id(octets))
        verdict = self.ledger.judge(await evidence(self.database_url))
        self.figures.note(self.ledger, self.fleet, verdict, time.monotonic() - self.began)
        assert not any(verdict.counts.values()), str(verdict)
        assert not self.fleet.exits, "\n".join(
            f"{each.name} ended with {each.code}: {each.log}" for each in self.fleet.exits
        )

    async def _pilots_complete(self) -> bool:
        found = await stages(self.database_url) if self.load.clocked else {}
        return all(found[campaign] == "PilotComplete" for campaign in self.load.clocked)

    async def _at_rest(self) -> bool:
        waiting = None
        with losses_pass():
            waiting = (await depths(self.rabbit_url(), ["chfw.requests"]))["chfw.requests"]
        return waiting == 0 and not await unfinished(self.database_url)

    async def _all_received(self) -> bool:
        if any((await depths(self.rabbit_url(), [*USER_QUEUES, REPLIES])).values()):
            return False
        received = {(each.message_id, each.digest) for each in self.ledger.arrivals.values()}
        rows = (await evidence(self.database_url)).outbox
        return all((row.message_id, row.digest) in received for row in rows if row.kind in ("alert", "response"))


def _request_id(octets: bytes) -> str:
    try:
        return etree.fromstring(octets).findtext(f"{SR}Header/{SR}RequestID", "garbage")
    except etree.XMLSyntaxError:
        return "garbage"


@asynccontextmanager
async def play(
    name: str,
    folder: Path,
    database_url: str,
    rabbit_url: str | Callable[[], str],
    *,
    figures: Figures,
    campaigns: int = 3,
    loose: int = 3000,
    hot: bool = False,
    seed: int = 1,
    settings: Mapping[str, str] | None = None,
    service_database_url: str | None = None,
    service_rabbit_url: str | None = None,
    patience_seconds: float | None = None,
    may_fail_to_start: bool = False,
) -> AsyncIterator[Play]:
    """Set a scene up on real servers; everything is taken down in the end, and every process has ended.

    Args:
        name: of the figures.
        folder: an empty one.
        database_url: of an empty database.
        rabbit_url: of an empty virtual host, or what gives it.
        figures: where the result is written down.
        campaigns, loose, hot: of the scene.
        seed: of everything left to chance.
        settings: of the service, besides `FAST`.
        service_database_url: what the service uses instead, for instance a proxy.
        service_rabbit_url: likewise.
        patience_seconds: of the clients.
        may_fail_to_start: whether servers may be down when a process starts.
    """
    where = rabbit_url if callable(rabbit_url) else lambda: rabbit_url
    scene, ledger = Scene(campaigns, loose, hot), Ledger()
    await _set_up(scene, database_url, where())
    environment = FAST | scene.write_key(folder) | dict(settings or {})
    environment["CHFW_SR_DATABASE_URL"] = service_database_url or database_url
    environment["CHFW_SR_AMQP_URL"] = service_rabbit_url or where()
    sender = Sender(where, ledger)
    load = Load(scene, ledger, sender, seed=seed, patience_seconds=patience_seconds)
    subscribers = Subscribers(where, USER_QUEUES, REPLIES, ledger, load.heard)
    figures.begin(name)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_take_down, where)
        stack.push_async_callback(sender.close)
        await stack.enter_async_context(subscribers.at_work())
        fleet = Fleet(folder, environment, may_fail_to_start=may_fail_to_start)
        await stack.enter_async_context(fleet.at_work())
        yield Play(ledger, fleet, load, subscribers, where, database_url, figures, time.monotonic())


async def _set_up(scene: Scene, database_url: str, rabbit_url: str) -> None:
    await migrations.upgrade(database_url)
    store = create_store(database_url)
    try:
        await store.register.save_users(scene.records, datetime.now(UTC))

        async def chunks():
            yield list(scene.hubs())

        await store.register.import_hubs(chunks(), datetime.now(UTC))
    finally:
        await store.close()
    connection = await aio_pika.connect(rabbit_url, timeout=10)
    try:
        await topology.apply(await connection.channel(), _topology())
    finally:
        await connection.close()


def _topology() -> topology.Topology:
    users = topology.Topology.of_users(user.eui for user in USERS)
    return topology.Topology.of_service() + users + topology.Topology(queues=(topology.Queue(REPLIES),))


async def _take_down(rabbit_url: Callable[[], str]) -> None:
    connection = None
    with losses_pass():
        connection = await aio_pika.connect(rabbit_url(), timeout=5)
    if connection is None:
        return  # a server that was killed for good has nothing left to take down
    try:
        channel = await connection.channel()
        for queue in _topology().queues:
            await channel.queue_delete(queue.name)
        for exchange in _topology().exchanges:
            await channel.exchange_delete(exchange.name)
    finally:
        await connection.close()
