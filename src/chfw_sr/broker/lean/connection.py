"""One AMQP connection on one socket: handshake, heartbeats, channels, the end.

Frames come in by `data_received` and go to their channel at once; nothing here is a task. What a channel does with
deliveries, confirms and returned messages is a subclass's matter. A connection that is lost tells every channel why.
"""

import asyncio
import logging
from typing import TypeVar
from urllib.parse import parse_qsl, unquote

from pamqp import base, commands, common, exceptions, header
from pamqp import frame as pamqp_frame

from chfw_sr.broker.connection import PORTS, Server
from chfw_sr.broker.link import PacedLink

from .frames import (
    BODY,
    FRAME_OVERHEAD,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    BrokenFrame,
    FrameReader,
    body_size,
    frame,
)

logger = logging.getLogger(__name__)

FRAME_MAX = 2**17
"""Octets of a frame that we propose; RabbitMQ's own default."""

MOST_BODY_OCTETS = 2**29
"""Octets of one message, at most; RabbitMQ allows no more."""

CAPABILITIES: common.FieldTable = {
    "publisher_confirms": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
}

Answer = TypeVar("Answer", bound=base.Frame)


class ClosedByPeer(ConnectionError):  # noqa: N818 - it names what happened
    """The server closed a channel or the connection, and said why."""


class Channel:
    """One channel of a connection; subclasses say what they do with what comes.

    Args:
        connection: an open one.
        number: of the channel.
    """

    def __init__(self, connection: "LeanConnection", number: int) -> None:
        self.connection = connection
        self.number = number
        self.lost: str | None = None
        self._answer: asyncio.Future[base.Frame] | None = None
        self._method = b""
        self._header = b""
        self._missing = 0
        self._parts: list[bytes] = []
        connection.channels[number] = self

    async def ask(self, command: base.Frame | header.ProtocolHeader, expected: type[Answer]) -> Answer:
        """Send a method and wait for its answer; one at a time.

        Raises:
            ConnectionError: if the channel or connection is lost.
        """
        if self.lost is not None:
            raise ConnectionError(self.lost)
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self.connection.write(pamqp_frame.marshal(command, self.number))
            answer = await self._answer
        finally:
            self._answer = None
        if not isinstance(answer, expected):
            raise BrokenFrame(f"channel {self.number}: {answer.name} in answer to {command.name}")
        return answer

    def frame(self, kind: int, payload: bytes) -> None:
        """Take a frame.

        Raises:
            BrokenFrame: if it does not belong here.
        """
        if kind == METHOD:
            self._no_content_missing()
            self.method(payload)
        elif kind == HEADER:
            if not self._method or self._header:
                raise BrokenFrame(f"channel {self.number}: a content header without a method")
            self._header, self._missing = payload, body_size(payload)
            if self._missing > MOST_BODY_OCTETS:
                raise BrokenFrame(f"channel {self.number}: a message of {self._missing} octets")
            self._complete()
        elif kind == BODY:
            if not self._header or len(payload) > self._missing:
                raise BrokenFrame(
                    f"channel {self.number}: {len(payload)} octets of a body, {self._missing} are missing"
                )
            self._parts.append(payload)
            self._missing -= len(payload)
            self._complete()
        else:
            raise BrokenFrame(f"channel {self.number}: a heartbeat")

    def _no_content_missing(self) -> None:
        if self._method:
            raise BrokenFrame(f"channel {self.number}: a method, where {self._missing} octets of a body are missing")

    def expect_content(self, method: bytes) -> None:
        """Keep a method that is followed by a message."""
        self._method = method

    def _complete(self) -> None:
        if not self._missing:
            method, content_header, body = self._method, self._header, b"".join(self._parts)
            self._method = self._header = b""
            self._parts = []
            self.content(method, content_header, body)

    def method(self, payload: bytes) -> None:
        """Take a method; subclasses look for theirs first.

        Raises:
            BrokenFrame: if it cannot be read or was not asked for.
        """
        method = read_method(payload)
        if isinstance(method, commands.Channel.Close):
            self.connection.write(pamqp_frame.marshal(commands.Channel.CloseOk(), self.number))
            self.lose(f"{method.reply_code} {method.reply_text}")
        elif isinstance(method, commands.Channel.Flow):
            self.connection.write(pamqp_frame.marshal(commands.Channel.FlowOk(active=method.active), self.number))
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(method)
        else:
            raise BrokenFrame(f"channel {self.number}: {method.name}, and nobody had asked")

    def content(self, method: bytes, content_header: bytes, body: bytes) -> None:
        """Take a whole message."""

    def lose(self, reason: str) -> None:
        """Learn that nothing comes any more."""
        if self.lost is None:
            self.lost = reason
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(ClosedByPeer(reason))
            self.ended(reason)

    def ended(self, reason: str) -> None:
        """Do what is to be done when the channel is lost; called once."""


def read_method(payload: bytes) -> base.Frame:
    """Read a method that is not read elsewhere.

    Raises:
        BrokenFrame: if it is none.
    """
    try:
        _, _, method = pamqp_frame.unmarshal(frame(METHOD, 0, payload))
    except (exceptions.PAMQPException, ValueError, TypeError, LookupError, OverflowError) as error:
        raise BrokenFrame(f"a method that cannot be read ({payload[:4].hex()}): {error}") from error
    if not isinstance(method, base.Frame):
        raise BrokenFrame("no method")
    return method


class _Control(Channel):
    """Channel 0."""

    def method(self, payload: bytes) -> None:
        method = read_method(payload)
        match method:
            case commands.Connection.Close():
                self.connection.write(pamqp_frame.marshal(commands.Connection.CloseOk(), 0))
                self.connection.lose(f"{method.reply_code} {method.reply_text}")
            case commands.Connection.Blocked():
                logger.warning("%s was blocked: %s", self.connection.name, method.reason)
                self.connection.accepting.clear()
            case commands.Connection.Unblocked():
                logger.warning("%s was unblocked", self.connection.name)
                self.connection.accepting.set()
            case commands.Connection.CloseOk():
                self.connection.lose("closed")
            case _:
                super().method(payload)


class LeanConnection(asyncio.Protocol):
    """One connection; a `Call` that is its own result.

    Args:
        server: to whom.
        purpose: what the server's operators see of it.

    Attributes:
        channels: by number; 0 is the connection's own.
        accepting: whether the server takes messages; set as well when there is nothing to wait for any more.
        most_octets: of one payload, as agreed.
    """

    def __init__(self, server: Server, purpose: str) -> None:
        self.name = f"{server.name} {purpose}"
        self.channels: dict[int, Channel] = {}
        self.accepting = asyncio.Event()
        self.accepting.set()
        self.most_octets = FRAME_MAX - FRAME_OVERHEAD
        self._server = server
        self._options = dict(parse_qsl(server.url.query))
        self._reader = FrameReader(self.most_octets)
        self._transport: asyncio.Transport | None = None
        self._control = _Control(self, 0)
        self._gone: asyncio.Event = asyncio.Event()
        self._heard = 0.0
        self._beat: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------------ a `Call`

    async def connect(self) -> "LeanConnection":
        """Open the socket, log in, open the virtual host.

        Raises:
            ConnectionError: if the server refuses, with its words, or is no RabbitMQ.
        """
        url = self._server.url
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        await loop.create_connection(
            lambda: self, url.hostname or "", url.port or PORTS[url.scheme], ssl=self._server.context
        )
        start = await self._control.ask(header.ProtocolHeader(), commands.Connection.Start)
        tune = await self._control.ask(self._log_in(start), commands.Connection.Tune)
        heartbeat = self._agree(tune)
        vhost = unquote(url.path[1:]) or "/"
        await self._control.ask(commands.Connection.Open(virtual_host=vhost), commands.Connection.OpenOk)
        if heartbeat:
            self._keep_alive(heartbeat)
        return self

    def _log_in(self, start: commands.Connection.Start) -> commands.Connection.StartOk:
        mechanism = self._options.get("auth", "plain").upper()
        if mechanism not in str(start.mechanisms).split():
            raise ClosedByPeer(f"the server does not offer {mechanism}, but {start.mechanisms}")
        user, word = unquote(self._server.url.username or "guest"), unquote(self._server.url.password or "guest")
        return commands.Connection.StartOk(
            client_properties={"product": "chfw_sr", "connection_name": self.name, "capabilities": CAPABILITIES},
            mechanism=mechanism,
            response="" if mechanism == "EXTERNAL" else f"\0{user}\0{word}",
            locale="en_US",
        )

    def _agree(self, tune: commands.Connection.Tune) -> int:
        """Settle sizes and heartbeats; give the heartbeat, seconds."""
        ours, theirs = int(self._options.get("heartbeat", 0)), tune.heartbeat or 0
        heartbeat = min(ours, theirs) if ours and theirs else max(ours, theirs)
        frame_max = min(FRAME_MAX, tune.frame_max or FRAME_MAX)
        if frame_max < 4096:  # AMQP 0-9-1, 4.2.3: frame-min-size
            raise BrokenFrame(f"Connection.Tune: frames of {frame_max} octets")
        self.most_octets = self._reader.most_octets = frame_max - FRAME_OVERHEAD
        answer = commands.Connection.TuneOk(
            channel_max=min(tune.channel_max or 2047, 2047), frame_max=frame_max, heartbeat=heartbeat
        )
        self.write(pamqp_frame.marshal(answer, 0))
        return heartbeat

    async def hang_up(self) -> None:
        """Take leave of the peer, and wait until the socket is closed."""
        if self._transport is None:
            return
        if self._control.lost is None:
            self.write(
                pamqp_frame.marshal(
                    commands.Connection.Close(reply_code=200, reply_text="bye", class_id=0, method_id=0), 0
                )
            )
            for channel in self.channels.values():
                if channel is not self._control:
                    channel.lose("closed")
        await self._gone.wait()

    def cut(self) -> None:
        """End the connection without a word.

        In early releases of Python 3.11 an SSL transport that is closed after its end cannot be aborted any more.
        """
        if self._transport is not None and not self._gone.is_set():
            self._transport.abort()

    # ------------------------------------------------------------------------------------------- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Give every frame to its channel; the connection ends at the first that is broken."""
        self._heard = asyncio.get_running_loop().time()
        try:
            for kind, number, payload in self._reader.feed(data):
                if kind == HEARTBEAT:
                    continue
                channel = self.channels.get(number)
                if channel is None:
                    raise BrokenFrame(f"channel {number}, and there is none")  # noqa: TRY301 - told apart below
                if channel.lost is None:
                    channel.frame(kind, payload)
        except BrokenFrame as error:
            self.lose(f"{type(error).__name__}: {error}")
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody."""
        self.lose(str(exc) if exc else "the peer has gone")
        self._gone.set()

    def write(self, octets: bytes) -> None:
        """Write frames.

        Raises:
            ConnectionError: if the connection is lost.
        """
        if self._transport is None or self._control.lost is not None:
            raise ConnectionError(self._control.lost or "not connected")
        self._transport.write(octets)

    def lose(self, reason: str) -> None:
        """Tell every channel why nothing comes any more, and close the socket."""
        if self._beat is not None:
            self._beat.cancel()
        is_first = self._control.lost is None
        for channel in list(self.channels.values()):
            channel.lose(reason)
        self.accepting.set()
        # Once: see `cut`.
        if is_first and self._transport is not None:
            self._transport.close()

    # ------------------------------------------------------------------------------------------- heartbeats

    def _keep_alive(self, seconds: int) -> None:
        """Send a heartbeat twice in its time; silence of twice the time is a loss."""
        loop = asyncio.get_running_loop()

        def beat() -> None:
            if loop.time() - self._heard > 2 * seconds:
                self.lose(f"silent for {2 * seconds} s")
                self.cut()
                return
            self.write(HEARTBEAT_FRAME)
            self._beat = loop.call_later(seconds / 2, beat)

        self._beat = loop.call_later(seconds / 2, beat)


class LeanLink(PacedLink[LeanConnection]):
    """A connection without a client library."""

    def _dial(self) -> LeanConnection:
        return LeanConnection(self.server, self.purpose)
