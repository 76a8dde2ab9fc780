"""The least that talks AMQP 0-9-1: frames written in bulk on one blocking socket.

It is the floor that the service's own client is held against, and it loads the queues and empties them. It recovers
from nothing: whatever is not as expected raises.
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame
from pamqp.base import Frame

CHANNEL = 1
READ_OCTETS = 2**18
FRAME_OCTETS = 131_072
METHOD, HEADER, BODY = 1, 2, 3
END = b"\xce"
ENVELOPE = 8
"""Octets of a frame around its payload: type, channel, size, end."""

_DELIVER = struct.pack(">HH", 60, 60)
_ACK = struct.pack(">HH", 60, 80)
_RETURN = struct.pack(">HH", 60, 50)
_FLAGS = 0x8000 | 0x1000 | 0x0080 | 0x0040 | 0x0020
"""Properties that are sent: content_type, delivery_mode, message_id, timestamp, type."""


class Refused(Exception):  # noqa: N818 - it names the outcome
    """The server did not take something."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish."""

    exchange: str
    key: str
    message_id: str
    type: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message that was delivered."""

    key: str
    octets: bytes


def _short(text: str) -> bytes:
    octets = text.encode()
    return bytes((len(octets),)) + octets


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, CHANNEL, len(payload)) + payload + END


def encode(message: Message, timestamp: int) -> bytes:
    """Write the frames of one publish: persistent and mandatory."""
    size = len(message.octets)
    method = b"\x00\x3c\x00\x28\x00\x00" + _short(message.exchange) + _short(message.key) + b"\x01"
    properties = (
        struct.pack(">HHQH", 60, 0, size, _FLAGS)
        + _short("application/xml")
        + b"\x02"
        + _short(message.message_id)
        + struct.pack(">Q", timestamp)
        + _short(message.type)
    )
    most = FRAME_OCTETS - ENVELOPE
    bodies = (_frame(BODY, message.octets[place : place + most]) for place in range(0, size, most))
    return _frame(METHOD, method) + _frame(HEADER, properties) + b"".join(bodies)


class Link:
    """A connection with one channel; a context manager.

    Args:
        url: `amqp://USER:PASSWORD@HOST:PORT/VHOST`.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5672), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._published = 0
        self._confirmed = 0
        self._under_way: set[int] = set()
        self._acknowledging = True
        self._open(unquote(parts.username or "guest"), unquote(parts.password or "guest"), unquote(parts.path[1:]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def hang_up(self) -> None:
        """End the connection; a thread that waits for what arrives raises `ConnectionError`."""
        self._socket.shutdown(socket.SHUT_RDWR)

    # ---------------------------------------------------------------------------------------------------------- set-up

    def _open(self, user: str, password: str, vhost: str) -> None:
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect(commands.Connection.Start, 0)
        login = commands.Connection.StartOk({}, "PLAIN", f"\0{user}\0{password}", "en_US")
        self._tell(login, 0)
        self._expect(commands.Connection.Tune, 0)
        self._tell(commands.Connection.TuneOk(2047, FRAME_OCTETS, 0), 0)
        self._tell(commands.Connection.Open(vhost or "/"), 0)
        self._expect(commands.Connection.OpenOk, 0)
        self.call(commands.Channel.Open(), commands.Channel.OpenOk)
        self.call(commands.Confirm.Select(), commands.Confirm.SelectOk)

    def _tell(self, method: Frame, channel: int = CHANNEL) -> None:
        self._socket.sendall(frame.marshal(method, channel))

    def _expect(self, kind: type[Frame], channel: int = CHANNEL) -> Frame:
        while True:
            for number, one, payload in self._frames():
                if number == METHOD and one == channel:
                    _, _, answer = frame.unmarshal(struct.pack(">BHI", METHOD, one, len(payload)) + payload + END)
                    if not isinstance(answer, kind):
                        raise Refused(f"expected {kind.__name__}, got {answer!r}")
                    return answer
            self._read()

    def call(self, method: Frame, answer: type[Frame]) -> Frame:
        """Send a method and wait for its answer; nothing else may be under way on the channel."""
        self._tell(method)
        return self._expect(answer)

    def declare(self, queue: str) -> None:
        """Make a quorum queue."""
        declare = commands.Queue.Declare(queue=queue, durable=True, arguments={"x-queue-type": "quorum"})
        self.call(declare, commands.Queue.DeclareOk)

    def declare_topic(self, exchange: str) -> None:
        """Make a durable topic exchange."""
        declare = commands.Exchange.Declare(exchange=exchange, exchange_type="topic", durable=True)
        self.call(declare, commands.Exchange.DeclareOk)

    def bind(self, queue: str, exchange: str, key: str) -> None:
        """Have a queue get what an exchange is given under a key."""
        self.call(commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=key), commands.Queue.BindOk)

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange."""
        self.call(commands.Exchange.Delete(exchange=exchange), commands.Exchange.DeleteOk)

    def purge(self, queue: str) -> None:
        """Throw away what lies ready in a queue."""
        self.call(commands.Queue.Purge(queue=queue), commands.Queue.PurgeOk)

    def delete(self, queue: str) -> None:
        """Delete a queue with all that is in it."""
        self.call(commands.Queue.Delete(queue=queue), commands.Queue.DeleteOk)

    def ready(self, queue: str) -> int:
        """Count the messages that lie ready in a queue."""
        answer = self.call(commands.Queue.Declare(queue=queue, passive=True), commands.Queue.DeclareOk)
        assert isinstance(answer, commands.Queue.DeclareOk)
        return answer.message_count or 0

    # ---------------------------------------------------------------------------------------------------------- frames

    def _read(self) -> None:
        octets = self._socket.recv(READ_OCTETS)
        if not octets:
            raise ConnectionError("RabbitMQ hung up")
        self._buffer += octets

    def _frames(self) -> Iterator[tuple[int, int, bytes]]:
        """Give the frames that have arrived whole, and forget them one by one as they are taken."""
        buffer, place = self._buffer, 0
        try:
            while place + ENVELOPE <= len(buffer):
                kind, channel, size = struct.unpack_from(">BHI", buffer, place)
                if place + ENVELOPE + size > len(buffer):
                    return
                payload = bytes(buffer[place + 7 : place + 7 + size])
                place += ENVELOPE + size
                yield kind, channel, payload
        finally:
            del buffer[:place]

    # --------------------------------------------------------------------------------------------------------- publish

    def publish(self, messages: Sequence[Message], timestamp: int, *, in_flight: int = 500) -> None:
        """Publish, in bulk, and wait until every one is confirmed.

        Args:
            messages: in order.
            timestamp: seconds since 1970.
            in_flight: how many may be under way without a confirm.

        Raises:
            Refused: if one is returned or refused.
        """
        step = max(1, in_flight // 2)
        for place in range(0, len(messages), step):
            some = messages[place : place + step]
            self._socket.sendall(b"".join([encode(one, timestamp) for one in some]))
            self._under_way.update(range(self._published + 1, self._published + len(some) + 1))
            self._published += len(some)
            while len(self._under_way) > in_flight - step:
                self._confirmations()
        while self._under_way:
            self._confirmations()

    def post(self, messages: Sequence[Message], timestamp: int) -> None:
        """Publish, and wait for nothing; `confirmed` gives what the server says of it."""
        self._socket.sendall(b"".join([encode(one, timestamp) for one in messages]))

    def confirmed(self) -> Iterator[set[int]]:
        """Give the numbers of what was posted, from 1, as it is confirmed, without end; some numbers twice.

        Raises:
            Refused: if one is returned or refused.
        """
        while True:
            yield self._confirmations()

    def _confirmations(self) -> set[int]:
        """Read what has come; the server confirms in no particular order, one by one or all up to a number."""
        self._read()
        confirmed: set[int] = set()
        for kind, _, payload in self._frames():
            if kind != METHOD:
                continue
            if payload[:4] != _ACK:
                raise Refused(f"{'returned' if payload[:4] == _RETURN else 'refused'}: {payload[:60]!r}")
            tag, multiple = struct.unpack(">QB", payload[4:])
            confirmed.update(range(self._confirmed + 1, tag + 1) if multiple else [tag])
            if multiple:
                self._confirmed = max(self._confirmed, tag)
        self._under_way -= confirmed
        return confirmed

    # --------------------------------------------------------------------------------------------------------- consume

    def subscribe(self, queues: Iterable[str], prefetch: int = 200, *, acknowledging: bool = True) -> None:
        """Begin to consume queues on the channel."""
        self.call(commands.Basic.Qos(prefetch_count=prefetch), commands.Basic.QosOk)
        self._acknowledging = acknowledging
        for queue in queues:
            self._tell(commands.Basic.Consume(queue=queue, no_ack=not acknowledging, nowait=True))

    def arrivals(self, acknowledge_every: int = 100) -> Iterator[Sequence[Delivered]]:
        """Give what has arrived, as it arrives, without end; acknowledge it with `multiple`.

        Args:
            acknowledge_every: how many are acknowledged at once, unless nothing more comes for the moment.
        """
        key, size, tag, unacknowledged = "", 0, 0, 0
        parts: list[bytes] = []
        while True:
            self._read()
            arrived: list[Delivered] = []
            for kind, _, payload in self._frames():
                if kind == METHOD and payload[:4] == _DELIVER:
                    key, tag = _delivery(payload)
                elif kind == HEADER:
                    size, parts = struct.unpack_from(">Q", payload, 4)[0], []
                elif kind == BODY:
                    parts.append(payload)
                    size -= len(payload)
                    if not size:
                        arrived.append(Delivered(key, b"".join(parts)))
            unacknowledged += len(arrived)
            if self._acknowledging and unacknowledged >= acknowledge_every:
                self._socket.sendall(_frame(METHOD, _ACK + struct.pack(">QB", tag, 1)))
                unacknowledged = 0
            if arrived:
                yield arrived

    def take(self, queue: str, count: int, prefetch: int = 200) -> Iterator[Delivered]:
        """Take so many messages from a queue; the link is good for nothing else afterwards."""
        self.subscribe([queue], prefetch)
        for some in self.arrivals(max(1, prefetch // 2)):
            yield from some
            count -= len(some)
            if count <= 0:
                return


def _delivery(payload: bytes) -> tuple[str, int]:
    """Read routing key and delivery tag of a Basic.Deliver."""
    place = 4 + 1 + payload[4]
    (tag,) = struct.unpack_from(">Q", payload, place)
    place += 9
    place += 1 + payload[place]
    return payload[place + 1 : place + 1 + payload[place]].decode(), tag
