"""What can be seen from outside: the queues of the Users, and the rows of the database."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from .ledger import Arrival, Evidence, Ledger, OutboxRow

POLL_SECONDS = 0.05

SET_UP_SECONDS = 10.0
"""How long a connection with its channel may take; a server that dies meanwhile may leave an answer out for good."""

_LOSSES = (aio_pika.exceptions.AMQPError, OSError, RuntimeError, TimeoutError, asyncio.CancelledError)


@contextmanager
def losses_pass() -> Iterator[None]:
    """Let pass what the client library raises when a connection is gone; whoever cancels us is heard.

    What is under way on a connection that is closed by agreement ends with a bare `Exception`.
    """
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0  # as all that is taken down after a Ctrl-C is
    try:
        yield
    except _LOSSES:
        if task and task.cancelling() > cancelled_before:
            raise
    except Exception as error:
        if type(error) is not Exception:
            raise


Condition = Callable[[], Awaitable[bool] | bool]


async def eventually(condition: Condition, seconds: float, what: str) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: if it does not within `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                holds = condition()
                if holds if isinstance(holds, bool) else await holds:
                    return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


class Subscribers:
    """Takes everything from queues and writes it down, whatever happens to the connection.

    Args:
        url: of RabbitMQ; asked for anew at each attempt, since a cluster's nodes come and go.
        queues: of the Users.
        reply_queue: which requests name as `reply_to`.
        ledger: where it is written down.
        heard: is told of each message that arrives for the first time.
    """

    def __init__(
        self,
        url: Callable[[], str],
        queues: Sequence[str],
        reply_queue: str,
        ledger: Ledger,
        heard: Callable[[Arrival], None],
    ) -> None:
        self._url = url
        self._queues = queues
        self._reply_queue = reply_queue
        self._ledger = ledger
        self._heard = heard
        self.paused: set[str] = set()
        self.state = "new"
        self._task: asyncio.Task[None] | None = None
        self._connection: aio_pika.abc.AbstractConnection | None = None

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Subscribers"]:
        self._task = task = asyncio.create_task(self._forever())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def check(self) -> None:
        """Raise what has ended them, if anything has."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def reconnect(self) -> None:
        """Take the queues anew, for instance because others are paused now."""
        if self._connection is not None:
            with losses_pass():
                await self._connection.close()

    async def _forever(self) -> None:
        while True:
            with losses_pass():
                await self._once()
            await asyncio.sleep(POLL_SECONDS)

    async def _once(self) -> None:
        self.state = "connects"
        connection = await aio_pika.connect(self._url(), timeout=5)
        self._connection = connection
        transport = connection.transport.connection
        try:
            self.state = "subscribes"
            async with asyncio.timeout(SET_UP_SECONDS):
                channel = await connection.channel()
                await channel.set_qos(prefetch_count=200)
                for name in (*self._queues, self._reply_queue):
                    if name not in self.paused:
                        queue = await channel.get_queue(name, ensure=False)
                        await queue.consume(self._take_reply if name == self._reply_queue else self._taker(name))
                underlay = await channel.get_underlay_channel()
            self.state = "listens"
            await asyncio.wait({underlay.closing, transport.closing}, return_when="FIRST_COMPLETED")
        finally:
            self.state = "lost its connection"
            with losses_pass():
                async with asyncio.timeout(2):
                    await connection.close()

    def _taker(self, queue: str) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
        async def take(message: AbstractIncomingMessage) -> None:
            arrival = self._ledger.arrived(queue, message.message_id or "", message.body)
            if arrival is not None:
                self._heard(arrival)
            await message.ack()

        return take

    async def _take_reply(self, message: AbstractIncomingMessage) -> None:
        self._ledger.replied(message.body)
        await message.ack()


class Sender:
    """Sends requests with confirms, again and again until the bus has taken them.

    Args:
        url: of RabbitMQ; asked for anew at each attempt.
        ledger: where it is noted.
    """

    def __init__(self, url: Callable[[], str], ledger: Ledger) -> None:
        self._url = url
        self._ledger = ledger
        self._turn = asyncio.Lock()
        self.sending = 0
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._exchange: aio_pika.abc.AbstractExchange | None = None

    async def send(self, octets: bytes, srv: str, *, reply_to: str | None = None) -> None:
        """Send, until it is confirmed."""
        self.sending += 1
        try:
            await self._send(aio_pika.Message(octets, delivery_mode=2, reply_to=reply_to), srv)
        finally:
            self.sending -= 1

    async def _send(self, message: aio_pika.Message, srv: str) -> None:
        while True:
            exchange = None
            with losses_pass():
                exchange = await self._ready()
                if await exchange.publish(message, routing_key=srv, mandatory=True, timeout=10):
                    self._ledger.sent()
                    return
            await self._forget(exchange)
            await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        await self._forget(self._exchange)

    async def _ready(self) -> aio_pika.abc.AbstractExchange:
        async with self._turn:
            if self._exchange is None:
                async with asyncio.timeout(SET_UP_SECONDS):
                    self._connection = await aio_pika.connect(self._url(), timeout=5)
                    channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                    self._exchange = await channel.get_exchange("chfw.requests", ensure=False)
            return self._exchange

    async def _forget(self, exchange: aio_pika.abc.AbstractExchange | None) -> None:
        async with self._turn:
            if exchange is not self._exchange:
                return  # another client has made a new connection meanwhile
            connection, self._connection, self._exchange = self._connection, None, None
            if connection is not None:
                with losses_pass():
                    async with asyncio.timeout(2):
                        await connection.close()


async def depths(url: str, queues: Sequence[str]) -> dict[str, int]:
    """Count what lies ready in queues."""
    connection = await aio_pika.connect(url, timeout=5)
    try:
        channel = await connection.channel()
        found = {}
        for name in queues:
            queue = await channel.declare_queue(name, passive=True)
            found[name] = queue.declaration_result.message_count or 0
        return found
    finally:
        await connection.close()


async def drain(url: str, queue: str) -> list[bytes]:
    """Take all that lies in a queue."""
    connection = await aio_pika.connect(url, timeout=5)
    try:
        channel = await connection.channel()
        source = await channel.get_queue(queue, ensure=False)
        found = []
        while message := await source.get(no_ack=True, fail=False):
            found.append(message.body)
        return found
    finally:
        await connection.close()


async def unfinished(database_url: str, recipient: str | None = None) -> int:
    """Count the rows of the outbox that are not finished, of one recipient's alerts perhaps."""
    which = f" WHERE kind = 'alert' AND recipient = '{recipient}'" if recipient else ""
    waiting = f"SELECT count(*) FROM outbox_pending JOIN outbox USING (id){which}"
    return int((await _rows(database_url, waiting))[0][0])


async def evidence(database_url: str) -> Evidence:
    """Read the database."""
    inbox = await _rows(database_url, "SELECT request_id, response IS NOT NULL AND code IS NOT NULL FROM inbox")
    outbox = await _rows(
        database_url,
        "SELECT id, kind, recipient, message_id, octets, id NOT IN (SELECT id FROM outbox_pending)"
        " FROM outbox ORDER BY id",
    )
    activations = await _rows(database_url, "SELECT hub, result, count(*) FROM activations GROUP BY hub, result")
    campaigns = await _rows(
        database_url,
        "SELECT campaign_id, results_reported, (SELECT count(*) FROM activations"
        " WHERE activations.campaign_id = campaigns.campaign_id) FROM campaigns",
    )
    repeated = await _rows(
        database_url,
        "SELECT kind, campaign_id, user_eui, hub, request_id, CAST(detail AS TEXT), count(*) FROM history"
        " WHERE request_id IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6 HAVING count(*) > 1",
    )
    return Evidence(
        inbox={request_id: bool(answered) for request_id, answered in inbox},
        outbox=tuple(
            OutboxRow(number, kind, recipient, message_id, hashlib.sha256(octets).digest(), bool(finished))
            for number, kind, recipient, message_id, octets, finished in outbox
        ),
        activations={(hub, result): count for hub, result, count in activations},
        campaigns={campaign: (reported, recorded) for campaign, reported, recorded in campaigns},
        repeated_history=tuple(" ".join(map(str, row)) for row in repeated),
    )


async def lanes(database_url: str) -> str:
    """Tell what the outbox holds back: a line for each lane with unfinished rows."""
    waiting = await _rows(
        database_url,
        "SELECT lane, count(*), min(id), max(attempts) FROM outbox_pending GROUP BY lane ORDER BY 1",
    )
    held = await _rows(
        database_url,
        "SELECT lane, token, leased_until, claimed_to, claimed FROM lanes WHERE token IS NOT NULL ORDER BY 1",
    )
    return "\n".join(
        [
            *(f"waiting (lane, rows, first, attempts): {row}" for row in waiting),
            *(f"held (lane, token, until, up to, rows): {row}" for row in held),
        ]
    )


async def stages(database_url: str) -> dict[str, str]:
    """Give the stage of each campaign."""
    return dict(await _rows(database_url, "SELECT campaign_id, stage FROM campaigns"))


async def _rows(database_url: str, statement: str) -> list[tuple]:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(statement))]
    finally:
        await engine.dispose()
