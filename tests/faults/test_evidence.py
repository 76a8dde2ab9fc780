"""The plays' own clients come through what a bus can do to them, and no wait of theirs is without end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from pamqp import base, commands, frame, header

from tests.broker.vhost import new_vhost

from .evidence import Sender, Subscribers, depths, eventually, losses_pass
from .ledger import Ledger

ANSWERS: dict[type, base.Frame] = {
    header.ProtocolHeader: commands.Connection.Start(
        server_properties={"capabilities": {"publisher_confirms": True}}, mechanisms="PLAIN", locales="en_US"
    ),
    commands.Connection.StartOk: commands.Connection.Tune(channel_max=100, frame_max=2**17, heartbeat=60),
    commands.Connection.Open: commands.Connection.OpenOk(),
    commands.Connection.Close: commands.Connection.CloseOk(),
    commands.Channel.Open: commands.Channel.OpenOk(),
    commands.Confirm.Select: commands.Confirm.SelectOk(),
    commands.Basic.Qos: commands.Basic.QosOk(),
    commands.Basic.Consume: commands.Basic.ConsumeOk("one"),
}


class Bus:
    """Answers what it is asked, but for what it is told to leave out.

    Attributes:
        silent_on: methods that get no answer; nothing that is published is confirmed anyhow.
        asked: the methods that have come.
    """

    def __init__(self) -> None:
        self.silent_on: set[type] = set()
        self.asked: list[type] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"amqp://guest:guest@127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Bus"]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        octets = b""
        while more := await reader.read(2**16):
            octets += more
            while len(octets) > 7:
                size, channel, method = frame.unmarshal(octets)
                octets = octets[size:]
                self.asked.append(type(method))
                if type(method) in ANSWERS and type(method) not in self.silent_on:
                    writer.write(frame.marshal(ANSWERS[type(method)], channel))
        writer.close()


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with Bus().listening() as it:
        yield it


def subscribers(bus: Bus) -> Subscribers:
    return Subscribers(lambda: bus.url, ["alerts"], "replies", Ledger(), lambda _: None)


@pytest.mark.rabbitmq
async def test_clients_send_again_what_was_under_way_on_a_connection_that_another_one_closes():
    with new_vhost() as vhost:
        connection = await aio_pika.connect(vhost.url, timeout=10)
        channel = await connection.channel()
        exchange = await channel.declare_exchange("chfw.requests", "topic", durable=True)
        queue = await channel.declare_queue("any", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(exchange, "#")
        for _ in range(10):  # which error ends what is under way is a race
            await _send_and_hang_up(vhost.url)
        await connection.close()


async def _send_and_hang_up(url: str) -> None:
    ledger = Ledger()
    sender = Sender(lambda: url, ledger)
    await sender.send(b"the first", "11.6")
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(sender.send(bytes(2000), "11.6"))
        await sender.send(b"another", "11.6")
        await sender.close()  # as a client does whose confirm is overdue
    await sender.close()
    assert ledger.copies == 32


async def test_clients_that_are_cancelled_while_they_hang_up_end(bus):
    bus.silent_on = {commands.Connection.Close}
    sender = Sender(lambda: bus.url, Ledger())
    sending = asyncio.create_task(sender.send(b"<a/>", "11.6"))
    await eventually(lambda: commands.Basic.Publish in bus.asked, 5, "it was sent")
    hanging_up = asyncio.create_task(sender.close())
    await eventually(lambda: commands.Connection.Close in bus.asked, 5, "the client hangs up")
    hanging_up.cancel()
    await asyncio.wait({hanging_up}, timeout=5)
    assert hanging_up.cancelled()
    sending.cancel()
    await asyncio.wait({sending}, timeout=5)
    assert sending.cancelled()


async def test_subscribers_that_are_told_to_reconnect_while_they_subscribe_do_so(bus):
    bus.silent_on = {commands.Basic.Qos}
    async with subscribers(bus).at_work() as them:
        await eventually(lambda: commands.Basic.Qos in bus.asked, 5, "they subscribe")
        bus.silent_on = set()
        await them.reconnect()
        await eventually(lambda: them.state == "listens", 5, "they listen")
        them.check()


async def test_what_ends_subscribers_is_heard(bus):
    them = subscribers(bus)
    them.paused = None  # type: ignore[assignment] - a defect
    with pytest.raises(TypeError):
        await _check_on(them)


async def _check_on(them: Subscribers) -> None:
    def goes_on() -> bool:
        them.check()
        return False

    async with them.at_work():
        await eventually(goes_on, 5, "what ended them is heard")


async def test_a_wait_runs_out_though_what_it_asks_has_no_answer(bus):
    bus.silent_on = {commands.Channel.Open}

    async def empty() -> bool:
        with losses_pass():
            return not any((await depths(bus.url, ["chfw.requests"])).values())
        return False

    waiting = asyncio.create_task(eventually(empty, 0.2, "the queue is empty"))
    done, _ = await asyncio.wait({waiting}, timeout=10)
    assert done
    assert "not within 0.2 s: the queue is empty" in str(waiting.exception())


async def test_a_server_that_is_gone_is_no_trouble_to_who_takes_down_after_a_cancellation():
    passed = asyncio.Event()

    async def play() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with losses_pass():
                raise ConnectionRefusedError
            passed.set()

    playing = asyncio.create_task(play())
    await asyncio.sleep(0)
    playing.cancel()
    await asyncio.wait({playing}, timeout=5)
    assert passed.is_set()
    assert playing.cancelled()
