"""A server that says what no server may: the connection ends, the reason is named, and nobody waits for ever."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pamqp import base, body, commands, frame, header

from chfw_sr.broker.connection import Server
from chfw_sr.broker.lean import connection as lean
from chfw_sr.broker.lean.connection import LeanConnection
from chfw_sr.broker.lean.consumer import LeanSubscription
from chfw_sr.broker.lean.publisher import _LeanOutlet
from chfw_sr.broker.pipeline import Caution, Pipeline
from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult, Unavailable

LONG = 30.0
"""Seconds that no test ever waits for in full."""
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVER = Server.parse("amqp://user:word@127.0.0.1:1/?heartbeat=10")


class Wire(asyncio.Transport):
    """A socket with a server on it that answers what it is asked, and says whatever a test wants."""

    def __init__(self, connection: LeanConnection, answers: Sequence[base.Frame]) -> None:
        super().__init__()
        self._connection = connection
        self._answers = list(answers)
        self.written = b""
        self.ended = False

    def write(self, octets: bytes) -> None:
        self.written += octets
        if self._answers:
            answer = frame.marshal(self._answers.pop(0), 1 if len(self._answers) < 100 else 2)
            asyncio.get_running_loop().call_soon(self._connection.data_received, answer)

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.ended:
            self.ended = True
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)


def connected(*answers: base.Frame) -> tuple[LeanConnection, Wire]:
    connection = LeanConnection(SERVER, "test")
    wire = Wire(connection, answers)
    connection.connection_made(wire)
    return connection, wire


async def consuming() -> tuple[LeanConnection, Wire, LeanSubscription]:
    """Give a consumer that has subscribed."""
    answers = (commands.Channel.OpenOk(), commands.Basic.QosOk(), commands.Basic.ConsumeOk("c"))
    connection, wire = connected(*answers)
    return connection, wire, await LeanSubscription(SERVER, 0, 10).start(connection)


def on(channel: int, *values: object) -> bytes:
    return b"".join(frame.marshal(value, channel) for value in values)  # type: ignore[arg-type]


DELIVER = commands.Basic.Deliver("c", 1, redelivered=False, exchange="", routing_key="11.6")


def content(size: int) -> header.ContentHeader:
    return header.ContentHeader(0, size, commands.Basic.Properties())


BROKEN = {
    "a channel that nobody opened": (on(9, DELIVER), "channel 9"),
    "a header out of nowhere": (on(1, content(1)), "content header without a method"),
    "a body out of nowhere": (on(1, body.ContentBody(b"x")), "1 octets of a body, 0 are missing"),
    "more body than announced": (on(1, DELIVER, content(1), body.ContentBody(b"xx")), "2 octets of a body, 1"),
    "a method amid a body": (on(1, DELIVER, content(2), body.ContentBody(b"x"), DELIVER), "1 octets of a body"),
    "a header twice": (on(1, DELIVER, content(2), content(2)), "content header without a method"),
    "a body beyond all bounds": (on(1, DELIVER, content(lean.MOST_BODY_OCTETS + 1)), "a message of 536870913 octets"),
    "a frame beyond all bounds": (b"\x03\x00\x01\x7f\xff\xff\xff", "2147483647 octets"),
    "an answer that nobody had asked for": (on(1, commands.Basic.QosOk()), "nobody had asked"),
    "a method that there is not": (b"\x01\x00\x01\x00\x00\x00\x04\x00\x63\x00\x63\xce", "00630063"),
    "a method that is cut short": (b"\x01\x00\x01\x00\x00\x00\x04\x00\x14\x00\x28\xce", "00140028"),
    "a heartbeat on a channel": (b"\x08\x00\x01\x00\x00\x00\x00\xce" + on(9, DELIVER), "channel 9"),
    "HTTP": (b"HTTP/1.1 200 OK\r\n\r\n", "not a frame"),
}


@pytest.mark.parametrize(("octets", "complaint"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_peer_ends_the_connection_and_the_reason_is_told(octets: bytes, complaint: str) -> None:
    connection, wire, subscription = await consuming()
    connection.data_received(octets)
    assert wire.ended
    assert subscription.ended is not None
    assert complaint in subscription.ended


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (on(0, commands.Connection.Close(320, "CONNECTION_FORCED - bye", 0, 0)), "320 CONNECTION_FORCED - bye"),
        (on(1, commands.Channel.Close(404, "NOT_FOUND", 60, 20)), "404 NOT_FOUND"),
        (on(1, commands.Basic.Cancel("c")), "was deleted"),
    ],
)
async def test_a_server_that_ends_it_is_quoted(said: bytes, reason: str) -> None:
    connection, _, subscription = await consuming()
    connection.data_received(said)
    assert subscription.ended is not None
    assert reason in subscription.ended


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(octets=st.lists(st.binary(max_size=30) | st.sampled_from([each for each, _ in BROKEN.values()]), max_size=6))
def test_no_octets_do_more_than_end_the_connection(octets: list[bytes]) -> None:
    async def read() -> None:
        connection, wire, _ = await consuming()
        for each in octets:
            if not wire.ended:
                connection.data_received(each)

    asyncio.run(read())


# ---------------------------------------------------------------------------------------------------- publishers


def message(number: int) -> OutboxMessage:
    return OutboxMessage(number, MessageKind.ALERT, "r", f"m{number}", "N64", b"<a/>", AT)


def settled(kind: type, tag: int, *, multiple: bool = False) -> bytes:
    return on(1, kind(tag, multiple))


def returned(message_id: str) -> bytes:
    properties = commands.Basic.Properties(message_id=message_id)
    return on(
        1,
        commands.Basic.Return(312, "NO_ROUTE", "chfw.alerts", "r.N64"),
        header.ContentHeader(0, 4, properties),
        body.ContentBody(b"<a/>"),
    )


ACK, NACK = commands.Basic.Ack, commands.Basic.Nack
C, F, U = PublishResult.CONFIRMED, PublishResult.FAILED, PublishResult.UNROUTABLE


class Answering(Wire):
    """Opens channels; once messages come, says what the test wants."""

    def __init__(self, connection: LeanConnection, said: bytes) -> None:
        super().__init__(connection, ())
        self._said = said
        self._rare = [(1, commands.Channel.OpenOk()), (1, commands.Confirm.SelectOk())]
        self._rare += [(2, commands.Channel.OpenOk()), (2, commands.Confirm.SelectOk())]

    def write(self, octets: bytes) -> None:
        if self._rare:
            channel, answer = self._rare.pop(0)
            said = on(channel, answer)
        else:
            said = self._said
        asyncio.get_running_loop().call_soon(self._connection.data_received, said)


@pytest.mark.parametrize(
    ("said", "results", "trusted"),
    [
        (settled(ACK, 3, multiple=True), [C, C, C], True),
        (settled(ACK, 0, multiple=True), [C, C, C], True),
        (settled(ACK, 2) + settled(ACK, 1) + settled(ACK, 3), [C, C, C], True),
        (settled(ACK, 1) + settled(NACK, 3, multiple=True), [C, F, F], True),
        (returned("m1") + settled(ACK, 3, multiple=True), [C, U, C], True),
        (settled(ACK, 1) + settled(ACK, 1), [C, F, F], False),
        (settled(ACK, 2) + settled(ACK, 4), [F, C, F], False),
        (settled(ACK, 2) + returned("m1"), [F, C, F], False),
        (settled(ACK, 1) + returned("stranger"), [C, F, F], False),
        (settled(ACK, 1) + on(1, commands.Channel.Close(404, "NOT_FOUND", 0, 0)), [C, F, F], False),
        (settled(ACK, 1) + b"not a frame", [C, F, F], False),
    ],
)
async def test_answers_belong_to_their_messages(said: bytes, results: list[PublishResult], trusted: bool) -> None:
    connection = LeanConnection(SERVER, "test")
    connection.connection_made(Answering(connection, said))
    outlet = await _LeanOutlet(SERVER).start(connection)
    messages = [message(number) for number in range(3)]
    caution = Caution(10)
    line = Pipeline(messages, caution, in_flight=10, in_flight_octets=1000)
    async with asyncio.timeout(LONG):
        assert await outlet.send(messages, line, caution, LONG) == trusted
    assert line.results == results
    assert outlet.lost == (not trusted)


async def publishing() -> tuple[LeanConnection, _LeanOutlet]:
    """Give an outlet that is open, on a connection that was told to publish nothing for now."""
    connection = LeanConnection(SERVER, "test")
    connection.connection_made(Answering(connection, b""))
    outlet = await _LeanOutlet(SERVER).start(connection)
    connection.data_received(on(0, commands.Connection.Blocked("low on memory")))
    return connection, outlet


@pytest.mark.parametrize("channel", [0, 1, 2])
async def test_nobody_waits_for_a_server_that_is_gone_to_accept_messages(channel: int) -> None:
    connection, outlet = await publishing()
    waiting = asyncio.create_task(outlet.accepting(LONG))
    await asyncio.sleep(0)
    end = commands.Channel.Close(541, "an error", 0, 0) if channel else commands.Connection.Close(320, "gone", 0, 0)
    connection.data_received(on(channel, end))
    if channel:  # the other channel and the connection live
        connection.data_received(on(0, commands.Connection.Unblocked()))
    async with asyncio.timeout(LONG / 2):
        with pytest.raises(Unavailable, match="the connection was lost"):
            await waiting


async def test_what_leaves_on_a_connection_that_was_lost_just_before_fails_at_once() -> None:
    connection, outlet = await publishing()
    connection.lose("gone")
    caution = Caution(10)
    messages = [message(number) for number in range(3)]
    line = Pipeline(messages, caution, in_flight=10, in_flight_octets=1000)
    async with asyncio.timeout(LONG / 2):
        assert not await outlet.send(messages, line, caution, LONG)
    assert line.results == [PublishResult.FAILED] * 3


# ------------------------------------------------------------------------------------------------------ handshake


def start(mechanisms: str = "PLAIN AMQPLAIN EXTERNAL") -> commands.Connection.Start:
    return commands.Connection.Start(0, 9, {}, mechanisms, "en_US")


async def handshake(url: str, monkeypatch: pytest.MonkeyPatch, *answers: base.Frame) -> tuple[LeanConnection, bytes]:
    """Connect to a server that answers so; give the connection and what was written."""
    connection = LeanConnection(Server.parse(url), "test")
    wire = Wire(connection, ())
    said = list(answers)

    def write(octets: bytes) -> None:
        wire.written += octets
        is_tune_ok = octets[7:11] == b"\x00\x0a\x00\x1f"
        if said and not is_tune_ok:
            asyncio.get_running_loop().call_soon(connection.data_received, on(0, said.pop(0)))

    async def create_connection(*_: object, **__: object) -> None:
        connection.connection_made(wire)

    monkeypatch.setattr(wire, "write", write)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
    await connection.connect()
    return connection, wire.written


async def test_it_logs_in_by_certificate_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = (start(), commands.Connection.Tune(2047, 2**17, 60), commands.Connection.OpenOk())
    connection, written = await handshake("amqp://user:w0rd@h/?auth=external", monkeypatch, *answers)
    assert b"EXTERNAL" in written
    assert b"w0rd" not in written
    connection.lose("over")


async def test_sizes_and_heartbeats_are_agreed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = (start(), commands.Connection.Tune(0, 4096, 7), commands.Connection.OpenOk())
    connection, written = await handshake("amqp://h/a%2Fb?heartbeat=9", monkeypatch, *answers)
    assert connection.most_octets == 4088
    assert on(0, commands.Connection.TuneOk(2047, 4096, 7)) in written
    assert on(0, commands.Connection.Open("a/b")) in written
    connection.lose("over")


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ([start("AMQPLAIN")], "does not offer PLAIN"),
        ([commands.Connection.OpenOk()], "OpenOk in answer"),
        ([start(), commands.Connection.Tune(0, 100, 0)], "frames of 100 octets"),
        ([start(), commands.Connection.Close(403, "ACCESS_REFUSED - no", 0, 0)], "403 ACCESS_REFUSED"),
    ],
)
async def test_a_handshake_that_fails_says_why(
    answers: list[base.Frame], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConnectionError, match=complaint):
        await handshake("amqp://h/", monkeypatch, *answers)


async def test_a_silent_peer_is_given_up_after_two_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    late: list[object] = []
    monkeypatch.setattr(loop, "call_later", lambda seconds, call: late.append((seconds, call)) or None)
    answers = (start(), commands.Connection.Tune(0, 0, 0), commands.Connection.OpenOk())
    connection, _ = await handshake("amqp://h/?heartbeat=8", monkeypatch, *answers)
    ((seconds, beat),) = late  # type: ignore[misc]
    assert seconds == 4

    beat()
    now = loop.time()
    assert connection.channels[0].lost is None
    monkeypatch.setattr(loop, "time", lambda: now + 16.1)
    beat()
    assert connection.channels[0].lost == "silent for 16 s"
