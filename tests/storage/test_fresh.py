"""What a process put into the outbox itself: published from its memory, and read where it is not there."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from chfw_sr.service.ports import OutboxMessage, OutboxStatus
from chfw_sr.storage.fresh import Fresh
from chfw_sr.storage.store import SqlStore
from tests.contract.makers import AT, mark, message, post


@contextmanager
def reading(store: SqlStore) -> Iterator[list[str]]:
    """Catch statements that read octets."""
    caught: list[str] = []

    def catch(_c: object, _u: object, statement: str, *_rest: object) -> None:
        if "octets" in statement and not statement.startswith(("INSERT", "COPY")):
            caught.append(statement)

    engines = [engine.sync_engine for engine in store.database.engines]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", catch)
    try:
        yield caught
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", catch)


async def claim(store: SqlStore, token: str = "t", limit: int = 100) -> list[int]:
    return [each.id for each in await store.outbox.claim(token, limit, AT, 60)]


def messages(*sizes: int) -> list[OutboxMessage]:
    return [message(number, octets=b"x" * size) for number, size in enumerate(sizes)]


def test_messages_are_given_once() -> None:
    fresh, put = Fresh(), messages(1, 1, 1)
    fresh.keep(put)
    assert fresh.take([2, 7, 0]) == {2: put[2], 0: put[0]}
    assert fresh.take([0, 1, 2]) == {1: put[1]}


def test_the_oldest_are_forgotten_first() -> None:
    fresh, put = Fresh(25), messages(10, 10, 10, 10)
    fresh.keep(put[:2])
    fresh.keep(put[2:])
    assert fresh.take(range(4)) == {2: put[2], 3: put[3]}
    fresh.keep(put[:2])
    assert len(fresh.take(range(4))) == 2, "what was taken counts no more"


def test_a_message_larger_than_all_room_is_not_kept() -> None:
    fresh = Fresh(5)
    fresh.keep(messages(10))
    assert fresh.take([0]) == {}


def test_without_room_nothing_is_kept() -> None:
    fresh = Fresh(0)
    fresh.keep(messages(0, 1))
    assert fresh.take([0, 1]) == {}


async def test_what_was_put_in_here_is_not_read_back(store: SqlStore) -> None:
    ids = await post(store, 3)
    with reading(store) as caught:
        assert await claim(store) == ids
    assert caught == []


async def test_what_is_claimed_again_is_read(store: SqlStore) -> None:
    ids = await post(store, 2)
    await claim(store)
    await mark(store, "t", ids, OutboxStatus.READY, AT)
    with reading(store) as caught:
        assert await claim(store, "u") == ids
    assert len(caught) == 1


async def test_some_are_here_and_some_are_read(store: SqlStore) -> None:
    elsewhere = await post(store, 2)
    store.database.fresh = Fresh()
    here = await post(store, 2)
    with reading(store) as caught:
        claimed = await store.outbox.claim("t", 100, AT, 60)
    assert len(caught) == 1
    assert [each.id for each in claimed] == [*elsewhere, *here]
    assert list(claimed) == [each.message for each in await store.queries.outbox(OutboxStatus.CLAIMED, 9)]


async def test_what_was_rolled_back_is_not_kept(store: SqlStore) -> None:
    async with store.begin() as work:
        number = await work.reserve(1)
        await work.enqueue([message(number)])
    assert store.database.fresh.take([number]) == {}


@pytest.mark.parametrize("room", [0, 10**6])
async def test_a_claim_is_cut_alike_from_memory_and_from_the_database(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr("chfw_sr.storage.outbox.MOST_OCTETS", 2500)
    store.database.fresh = Fresh(room)
    async with store.begin() as work:
        first = await work.reserve(5)
        await work.enqueue([message(first + number, octets=b"x" * 1000) for number in range(5)])
        await work.commit()
    assert await claim(store, "one") == [first, first + 1, first + 2]
    await mark(store, "one", [first, first + 1, first + 2], OutboxStatus.PUBLISHED, AT)
    with reading(store) as caught:
        assert await claim(store, "two") == [first + 3, first + 4]
    assert bool(caught) is (room == 0), "what was not claimed after all is kept"
