"""How transactions begin and end on PostgreSQL, and what becomes of connections on which something went wrong."""

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Select, Text, bindparam, column, func, literal, select, table, text

from chfw_sr.service.ports import OutboxStatus, Unavailable
from chfw_sr.storage.columns import DETAIL, KEY, Instant
from chfw_sr.storage.dialects import SqlDialect, Ways
from chfw_sr.storage.store import SqlStore, create_store
from tests.contract.makers import AT, HOUR, post

pytestmark = pytest.mark.postgresql

PID = text("SELECT pg_backend_pid()")


@pytest.fixture
def store(postgresql_store: SqlStore) -> SqlStore:
    return postgresql_store


@pytest.mark.parametrize("is_straight", [True, False])
async def test_a_transaction_in_which_a_statement_failed_cannot_be_committed(
    store: SqlStore, *, is_straight: bool
) -> None:
    async with store.database.transaction() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        with pytest.raises(asyncpg.UndefinedTableError):
            await driver.execute("SELECT 1 FROM no_such_table")
        with pytest.raises(RuntimeError, match="ROLLBACK"):
            await (store.database.dialect.commit(connection) if is_straight else connection.commit())


async def test_a_transaction_that_is_committed_through_sqlalchemy_is_committed(store: SqlStore) -> None:
    async with store.database.transaction() as connection:
        await (await connection.get_raw_connection()).driver_connection.execute("CREATE TABLE done (n int)")  # type: ignore[union-attr]
        await connection.commit()
    async with store.database.read() as connection:
        assert (await connection.execute(text("SELECT to_regclass('done')"))).scalar_one() == "done"


async def test_what_is_not_committed_is_undone(store: SqlStore) -> None:
    async with store.database.transaction() as connection:
        await connection.execute(text("CREATE TABLE undone (n int)"))
    async with store.database.read() as connection:
        assert (await connection.execute(text("SELECT to_regclass('undone')"))).scalar_one() is None


async def test_a_connection_that_was_left_amid_a_transaction_is_not_used_again(store: SqlStore) -> None:
    async with store.database.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        left = await driver.fetchval("SELECT pg_backend_pid()")
        await driver.execute("BEGIN")  # of which SQLAlchemy knows nothing
    async with store.database.read() as connection:
        assert (await connection.execute(PID)).scalar_one() != left


async def test_a_connection_that_the_server_ended_is_replaced_when_a_transaction_begins(store: SqlStore) -> None:
    async with store.database.transaction() as first:
        pid = (await first.execute(PID)).scalar_one()
    other = create_store(store.database.engine.url.render_as_string(hide_password=False))
    async with other.database.write() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    await other.close()
    async with store.database.transaction() as again:
        assert (await again.execute(PID)).scalar_one() != pid


async def test_a_connection_whose_end_is_under_way_is_replaced_when_a_transaction_begins(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver has read the server's last word, and not yet that it hung up."""
    async with store.database.transaction() as first:
        pid = (await first.execute(PID)).scalar_one()
    execute, failures = asyncpg.Connection.execute, iter([True])

    async def busy(self: asyncpg.Connection, query: str, *arguments: Any, **options: Any) -> str:
        if next(failures, False):
            raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")
        return await execute(self, query, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, "execute", busy)
    async with store.database.transaction() as again:
        assert (await again.execute(PID)).scalar_one() != pid


async def test_a_connection_that_is_lost_amid_a_transaction_is_unavailable_and_then_replaced(store: SqlStore) -> None:
    with pytest.raises(Unavailable):
        async with store.database.write() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    async with store.database.read() as connection:
        assert (await connection.execute(select(literal(1)))).scalar_one() == 1


@pytest.mark.parametrize(
    ("ways", "barred"),
    [
        (Ways.ANY, set()),
        (Ways.PROBING, {"seqscan", "bitmapscan", "mergejoin", "hashjoin"}),
        (Ways.MATCHING, {"seqscan", "bitmapscan", "mergejoin"}),
    ],
)
async def test_ways_are_limited_for_one_transaction(store: SqlStore, ways: Ways, barred: set[str]) -> None:
    found = text("SELECT name FROM pg_settings WHERE name LIKE 'enable_%' AND setting = 'off'")
    for limited, expected in ((ways, barred), (Ways.ANY, set())):
        async with store.database.transaction(limited) as connection:
            names = (await connection.scalars(found)).all()
            await connection.commit()
        assert {name.removeprefix("enable_") for name in names} & {*barred, "nestloop"} == expected


def barred_ways(_dialect: SqlDialect) -> Select[Any]:
    settings = table("pg_settings", column("name", Text), column("setting", Text)).c
    found = select(settings.name).where(settings.name.startswith("enable_"), settings.setting == "off")
    return found.where(~settings.name.like("enable_partitionwise%")).order_by(settings.name)


@pytest.mark.parametrize(
    ("ways", "barred"),
    [
        (Ways.PROBING, ["bitmapscan", "hashjoin", "mergejoin", "seqscan"]),
        (Ways.MATCHING, ["bitmapscan", "mergejoin", "seqscan"]),
    ],
)
async def test_ways_of_one_statement_alone_are_limited_and_of_no_other(
    store: SqlStore, ways: Ways, barred: list[str]
) -> None:
    found = await store.database.at_once(ways, (barred_ways,), {})
    assert [name.removeprefix("enable_") for (name,) in found] == barred
    assert await store.database.glance(barred_ways) == []
    async with store.database.transaction() as connection:
        assert await store.database.dialect.run(connection, barred_ways) == []


def own_pid(_dialect: SqlDialect) -> Select[Any]:
    return select(func.pg_backend_pid())


async def test_a_connection_for_one_statement_alone_is_replaced_when_the_server_ended_it(store: SqlStore) -> None:
    ((pid,),) = await store.database.at_once(Ways.PROBING, (own_pid,), {})
    async with store.database.write() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    assert await store.database.at_once(Ways.PROBING, (own_pid,), {}) != [(pid,)]


async def test_a_statement_that_does_not_get_through_is_sent_once_more(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await post(store, 1)
    fetch, failures = asyncpg.Connection.fetch, iter([True])

    async def busy(self: asyncpg.Connection, query: str, *arguments: Any, **options: Any) -> list[Any]:
        if next(failures, False):
            raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")
        return await fetch(self, query, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, "fetch", busy)
    assert [each.id for each in await store.outbox.claim("token", 10, AT, 60)] == ids


async def test_a_statement_of_which_the_answer_was_lost_does_no_harm_when_it_is_sent_once_more(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was claimed then comes again when the lease has run out; what was marked is marked."""
    ids = await post(store, 2)
    fetch = asyncpg.Connection.fetch
    losses = iter([True])

    async def lose(self: asyncpg.Connection, query: str, *arguments: Any, **options: Any) -> list[Any]:
        rows = await fetch(self, query, *arguments, **options)
        if next(losses, False):
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return rows

    monkeypatch.setattr(asyncpg.Connection, "fetch", lose)
    assert await store.outbox.claim("lost", 10, AT, 60) == []
    claimed = await store.outbox.claim("next", 10, AT + HOUR, 60)
    assert [each.id for each in claimed] == ids
    losses = iter([True])
    assert await store.outbox.mark("next", claimed[:1], OutboxStatus.PUBLISHED, AT) == 0
    losses = iter([True])
    assert await store.outbox.mark("next", claimed[1:], OutboxStatus.READY, AT) == 0
    assert [(each.status, each.attempts) for each in await store.queries.outbox(None, 10)] == [
        (OutboxStatus.PUBLISHED, 2),
        (OutboxStatus.READY, 2),
    ]


async def test_a_statement_alone_is_not_sent_a_third_time(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    async def lose(*_anything: Any) -> None:
        nonlocal sent
        sent += 1
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    monkeypatch.setattr(asyncpg.Connection, "fetch", lose)
    with pytest.raises(Unavailable):
        await store.outbox.claim("token", 10, AT, 60)
    assert sent == 2


async def test_a_store_that_is_closed_has_no_connection(store: SqlStore, postgresql_url: str) -> None:
    other = create_store(postgresql_url)
    await post(other, 1)
    claimed = await other.outbox.claim("token", 10, AT, 60)
    await other.outbox.mark("token", claimed, OutboxStatus.PUBLISHED, AT)
    count = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        " AND pid <> pg_backend_pid()"
    )
    async with store.database.engine.connect() as connection:
        assert await connection.scalar(count) == 3
        await other.close()
        async with asyncio.timeout(5):
            while await connection.scalar(count):
                await connection.execute(text("SELECT pg_sleep(0.01)"))


async def test_a_reading_transaction_cannot_write(store: SqlStore) -> None:
    with pytest.raises(Exception, match="read-only"):
        async with store.database.read() as connection:
            await connection.execute(text("CREATE TABLE refused (n int)"))


GIVEN = (column("at", Instant), column("detail", DETAIL))


def everything(dialect: SqlDialect) -> Select[Any]:
    given = dialect.given("given", GIVEN).c
    name = bindparam("name", type_=KEY).label("name")
    return select(given.at, given.detail, name, func.count().over(), literal({"a": 1}, DETAIL))


async def test_values_go_and_come_as_through_sqlalchemy(store: SqlStore) -> None:
    dialect = store.database.dialect
    data = [(AT, {"é": [1, None]}), (None, None), (AT, None)]
    parameters = {**dialect.giving("given", GIVEN, data), "name": "ü"}
    async with store.database.transaction() as connection:
        straight = await dialect.run(connection, everything, parameters)
        usual = (await connection.execute(everything(dialect), parameters)).all()
    assert [tuple(row) for row in straight] == [tuple(row) for row in usual]
    assert [(row.at, row.detail, row.name) for row in straight] == [(at, detail, "ü") for at, detail in data]
    assert straight[0]._mapping["detail"] == {"é": [1, None]}


async def test_an_array_that_is_not_given_is_null_and_anything_else_is_missed(store: SqlStore) -> None:
    dialect = store.database.dialect
    async with store.database.transaction() as connection:
        assert await dialect.run(connection, everything, {**dialect.giving("given", GIVEN, []), "name": "ü"}) == []
        with pytest.raises(KeyError, match="name"):
            await dialect.run(connection, everything, dialect.giving("given", GIVEN, [(AT, None)]))


async def test_what_is_read_straight_is_read_in_the_reading_transaction_too(store: SqlStore) -> None:
    def moment(_dialect: SqlDialect) -> Select[Any]:
        return select(func.transaction_timestamp(), func.current_setting("transaction_isolation"))

    async with store.database.read() as connection:
        first, second = [await store.database.dialect.run(connection, moment) for _ in range(2)]
    assert first == second
    assert first[0][1] == "repeatable read"


async def test_a_statement_whose_text_would_change_is_refused(store: SqlStore) -> None:
    def several(_dialect: SqlDialect) -> Select[Any]:
        return select(literal(1)).where(literal("a").in_(bindparam("names", expanding=True)))

    async with store.database.transaction() as connection:
        with pytest.raises(TypeError, match="names"):
            await store.database.dialect.run(connection, several, {"names": ["a"]})
