"""Keeps frames that the client library cannot read from killing the connection.

Why: properties and routing key of a message are its sender's, and the library ends the whole connection at the first
octet that is not UTF-8, or at a date that does not exist. One hostile message would cost every consumer its connection,
again and again up to the delivery limit, and would drag the requests that travelled with it into quarantine.

How: the library reads through a `GuardedReader`. It reads frame by frame and tries the two kinds that carry a sender's
text. A content header that cannot be read goes on without its properties, a delivery with the text repaired. The body,
which alone is signed and believed, is never touched.
"""

import asyncio
import struct

from pamqp import commands, header
from pamqp.constants import FRAME_HEADER, FRAME_METHOD

_HEAD = struct.Struct(">BHI")
"""Kind, channel and size of a frame."""

_CONTENT = struct.Struct(">HHQ")
"""Class, weight and size of the body, at the beginning of a content header."""

_DELIVER = struct.pack(">HH", 60, 60)
"""What the frame of a Basic.Deliver begins with (AMQP 0-9-1, class 60, method 60)."""

_DELIVERED = struct.Struct(">QB")
"""Delivery tag and the redelivered bit."""


class GuardedReader:
    """What the client library needs of a `StreamReader`, with unreadable frames made readable.

    Args:
        reader: the socket's.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._frame = b""

    def at_eof(self) -> bool:
        """Say whether nothing is left and nothing comes any more."""
        return not self._frame and self._reader.at_eof()

    async def readexactly(self, count: int) -> bytes:
        """Read octets of the current frame; of the next one when it is used up.

        Raises:
            IncompleteReadError: if the peer has gone.
        """
        if not self._frame:
            self._frame = await self._next()
        part, self._frame = self._frame[:count], self._frame[count:]
        return part

    async def _next(self) -> bytes:
        head = await self._reader.readexactly(_HEAD.size)
        if head.startswith(b"AMQP"):  # the peer speaks another version: the library says so
            return head
        kind, channel, size = _HEAD.unpack(head)
        rest = await self._reader.readexactly(size + 1)
        if kind == FRAME_HEADER:
            payload = readable_header(rest[:-1])
        elif kind == FRAME_METHOD and rest.startswith(_DELIVER):
            payload = readable_delivery(rest[:-1])
        else:
            return head + rest
        return _HEAD.pack(kind, channel, len(payload)) + payload + rest[-1:]


def readable_header(payload: bytes) -> bytes:
    """Give a content header as it is, or without its properties if the library cannot read them.

    Args:
        payload: a frame's, without its head and end.
    """
    try:
        header.ContentHeader().unmarshal(payload)
    except Exception:  # noqa: BLE001 - whatever it is, the library would trip over it as well
        return payload[: _CONTENT.size] + b"\0\0"
    return payload


def readable_delivery(payload: bytes) -> bytes:
    """Give a Basic.Deliver as it is, or with its text repaired if it is not UTF-8.

    Args:
        payload: a frame's, without its head and end.
    """
    try:
        commands.Basic.Deliver().unmarshal(payload[len(_DELIVER) :])
    except ValueError:
        tag, rest = _short(payload[len(_DELIVER) :])
        fixed, rest = rest[: _DELIVERED.size], rest[_DELIVERED.size :]
        exchange, rest = _short(rest)
        routing_key, _ = _short(rest)
        return _DELIVER + _repaired(tag) + fixed + _repaired(exchange) + _repaired(routing_key)
    return payload


def _short(octets: bytes) -> tuple[bytes, bytes]:
    """Split off a short string: one octet of length, then as many."""
    end = 1 + octets[0]
    return octets[1:end], octets[end:]


def _repaired(text: bytes) -> bytes:
    """Give a short string in which `?` stands for what is not UTF-8."""
    repaired = text.decode("ascii", errors="replace").replace("\N{REPLACEMENT CHARACTER}", "?").encode()
    return bytes([len(repaired)]) + repaired
