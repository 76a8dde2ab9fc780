"""What goes into a column comes out of it, and sorts as Python sorts it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import column, func, insert, select, text
from sqlalchemy.exc import StatementError

from chfw_sr.storage.store import SqlStore
from chfw_sr.storage.tables import beats, hubs
from tests.contract.makers import AT, hub, stock

TIMES = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 3, 1, 12, tzinfo=UTC),
    datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 3, 1, 12, 0, 0, 100_000, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]


async def test_times_keep_their_microseconds_and_their_order(store: SqlStore) -> None:
    async with store.database.write() as connection:
        await connection.execute(insert(beats), [{"name": str(n), "at": at} for n, at in enumerate(TIMES)])
        found = (await connection.scalars(select(beats.c.at).order_by(beats.c.at.desc()))).all()
        assert found == TIMES[::-1]
        assert {at.tzinfo for at in found} == {UTC}
        assert await connection.scalar(select(func.count()).where(beats.c.at <= TIMES[2])) == 3
        assert await connection.scalar(select(func.max(beats.c.at))) == TIMES[-1]


async def test_a_time_of_another_zone_is_stored_as_the_instant_that_it_is(store: SqlStore) -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    async with store.database.write() as connection:
        await connection.execute(insert(beats).values(name="a", at=elsewhere))
        assert await connection.scalar(select(beats.c.at).where(beats.c.at == AT)) == AT


async def test_a_naive_time_is_refused(store: SqlStore) -> None:
    async with store.database.write() as connection:
        with pytest.raises(StatementError, match="without an offset"):
            await connection.execute(insert(beats).values(name="a", at=AT.replace(tzinfo=None)))


async def test_identifiers_sort_by_code_point(store: SqlStore) -> None:
    names = ["B", "a", "A-b", "A_b", "Ab", "é", "A.b", "a1", "A1"]
    await stock(store, *(hub(number, model=name) for number, name in enumerate(names)))
    async with store.database.read() as connection:
        found = (await connection.scalars(select(hubs.c.model).order_by(hubs.c.model))).all()
    assert found == sorted(names)


async def test_values_become_a_table(store: SqlStore) -> None:
    columns = [hubs.c.eui, hubs.c.last_activation_at, column("number", beats.c.at.type)]
    data = [("a'b\"\\", TIMES[1], None), ("é\n", None, TIMES[2])]
    rows = store.database.dialect.rows("given", columns, data)
    nothing = store.database.dialect.rows("given", columns, [])
    async with store.database.read() as connection:
        found = await connection.execute(select(rows).order_by(rows.c.eui))
        assert [tuple(row) for row in found] == data
        assert (await connection.execute(select(nothing))).all() == []


@pytest.mark.parametrize("table", ["history", "activations"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET request_id = NULL", "DELETE FROM {}"])
async def test_history_is_only_ever_added_to(store: SqlStore, table: str, statement: str) -> None:
    async with store.database.write() as connection:
        if table == "history":
            into = "history (at, kind, detail) VALUES ('2026-01-01T00:00:00.000000Z', 'K', '{}')"
        else:
            into = (
                "activations (hub, firmware_version, at, result, effective, recorded_at) "
                "VALUES ('H', '1', '2026-01-01T00:00:00.000000Z', 'Success', true, '2026-01-01T00:00:00.000000Z')"
            )
        await connection.execute(text(f"INSERT INTO {into}"))
    with pytest.raises(Exception, match="only ever added"):
        async with store.database.write() as connection:
            await connection.execute(text(statement.format(table)))
    async with store.database.read() as connection:
        assert await connection.scalar(text(f"SELECT count(*) FROM {table}")) == 1
