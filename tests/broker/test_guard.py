"""Frames that the client library cannot read are made readable, all others pass untouched."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from chfw_sr.broker.guard import GuardedReader, readable_delivery, readable_header

DELIVER = struct.pack(">HH", 60, 60)


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


async def read_frames(octets: bytes) -> list[bytes]:
    """Read frame by frame, as the library does."""
    source = asyncio.StreamReader()
    source.feed_data(octets)
    source.feed_eof()
    reader, frames = GuardedReader(source), []
    while not reader.at_eof():
        head = await reader.readexactly(1) + await reader.readexactly(6)
        frames.append(head + await reader.readexactly(struct.unpack(">I", head[3:])[0] + 1))
    return frames


async def test_readable_frames_pass_untouched() -> None:
    properties = commands.Basic.Properties(message_id="m", headers={"a": {"b": ["c", 1]}})
    frames = [
        frame.marshal(commands.Basic.Deliver("tag", 7, True, "chfw.requests", "11.é"), 1),
        frame.marshal(ContentHeader(0, 3, properties), 1),
        frame.marshal(ContentBody(b"\xff\xfe\xce"), 1),
        frame.marshal(Heartbeat(), 0),
        frame.marshal(commands.Connection.Blocked("low on memory"), 0),
    ]
    assert await read_frames(b"".join(frames)) == frames


async def test_another_version_of_the_protocol_is_passed_on() -> None:
    source = asyncio.StreamReader()
    source.feed_data(b"AMQP\x00\x01\x00\x00")
    reader = GuardedReader(source)
    assert await reader.readexactly(1) + await reader.readexactly(6) == b"AMQP\x00\x01\x00"


async def test_a_peer_that_is_gone_is_reported_as_such() -> None:
    source = asyncio.StreamReader()
    source.feed_data(b"\x01\x00")
    source.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await GuardedReader(source).readexactly(1)


@given(flags=st.integers(0, 0xFFFF), octets=st.binary(max_size=200), size=st.integers(0, 2**40))
def test_any_header_becomes_readable_and_keeps_the_size_of_the_body(flags: int, octets: bytes, size: int) -> None:
    payload = struct.pack(">HHQH", 60, 0, size, flags) + octets
    readable = readable_header(payload)
    header = ContentHeader()
    header.unmarshal(readable)
    assert header.body_size == size
    assert readable in {payload, payload[:12] + b"\0\0"}


def test_a_table_nested_without_end_is_dropped() -> None:
    table = b""
    for _ in range(20_000):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    payload = struct.pack(">HHQH", 60, 0, 5, 0x2000) + struct.pack(">I", len(table)) + table
    assert readable_header(payload) == payload[:12] + b"\0\0"


@given(st.binary(max_size=255), st.binary(max_size=255), st.integers(0, 2**63 - 1), st.booleans())
def test_any_delivery_becomes_readable_and_keeps_its_tag(
    exchange: bytes, routing_key: bytes, tag: int, redelivered: bool
) -> None:
    payload = DELIVER + short(b"consumer") + struct.pack(">QB", tag, redelivered) + short(exchange) + short(routing_key)
    deliver = commands.Basic.Deliver()
    deliver.unmarshal(readable_delivery(payload)[4:])
    assert (deliver.consumer_tag, deliver.delivery_tag, deliver.redelivered) == ("consumer", tag, redelivered)
    assert deliver.routing_key is not None
    assert len(deliver.routing_key.encode()) == len(routing_key)
