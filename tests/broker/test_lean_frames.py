"""The lean codec against pamqp's, and against octets that are anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, commands, frame, header

from chfw_sr.broker.lean import frames
from chfw_sr.broker.lean.frames import BrokenFrame, FrameReader, Properties

TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
SOME_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
MOST = 4088


@dataclass(frozen=True)
class Publish:
    """A message with all that it is published with."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    type: str
    timestamp: int
    correlation_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def frames(self, channel: int) -> bytes:
        return frames.publish_frame(channel, self.exchange, self.routing_key) + frames.content_frames(
            channel,
            self.body,
            self.message_id,
            self.type,
            self.timestamp,
            self.correlation_id,
            self.headers,
            MOST,
        )


def take_apart(octets: bytes) -> list[tuple[int, object]]:
    """Read frames with pamqp."""
    found = []
    while octets:
        used, channel, value = frame.unmarshal(octets)
        found.append((channel, value))
        octets = octets[used:]
    return found


@given(
    message=st.builds(
        Publish,
        exchange=TEXT,
        routing_key=TEXT,
        body=st.binary(max_size=40) | st.integers(0, 3).map(lambda parts: b"x" * (parts * MOST + 1)),
        message_id=SOME_TEXT,
        type=SOME_TEXT,
        timestamp=st.integers(0, 2**32 - 1),
        correlation_id=st.none() | SOME_TEXT,
        headers=st.dictionaries(TEXT, TEXT, max_size=3),
    ),
    channel=st.integers(1, 2047),
)
def test_what_is_published_reads_as_it_was_meant(message: Publish, channel: int) -> None:
    octets = message.frames(channel)
    (_, method), (_, content), *bodies = found = take_apart(octets)

    assert {each for each, _ in found} == {channel}
    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key) == (message.exchange, message.routing_key)
    assert (method.mandatory, method.immediate) == (True, False)
    assert isinstance(content, header.ContentHeader)
    assert content.body_size == len(message.body)
    properties = content.properties
    assert (properties.content_type, properties.delivery_mode) == ("application/xml", 2)
    assert (properties.message_id, properties.message_type) == (message.message_id, message.type)
    assert properties.timestamp == datetime.fromtimestamp(message.timestamp, UTC)
    assert (properties.headers or {}) == message.headers
    assert properties.correlation_id == message.correlation_id
    assert b"".join(each.value for _, each in bodies) == message.body
    assert all(len(each.value) <= MOST for _, each in bodies)


@pytest.mark.parametrize("name", ["routing_key", "message_id", "type", "correlation_id"])
@pytest.mark.parametrize("value", ["x" * 256, "é" * 128, "\ud800"])
def test_what_does_not_fit_is_refused(name: str, value: str) -> None:
    fields = {"exchange": "", "routing_key": "", "body": b"", "message_id": "m", "type": "t", "timestamp": 0}
    with pytest.raises(ValueError):
        Publish(**fields | {name: value}).frames(1)


def test_properties_larger_than_a_frame_are_refused() -> None:
    message = Publish("", "", b"", "m", "t", 0, headers={"x-chfw-reason": "x" * MOST})
    with pytest.raises(ValueError, match="do not fit one frame"):
        message.frames(1)


@given(
    tag=st.integers(0, 2**63 - 1),
    redelivered=st.booleans(),
    exchange=st.from_regex(r"[a-zA-Z0-9_.:-]{0,127}", fullmatch=True),  # what pamqp lets pass
    key=TEXT.filter(lambda text: len(text.encode()) < 256),
    consumer=SOME_TEXT,
)
def test_a_delivery_is_read_as_pamqp_wrote_it(tag, redelivered, exchange, key, consumer) -> None:
    method = commands.Basic.Deliver(
        consumer_tag=consumer, delivery_tag=tag, redelivered=redelivered, exchange=exchange, routing_key=key
    )
    ((_, _, payload),) = FrameReader(MOST).feed(frame.marshal(method, 1))
    assert payload.startswith(frames.DELIVER)
    assert frames.delivered(payload) == (tag, redelivered, key)


@given(
    properties=st.fixed_dictionaries(
        {},
        optional={
            "content_type": TEXT,
            "content_encoding": TEXT,
            "headers": st.dictionaries(SOME_TEXT, st.integers(0, 99) | TEXT, max_size=3),
            "delivery_mode": st.sampled_from([1, 2]),
            "priority": st.integers(0, 9),
            "correlation_id": TEXT,
            "reply_to": TEXT,
            "expiration": TEXT,
            "message_id": TEXT,
            "timestamp": st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
            "message_type": TEXT,
            "user_id": TEXT,
            "app_id": TEXT,
        },
    ),
    size=st.integers(0, 2**40),
    cut=st.integers(1, 30),
)
def test_properties_are_read_as_pamqp_wrote_them(properties, size, cut) -> None:
    value = header.ContentHeader(0, size, commands.Basic.Properties(**properties))
    ((_, _, payload),) = FrameReader(2**17).feed(frame.marshal(value, 1))
    names = ("correlation_id", "reply_to", "message_id", "user_id")
    assert frames.body_size(payload) == size
    assert frames.properties(payload) == Properties(*(properties.get(name) or None for name in names))
    if len(payload) - cut >= 14:
        found = frames.properties(payload[:-cut])
        assert found in (frames.NO_PROPERTIES, frames.properties(payload))  # what was cut off was none of these


@given(payload=st.binary(min_size=14, max_size=80))
def test_whatever_a_sender_says_is_read_or_ignored(payload: bytes) -> None:
    assert isinstance(frames.properties(payload), Properties)


@given(payload=st.binary(max_size=60))
def test_whatever_a_server_says_is_read_or_broken(payload: bytes) -> None:
    for read in (frames.delivered, frames.settled, frames.body_size):
        try:
            read(payload)
        except BrokenFrame:
            continue


@given(
    parts=st.lists(st.binary(max_size=50), max_size=8),
    cuts=st.lists(st.integers(0, 500), max_size=10),
)
def test_a_stream_gives_the_same_frames_however_it_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame.marshal(body.ContentBody(part), 7) for part in parts)
    reader, found, at = FrameReader(50), [], 0
    for cut in sorted(min(cut, len(stream)) for cut in [*cuts, len(stream)]):
        found += reader.feed(stream[at:cut])
        at = cut
    assert found == [(frames.BODY, 7, part) for part in parts]


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "not a frame"),
        (b"AMQP\x00\x00\x09\x01", "another version"),
        (b"\x03\x00\x01\x00\x00\x00\x33", "51 octets; 50 are agreed on"),
        (b"\x03\x00\x01\x00\x00\x00\x01xx", "kind 3 on channel 1: no frame end after 1 octets"),
        (b"\x04\x00\x01\x00\x00\x00\x01x\xce", "not a frame"),
    ],
)
def test_what_is_no_frame_is_named(octets: bytes, complaint: str) -> None:
    with pytest.raises(BrokenFrame, match=complaint):
        list(FrameReader(50).feed(octets))
