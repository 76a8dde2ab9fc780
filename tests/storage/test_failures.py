"""What goes wrong with a database, told in the service's words; and what is particular to SQLite."""

import asyncio
import sqlite3
import weakref
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Hub
from chfw_sr.service.ports import ImportCount, Unavailable, UserRecord
from chfw_sr.storage import migrations
from chfw_sr.storage.dialects import dialect_of
from chfw_sr.storage.store import SqlStore, create_store
from chfw_sr.storage.tables import hubs
from tests.contract.makers import ALICE, AT, BOB, C1, CAUSE, claim, create, hub, message, record, stock, trusted, user


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("mysql://host/name", "no such kind"), ("nonsense", "not the URL"), ("", "not the URL")],
)
def test_other_urls_are_refused(wrong: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        create_store(wrong)


@pytest.mark.parametrize("driverless", ["sqlite:///file", "postgresql://host/name"])
async def test_the_driver_need_not_be_named(driverless: str) -> None:
    store = create_store(driverless)
    assert store.database.engine.dialect.is_async
    await store.close()


def test_nothing_connects_before_it_is_used(tmp_path: Path) -> None:
    store = create_store(f"sqlite+aiosqlite:///{tmp_path / 'never.sqlite3'}")
    for door in (store.outbox, store.register, store.queries, store.begin()):
        assert door
    asyncio.run(store.close())
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    store = create_store(f"sqlite+aiosqlite:///{tmp_path / 'missing' / 'file.sqlite3'}")
    with pytest.raises(Unavailable, match="unable to open"):
        async with store.begin():
            pass
    await store.close()


async def test_a_missing_schema_is_a_defect_and_not_unavailable(empty_url: str) -> None:
    store = create_store(empty_url)
    with pytest.raises(DBAPIError):
        await store.queries.campaigns()
    await store.close()


async def test_a_second_writer_of_sqlite_waits_at_the_beginning_and_not_for_ever(
    sqlite_url: str,
) -> None:
    first, second = create_store(sqlite_url), create_store(sqlite_url, lock_timeout_ms=50)
    async with first.begin():
        with pytest.raises(Unavailable, match="locked"):
            async with second.begin():
                pass
        assert await second.queries.campaigns() == []
    async with second.begin() as work:
        await work.claim([claim(1)])
    await first.close()
    await second.close()


async def test_sqlite_is_opened_for_keeps(sqlite_url: str) -> None:
    store = create_store(sqlite_url)
    async with store.database.write() as connection:
        for pragma, value in (
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("busy_timeout", 15_000),
        ):
            assert await connection.scalar(text(f"PRAGMA {pragma}")) == value
    await store.close()


async def test_a_database_in_memory_has_one_connection_and_keeps_what_it_is_given() -> None:
    store = create_store("sqlite+aiosqlite:///:memory:")
    await migrations.upgrade(store)
    await asyncio.gather(*(stock(store, hub(number)) for number in range(5)))
    async with store.begin() as work:
        assert len((await work.facts(Needs(hubs=tuple(hub(n).eui for n in range(5))))).hubs) == 5
    await store.close()


async def test_after_an_error_a_unit_of_work_rolls_back_whole(store: SqlStore) -> None:
    async with store.begin() as work:
        await work.claim([claim(1)])
        await work.finish([record(claim(1))])
        number = await work.reserve(1)
        await work.enqueue([message(number)])
        await work.enqueue([message(number)])
        with pytest.raises(RuntimeError, match="used already"):
            await work.commit()
    assert await store.queries.outbox(None, 10) == []
    assert await store.queries.inbox(10) == []


async def test_a_repeated_id_in_a_bulk_is_found_too(store: SqlStore) -> None:
    """PostgreSQL takes many rows by another way than few."""
    async with store.begin() as work:
        first = await work.reserve(1000)
        await work.enqueue([message(first + n % 999) for n in range(1000)])
        with pytest.raises(RuntimeError, match="used already"):
            await work.commit()


async def test_an_error_that_is_neither_busy_nor_a_race_is_not_disguised(store: SqlStore) -> None:
    async with store.begin() as work:
        await work.enqueue([message(1, octets=None)])
        with pytest.raises((DBAPIError, asyncpg.NotNullViolationError)) as caught:
            await work.commit()
    assert not store.database.dialect.is_transient(caught.value)


async def test_a_big_batch_is_stored_like_a_small_one(store: SqlStore) -> None:
    async with store.begin() as work:
        first = await work.reserve(600)
        sent = [message(first + n, headers={"x": "é", "n": str(n)}, correlation_id=None) for n in range(600)]
        await work.enqueue(sent)
        await work.commit()
    assert [entry.message for entry in await store.queries.outbox(None, 1000)] == sent


async def test_a_certificate_that_is_there_twice_is_refused_and_nothing_saved(store: SqlStore) -> None:
    twice = UserRecord(user(ALICE), (trusted(ALICE, 1), trusted(ALICE, 1)))
    with pytest.raises(ValueError, match="there twice"):
        await store.register.save_users([twice], AT)
    await store.register.save_users([UserRecord(user(BOB), (trusted(BOB, 2),))], AT)
    with pytest.raises(ValueError, match="there twice"):
        await store.register.save_users([UserRecord(user(ALICE), (trusted(ALICE, 2),))], AT)
    assert [record.user.eui for record in await store.register.users()] == [BOB]


async def test_a_certificate_of_somebody_else_is_refused_and_nothing_saved(store: SqlStore) -> None:
    with pytest.raises(ValueError, match="of nobody here"):
        await store.register.save_users([UserRecord(user(ALICE), (trusted(BOB, 1),))], AT)
    assert await store.register.users() == []


class _Chunk(list[Hub]):
    """A list that can be watched."""

    __hash__ = object.__hash__


async def test_an_import_holds_one_chunk_at_a_time(store: SqlStore) -> None:
    alive: weakref.WeakSet[_Chunk] = weakref.WeakSet()
    most = 0

    async def chunks() -> AsyncIterator[Sequence[Hub]]:
        nonlocal most
        for start in range(0, 5000, 500):
            chunk = _Chunk(hub(number) for number in range(start, start + 500))
            alive.add(chunk)
            most = max(most, len(alive))
            yield chunk
            del chunk

    assert await store.register.import_hubs(chunks(), AT) == ImportCount(added=5000)
    assert most <= 2


async def test_an_error_of_the_file_that_is_imported_is_not_the_databases(store: SqlStore) -> None:
    async def chunks() -> AsyncIterator[Sequence[Hub]]:
        yield [hub(1)]
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        await store.register.import_hubs(chunks(), AT)
    assert await store.queries.hub(hub(1).eui) is None


async def test_an_import_may_follow_an_import_on_the_same_connection(store: SqlStore) -> None:
    await stock(store, hub(1), hub(2))
    await stock(store, hub(2), hub(3))
    assert (await store.queries.hub(hub(1).eui)) is not None


async def test_temporary_tables_do_not_leak_into_the_next_transaction(store: SqlStore) -> None:
    await stock(store, hub(1), hub(2))
    await create(store)
    for _ in range(2):
        async with store.begin() as work:
            assert (await work.facts(Needs(campaign=C1, remaining=True))).remaining == {ALICE: 2}
            assert (await work.facts(Needs(campaign=C1, remaining=True))).remaining == {ALICE: 2}
            await work.commit()


async def test_nothing_may_be_nothing(store: SqlStore) -> None:
    async with store.begin() as work:
        await work.claim([])
        await work.finish([])
        await work.apply([], CAUSE)
        await work.enqueue([])
        await work.quarantine([])
        await store.database.dialect.load(work._connection, hubs, ["eui"], [])  # type: ignore[attr-defined]
        await work.commit()
    await store.register.save_users([], AT)
    assert await store.outbox.mark("token", [], "Ready", AT) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "transient"),
    [("SQLITE_BUSY", True), ("SQLITE_FULL", True), ("SQLITE_ERROR", False), ("SQLITE_CORRUPT", False)],
)
def test_errors_of_sqlite_are_sorted(name: str, transient: bool) -> None:
    dialect, _ = dialect_of("sqlite://")
    error = sqlite3.OperationalError("…")
    error.sqlite_errorcode = getattr(sqlite3, name)  # type: ignore[misc]
    assert dialect.is_transient(OperationalError("…", None, error)) is transient
    assert dialect.is_transient(error) is transient


@pytest.mark.parametrize(
    ("state", "transient"),
    [
        ("08006", True),
        ("40001", True),
        ("40P01", True),
        ("53300", True),
        ("55P03", True),
        ("57P01", True),
        ("23505", False),
        ("42P01", False),
    ],
)
def test_errors_of_postgresql_are_sorted(state: str, transient: bool) -> None:
    dialect, _ = dialect_of("postgresql://host/name")
    error = Exception("…")
    error.sqlstate = state  # type: ignore[attr-defined]
    assert dialect.is_transient(DBAPIError("…", None, error)) is transient
    assert dialect.is_duplicate(DBAPIError("…", None, error)) is (state == "23505")


@pytest.mark.parametrize("url", ["sqlite://", "postgresql://host/name"])
@pytest.mark.parametrize("error", [PoolTimeout("no connection is free"), OSError("refused")])
def test_a_connection_that_cannot_be_had_is_transient(url: str, error: Exception) -> None:
    dialect, _ = dialect_of(url)
    assert dialect.is_transient(error) is (isinstance(error, PoolTimeout) or url.startswith("postgresql"))


async def test_blocks_of_ids_that_another_came_between_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks that do not follow each other hold no consecutive ids."""
    given = iter([[(3,), (5,)], [(6,), (7,)]])

    async def run(*_anything: object) -> list[tuple[int]]:
        return next(given)

    dialect, _ = dialect_of("postgresql://host/name")
    monkeypatch.setattr(dialect, "run", run)
    assert await dialect.reserve(None, 2**16 + 1) == 6 * 2**16  # type: ignore[arg-type]
