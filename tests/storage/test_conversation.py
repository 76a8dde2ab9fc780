"""How transactions begin and end on PostgreSQL, and what becomes of connections on which something went wrong."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Select, bindparam, column, func, literal, select, text

from chfw_sr.service.ports import Unavailable
from chfw_sr.storage.columns import DETAIL, KEY, Instant
from chfw_sr.storage.dialects import SqlDialect, Ways
from chfw_sr.storage.store import SqlStore, create_store
from tests.contract.makers import AT

pytestmark = pytest.mark.postgresql

PID = text("SELECT pg_backend_pid()")


@pytest.fixture
async def store(postgresql_url: str) -> AsyncIterator[SqlStore]:
    store = create_store(postgresql_url)
    yield store
    await store.close()


async def test_a_transaction_in_which_a_statement_failed_cannot_be_committed(store: SqlStore) -> None:
    async with store.database.transaction() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        with pytest.raises(asyncpg.UndefinedTableError):
            await driver.execute("SELECT 1 FROM no_such_table")
        with pytest.raises(RuntimeError, match="ROLLBACK"):
            await connection.commit()


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
