"""Octets ↔ the frames that come in thousands: publishes, deliveries, confirms, acknowledgements.

A frame is kind, channel, size, payload and one closing octet; a message is a method frame, a content header and as many
body frames as its size needs (AMQP 0-9-1, 2.3.5 and 4.2.6). Rare methods are left to pamqp.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
"""Kinds of frame (AMQP 0-9-1, 4.2.3)."""

FRAME_END = b"\xce"
FRAME_OVERHEAD = 8
"""Octets of a frame beside its payload."""

HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

PUBLISH = struct.pack(">HH", 60, 40)
RETURN = struct.pack(">HH", 60, 50)
CANCEL = struct.pack(">HH", 60, 30)
DELIVER = struct.pack(">HH", 60, 60)
ACK = struct.pack(">HH", 60, 80)
NACK = struct.pack(">HH", 60, 120)
"""What the payloads of these methods begin with: class and method."""

PERSISTENT = b"\x02"
CONTENT_TYPE = b"\x0fapplication/xml"
HAS_CONTENT_TYPE, HAS_ENCODING, HAS_HEADERS, HAS_MODE, HAS_PRIORITY = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800
HAS_CORRELATION_ID, HAS_REPLY_TO, HAS_EXPIRATION, HAS_MESSAGE_ID = 0x0400, 0x0200, 0x0100, 0x0080
HAS_TIMESTAMP, HAS_TYPE, HAS_USER_ID, HAS_APP_ID = 0x0040, 0x0020, 0x0010, 0x0008
"""Flags of a content header, in the order in which the properties follow."""

_PLAIN = HAS_CONTENT_TYPE | HAS_MODE | HAS_MESSAGE_ID | HAS_TIMESTAMP | HAS_TYPE
_PLAIN_BEGINNING = CONTENT_TYPE + PERSISTENT

_HEAD = struct.Struct(">BHI")
_CONTENT = struct.Struct(">HHQH")
_SETTLED = struct.Struct(">QB")
_DATE = struct.Struct(">Q")


class BrokenFrame(ConnectionError):  # noqa: N818 - it names what was found
    """The peer sent what cannot be AMQP, or what does not belong there."""


class FrameReader:
    """Cuts what comes from a socket into frames.

    Args:
        most_octets: of one payload.
    """

    def __init__(self, most_octets: int) -> None:
        self.most_octets = most_octets
        self._rest = b""

    def feed(self, octets: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Give kind, channel and payload of every frame that is complete; the rest is kept.

        Raises:
            BrokenFrame: naming what is wrong with which frame.
        """
        octets = self._rest + octets if self._rest else octets
        at, end = 0, len(octets)
        try:
            while end - at >= _HEAD.size:
                kind, channel, size = _HEAD.unpack_from(octets, at)
                if kind not in (METHOD, HEADER, BODY, HEARTBEAT) or size > self.most_octets:
                    raise BrokenFrame(_strange(octets[at : at + _HEAD.size], size, self.most_octets))
                beyond = at + _HEAD.size + size
                if beyond >= end:
                    break
                if octets[beyond] != FRAME_END[0]:
                    raise BrokenFrame(f"frame of kind {kind} on channel {channel}: no frame end after {size} octets")
                payload = octets[at + _HEAD.size : beyond]
                at = beyond + 1
                yield kind, channel, payload
        finally:
            self._rest = octets[at:]


def _strange(head: bytes, size: int, most_octets: int) -> str:
    if head.startswith(b"AMQP"):
        return f"the peer speaks another version of AMQP: {head!r}"
    if head[0] in (METHOD, HEADER, BODY, HEARTBEAT):
        return f"frame of {size} octets; {most_octets} are agreed on"
    return f"not a frame of AMQP: {head!r}"


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Give a whole frame."""
    return _HEAD.pack(kind, channel, len(payload)) + payload + FRAME_END


def short(text: str) -> bytes:
    """Give a short string: one octet of length, then UTF-8.

    Raises:
        ValueError: if it is longer than 255 octets, or not to be had in UTF-8.
    """
    octets = text.encode()
    if len(octets) > 255:
        raise ValueError(f"{len(octets)} octets do not fit a short string: {text[:40]}…")
    return bytes((len(octets),)) + octets


def text_table(headers: Mapping[str, str]) -> bytes:
    """Give a field table of long strings."""
    fields: list[bytes] = []
    for name, value in headers.items():
        octets = value.encode()
        fields += (short(name), b"S", struct.pack(">I", len(octets)), octets)
    table = b"".join(fields)
    return struct.pack(">I", len(table)) + table


def publish_frame(channel: int, exchange: str, routing_key: str) -> bytes:
    """Give the frame that a message begins with; it is mandatory.

    Raises:
        ValueError: if something does not fit into AMQP.
    """
    return frame(METHOD, channel, PUBLISH + b"\0\0" + short(exchange) + short(routing_key) + b"\x01")


def content_frames(
    channel: int,
    body: bytes,
    message_id: str,
    code: str,
    timestamp: int,
    correlation_id: str | None,
    headers: Mapping[str, str],
    most_octets: int,
) -> bytes:
    """Give the frames of a message that follow: content header and body; persistent, XML.

    Args:
        channel: its number.
        body: the message.
        message_id: a property.
        code: the property `type`.
        timestamp: a property, seconds since 1970.
        correlation_id: a property; None or empty where there is none.
        headers: a property; perhaps none.
        most_octets: of one payload; a larger body is split.

    Raises:
        ValueError: if something does not fit into AMQP.
    """
    end = short(message_id) + _DATE.pack(timestamp) + short(code)
    if not headers and not correlation_id:
        flags, properties = _PLAIN, _PLAIN_BEGINNING + end
    else:
        flags, table, correlation = _PLAIN, b"", b""
        if headers:
            flags |= HAS_HEADERS
            table = text_table(headers)
        if correlation_id:
            flags |= HAS_CORRELATION_ID
            correlation = short(correlation_id)
        properties = CONTENT_TYPE + table + PERSISTENT + correlation + end
    size = len(body)
    content = _CONTENT.pack(60, 0, size, flags) + properties
    if len(content) > most_octets:
        raise ValueError(f"properties of {len(content)} octets do not fit one frame")
    parts = [_HEAD.pack(HEADER, channel, len(content)), content, FRAME_END]
    if size <= most_octets:
        if size:
            parts += (_HEAD.pack(BODY, channel, size), body, FRAME_END)
    else:
        parts += (frame(BODY, channel, body[at : at + most_octets]) for at in range(0, size, most_octets))
    return b"".join(parts)


def settle_frame(channel: int, method: bytes, tag: int, flags: int) -> bytes:
    """Give an acknowledgement (`ACK`; flag 1 is multiple) or a return (`NACK`; flag 2 is requeue)."""
    return frame(METHOD, channel, method + _SETTLED.pack(tag, flags))


def settled(payload: bytes) -> tuple[int, bool]:
    """Read tag and `multiple` of a Basic.Ack or Basic.Nack.

    Raises:
        BrokenFrame: if it is cut short.
    """
    if len(payload) < 13:
        raise BrokenFrame(f"confirm of {len(payload)} octets")
    tag, flags = _SETTLED.unpack_from(payload, 4)
    return tag, bool(flags & 1)


def delivered(payload: bytes) -> tuple[int, bool, str]:
    """Read delivery tag, redelivered and routing key of a Basic.Deliver; a key that is not UTF-8 is repaired.

    Raises:
        BrokenFrame: if it is cut short.
    """
    try:
        at = 5 + payload[4]
        tag, redelivered = _SETTLED.unpack_from(payload, at)
        at += _SETTLED.size
        at += 1 + payload[at]
        key = payload[at + 1 : at + 1 + payload[at]]
        if len(key) != payload[at]:
            raise BrokenFrame("delivery: its routing key is cut short")
    except (IndexError, struct.error) as error:
        raise BrokenFrame(f"delivery of {len(payload)} octets: {error}") from error
    return tag, bool(redelivered & 1), _text(key)


def _text(octets: bytes) -> str:
    """Read text; `?` stands for what is not UTF-8."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("ascii", errors="replace").replace("\N{REPLACEMENT CHARACTER}", "?")


def body_size(payload: bytes) -> int:
    """Read the size of the body from a content header.

    Raises:
        BrokenFrame: if it is cut short.
    """
    if len(payload) < _CONTENT.size:
        raise BrokenFrame(f"content header of {len(payload)} octets")
    return int(_CONTENT.unpack_from(payload)[2])


@dataclass(frozen=True, slots=True)
class Properties:
    """What is read of a message's properties; a sender's word, and no more."""

    correlation_id: str | None = None
    reply_to: str | None = None
    message_id: str | None = None
    user_id: str | None = None


NO_PROPERTIES = Properties()

_SKIPPED = {HAS_MODE: 1, HAS_PRIORITY: 1, HAS_TIMESTAMP: 8}
_FLAGS = tuple(1 << bit for bit in range(15, 2, -1))


def properties(payload: bytes) -> Properties:
    """Read the properties of a content header; none at all where they cannot be read, for they are a sender's.

    Args:
        payload: a frame's, at least as long as `body_size` needs.
    """
    flags = _CONTENT.unpack_from(payload)[3]
    at, found = _CONTENT.size, {}
    try:
        if flags & 1:  # more flags than AMQP 0-9-1 has properties
            return NO_PROPERTIES
        for flag in _FLAGS:
            if not flags & flag:
                continue
            if flag == HAS_HEADERS:
                at += 4 + int.from_bytes(payload[at : at + 4], "big")
            elif skipped := _SKIPPED.get(flag):
                at += skipped
            else:
                begin, at = at + 1, at + 1 + payload[at]
                found[flag] = payload[begin:at].decode()
    except (IndexError, UnicodeDecodeError):
        return NO_PROPERTIES
    if at > len(payload):
        return NO_PROPERTIES
    return Properties(
        found.get(HAS_CORRELATION_ID) or None,
        found.get(HAS_REPLY_TO) or None,
        found.get(HAS_MESSAGE_ID) or None,
        found.get(HAS_USER_ID) or None,
    )
