"""Connections that stay in hand: which one is used again, and which one is not."""

from collections import Counter
from contextlib import AsyncExitStack

import asyncpg
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.storage.dialects import Ways
from chfw_sr.storage.store import SqlStore
from tests.contract.makers import AT, post

PID = text("SELECT pg_backend_pid()")


def checked_out(store: SqlStore) -> list[int]:
    """Give how many connections of each engine are not in its pool."""
    return [each.pool.checkedout() for each in store.database.engines]  # type: ignore[attr-defined]


async def driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, asyncpg.Connection)
    return driver


@pytest.mark.postgresql
async def test_what_comes_again_and_again_has_its_connections_from_the_pool_once(postgresql_store: SqlStore) -> None:
    had: Counter[object] = Counter()
    for engine in postgresql_store.database.engines:
        event.listen(engine.sync_engine, "checkout", lambda _driver, _record, proxy: had.update([type(proxy)]))
    await post(postgresql_store, 1)
    await postgresql_store.outbox.claim("first", 10, AT, 60)
    before = had.total()
    for number in range(5):
        await post(postgresql_store, 1)
        await postgresql_store.outbox.claim(str(number), 10, AT, 60)
    assert had.total() == before > 0


@pytest.mark.postgresql
@pytest.mark.parametrize("ways", Ways)
async def test_as_many_are_kept_as_the_dialect_says_and_the_others_go_back(
    postgresql_store: SqlStore, ways: Ways
) -> None:
    database = postgresql_store.database
    async with AsyncExitStack() as stack:
        for _ in range(database.dialect.kept + 2):
            connection = await stack.enter_async_context(database.transaction(ways))
            await database.dialect.commit(connection)
        assert checked_out(postgresql_store)[0] == database.dialect.kept + 2
    assert checked_out(postgresql_store)[0] == database.dialect.kept
    await database.dispose()
    assert not any(checked_out(postgresql_store))


async def test_one_that_was_not_committed_goes_back_and_is_rolled_back(store: SqlStore) -> None:
    async with store.database.transaction() as connection:
        await connection.execute(text("CREATE TABLE undone (n int)"))
    assert not any(checked_out(store))
    async with store.database.write() as connection:
        await connection.execute(text("CREATE TABLE undone (n int)"))


async def test_one_on_which_something_failed_goes_back_though_it_was_committed(store: SqlStore) -> None:
    async def fail_afterwards() -> None:
        async with store.database.transaction() as connection:
            await store.database.dialect.commit(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_afterwards()
    assert not any(checked_out(store))


@pytest.mark.postgresql
async def test_one_that_somebody_left_amid_a_transaction_is_not_used_again(postgresql_store: SqlStore) -> None:
    database = postgresql_store.database
    async with database.write() as connection:
        driver = await driver_of(connection)
        pid = (await connection.execute(PID)).scalar_one()
    await driver.execute("BEGIN")  # of which nobody knows
    async with database.transaction() as connection:
        assert (await connection.execute(PID)).scalar_one() != pid


@pytest.mark.postgresql
async def test_one_that_was_closed_meanwhile_is_not_used_again(postgresql_store: SqlStore) -> None:
    database = postgresql_store.database
    async with database.write() as connection:
        driver = await driver_of(connection)
    driver.terminate()
    async with database.write() as connection:
        assert await driver_of(connection) is not driver


@pytest.mark.postgresql
async def test_a_transaction_knows_no_setting_of_the_one_before(postgresql_store: SqlStore) -> None:
    database = postgresql_store.database
    found = text("SELECT current_setting('plan_cache_mode')")
    async with database.write(Ways.KEPT) as connection:
        pid = (await connection.execute(PID)).scalar_one()
        assert (await connection.execute(found)).scalar_one() == "force_generic_plan"
        await database.dialect.plan_anew(connection)
        assert (await connection.execute(found)).scalar_one() == "force_custom_plan"
    async with database.write(Ways.KEPT) as connection:
        assert (await connection.execute(PID)).scalar_one() == pid, "it is the same connection"
        assert (await connection.execute(found)).scalar_one() == "force_generic_plan"
