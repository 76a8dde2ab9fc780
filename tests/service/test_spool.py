"""A folder as bus: what comes in, what goes out, and what a crash leaves."""

import asyncio
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult, Unavailable
from chfw_sr.service.spool import SpoolConsumer, SpoolPublisher

AT = datetime(2027, 1, 4, tzinfo=UTC)
ALPHA = "90-B3-D5-1F-30-01-00-00"
PATIENCE_SECONDS = 20


@pytest.fixture
def consumer(tmp_path) -> SpoolConsumer:
    return SpoolConsumer(tmp_path, max_octets=100, idle_seconds=0.001)


def drop(folder: Path, name: str, octets: bytes = b"<a/>") -> None:
    partial = folder / f"{name}.part"
    partial.write_bytes(octets)
    partial.rename(folder / "in" / name)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def received(consumer: SpoolConsumer, limit: int = 10):
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await consumer.receive(limit, 0)


async def test_files_come_in_order_of_name_and_are_moved_once_acknowledged(tmp_path, consumer) -> None:
    for name in ("b.xml", "a.xml", "c.xml"):
        drop(tmp_path, name, name.encode())

    first = await received(consumer, 2)
    assert [(each.source, each.octets) for each in first] == [("a.xml", b"a.xml"), ("b.xml", b"b.xml")]
    assert names(tmp_path / "in") == ["a.xml", "b.xml", "c.xml"]

    await consumer.acknowledge(first)
    assert names(tmp_path / "in") == ["c.xml"]
    assert names(tmp_path / "done") == ["a.xml", "b.xml"]
    assert [each.source for each in await received(consumer)] == ["c.xml"]


async def test_what_was_not_acknowledged_comes_again_after_a_crash(tmp_path, consumer) -> None:
    drop(tmp_path, "a.xml")
    await received(consumer)
    after = SpoolConsumer(tmp_path, max_octets=100, idle_seconds=0.001)
    assert [each.source for each in await received(after)] == ["a.xml"]


async def test_what_is_held_is_not_handed_out_twice_until_it_is_given_back(tmp_path, consumer) -> None:
    drop(tmp_path, "a.xml")
    held = await received(consumer)
    drop(tmp_path, "b.xml")
    assert [each.source for each in await received(consumer)] == ["b.xml"]
    await consumer.requeue(held)
    assert [each.source for each in await received(consumer)] == ["a.xml"]


async def test_a_file_that_is_being_moved_away_is_not_taken_for_a_new_one(tmp_path, consumer, monkeypatch) -> None:
    drop(tmp_path, "a.xml")
    held = await received(consumer)
    moving, may_move, move = asyncio.Event(), threading.Event(), consumer._move
    loop = asyncio.get_running_loop()

    def slowly(names):
        loop.call_soon_threadsafe(moving.set)
        assert may_move.wait(PATIENCE_SECONDS)
        move(names)

    monkeypatch.setattr(consumer, "_move", slowly)
    acknowledging = asyncio.create_task(consumer.acknowledge(held))
    await asyncio.wait_for(moving.wait(), PATIENCE_SECONDS)
    assert consumer._take(10) == []
    may_move.set()
    await acknowledging
    assert names(tmp_path / "done") == ["a.xml"]


async def test_an_empty_folder_is_waited_for(tmp_path, consumer) -> None:
    waiting = asyncio.create_task(received(consumer))
    drop(tmp_path, "late.xml")
    assert [each.source for each in await waiting] == ["late.xml"]


async def test_only_finished_xml_files_are_taken(tmp_path, consumer) -> None:
    inbox = tmp_path / "in"
    (inbox / "half.xml.part").write_bytes(b"<")
    (inbox / ".hidden.xml").write_bytes(b"<")
    (inbox / "folder.xml").mkdir()
    (inbox / "link.xml").symlink_to("/etc/hostname")
    drop(tmp_path, "real.xml")
    assert [each.source for each in await received(consumer)] == ["real.xml"]


async def test_of_a_file_that_is_too_large_enough_is_read_to_refuse_it(tmp_path, consumer) -> None:
    drop(tmp_path, "large.xml", b"x" * 1000)
    (delivery,) = await received(consumer)
    assert len(delivery.octets) == 101


async def test_a_name_that_is_taken_in_done_gets_a_number(tmp_path, consumer) -> None:
    for octets in (b"1", b"2", b"3"):
        drop(tmp_path, "a.xml", octets)
        await consumer.acknowledge(await received(consumer))
    done = tmp_path / "done"
    assert {each.name: each.read_bytes() for each in done.iterdir()} == {
        "a.xml": b"1",
        "a.2.xml": b"2",
        "a.3.xml": b"3",
    }


async def test_a_file_that_was_taken_away_meanwhile_is_no_trouble(tmp_path, consumer, caplog) -> None:
    drop(tmp_path, "a.xml")
    drop(tmp_path, "b.xml")
    (first,) = await received(consumer, 1)
    (tmp_path / "in" / "a.xml").unlink()
    (tmp_path / "in" / "b.xml").unlink()
    await consumer.acknowledge([first])
    drop(tmp_path, "c.xml")
    assert [each.source for each in await received(consumer)] == ["c.xml"]
    assert "a.xml was taken away" in caplog.text


async def test_a_file_that_cannot_be_read_is_said_once_and_holds_up_nobody(tmp_path, consumer, caplog, monkeypatch):
    real = Path.open

    def open_(path, *arguments, **options):
        if path.name == "bad.xml":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_)
    drop(tmp_path, "bad.xml")
    drop(tmp_path, "good.xml")
    await consumer.acknowledge(await received(consumer))
    drop(tmp_path, "other.xml")
    assert [each.source for each in await received(consumer)] == ["other.xml"]
    assert caplog.text.count("bad.xml stays where it is") == 1


async def test_a_folder_that_is_gone_is_unavailable(tmp_path, consumer) -> None:
    assert consumer.is_there()
    (tmp_path / "in").rmdir()
    with pytest.raises(Unavailable, match="spool"):
        await received(consumer)
    assert not consumer.is_there()


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path, consumer) -> None:
    drop(tmp_path, "a.xml")
    held = await received(consumer)
    (tmp_path / "done").rmdir()
    (tmp_path / "done").write_bytes(b"in the way")
    with pytest.raises(Unavailable, match="spool"):
        await consumer.acknowledge(held)
    (tmp_path / "done").unlink()
    (tmp_path / "done").mkdir()
    await consumer.acknowledge(await received(consumer))
    assert names(tmp_path / "done") == ["a.xml"]


async def test_it_tells_how_many_files_wait(tmp_path, consumer) -> None:
    assert consumer.waiting == 0
    for number in range(3):
        drop(tmp_path, f"{number}.xml")
    await received(consumer, 1)
    assert consumer.waiting == 3


# ----------------------------------------------------------------------------------------------------------- publisher


def message(number: int, kind: MessageKind = MessageKind.ALERT, **fields) -> OutboxMessage:
    known = {"recipient": ALPHA, "message_id": f"m{number}", "type": "N64", "octets": b"<%d/>" % number}
    return OutboxMessage(id=number, kind=kind, created_at=AT, **known | fields)


async def test_messages_are_laid_out_as_by_replay_and_named_by_their_number(tmp_path) -> None:
    results = await SpoolPublisher(tmp_path).publish(
        [
            message(7),
            message(8, MessageKind.RESPONSE, type="11.6", headers={"x-chfw-code": "I99"}),
            message(9, MessageKind.QUARANTINE, recipient="", type="E900", headers={"x-chfw-reason": "why"}),
        ]
    )
    assert results == [PublishResult.CONFIRMED] * 3
    out = tmp_path / "out"
    assert (out / "alerts" / ALPHA / "000000000007-N64.xml").read_bytes() == b"<7/>"
    assert (out / "responses" / ALPHA / "000000000008-I99.xml").read_bytes() == b"<8/>"
    assert (out / "quarantine" / "000000000009-E900.xml").read_bytes() == b"<9/>"
    assert json.loads((out / "quarantine" / "000000000009-E900.json").read_text()) == {"x-chfw-reason": "why"}


async def test_a_message_that_is_emitted_again_takes_the_same_place(tmp_path) -> None:
    publisher = SpoolPublisher(tmp_path)
    for _ in range(2):
        await publisher.publish([message(7)])
    assert names(tmp_path / "out" / "alerts" / ALPHA) == ["000000000007-N64.xml"]


async def test_nobody_waits_for_a_reply(tmp_path) -> None:
    results = await SpoolPublisher(tmp_path).publish([message(1, MessageKind.REPLY, recipient="q"), message(2)])
    assert results == [PublishResult.UNROUTABLE, PublishResult.CONFIRMED]
    assert names(tmp_path / "out") == ["alerts"]


async def test_a_half_written_message_has_no_name(tmp_path, monkeypatch) -> None:
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        await SpoolPublisher(tmp_path).publish([message(1)])
    assert not [each for each in (tmp_path / "out").rglob("*.xml") if not each.name.startswith(".")]
