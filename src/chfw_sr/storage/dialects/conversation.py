"""What is said to PostgreSQL when a transaction begins and ends.

SQLAlchemy takes a connection for one that commits each statement by itself. So a transaction begins when it is opened
(`begin`), with one word to the server, and statements that go past SQLAlchemy belong to it. `commit` ends it likewise;
what goes through SQLAlchemy, a commit or a rollback, says its word by an event.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy import Connection, event, exc
from sqlalchemy.ext.asyncio import AsyncEngine


def attend(engine: AsyncEngine) -> None:
    """Check the connections of an engine, and end its transactions, of which it knows none (`AUTOCOMMIT`)."""
    event.listen(engine.sync_engine, "checkout", _check)
    event.listen(engine.sync_engine, "commit", _commit)
    event.listen(engine.sync_engine, "rollback", _roll_back)


def _check(adapted: Any, _record: object, _proxy: object) -> None:
    """Leave out a connection that is of no use; to ask the server (`pool_pre_ping`) would cost three round trips.

    Raises:
        DisconnectionError: to which SQLAlchemy's answer is another connection.
    """
    if not is_free(adapted.driver_connection):
        raise exc.DisconnectionError("the server closed the connection, or it was left amid a transaction")


def is_free(driver: "asyncpg.Connection[Any]") -> bool:
    """Tell whether a connection may be used for something new."""
    return not driver.is_closed() and not driver.is_in_transaction()


def driver_of(connection: Connection) -> "asyncpg.Connection[Any]":
    """Give the driver's own connection."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, asyncpg.Connection)
    return driver


async def begin(connection: Connection) -> None:
    """Begin the transaction of which the connection's options tell."""
    driver, statement = driver_of(connection), connection.get_execution_options()["chfw_begin"]
    with _ended_with(driver):
        await driver.execute(statement)
    connection.begin()


async def commit(connection: Connection) -> None:
    """Commit the transaction.

    Raises:
        RuntimeError: if the server rolled it back, because a statement in it had failed.
    """
    driver = driver_of(connection)
    with _ended_with(driver):
        _check_commit(await driver.execute("COMMIT"))
    connection.commit()


def _check_commit(said: str) -> None:
    """Look at the server's word: it rolls a transaction back in which a statement had failed, and says so in passing.

    Raises:
        RuntimeError: if it did: whoever passed over a failure must not take this for done.
    """
    if said != "COMMIT":
        raise RuntimeError(f"a transaction in which a statement had failed was committed: {said}")


def _commit(connection: Connection) -> None:
    if driver_of(connection).is_in_transaction():
        _check_commit(_say(connection, "COMMIT"))


def _roll_back(connection: Connection) -> None:
    """Roll back; a connection that cannot is ended, and the server does it."""
    if connection.invalidated:
        return
    driver = driver_of(connection)
    if driver.is_closed() or not driver.is_in_transaction():
        return
    try:
        _say(connection, "ROLLBACK")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        driver.terminate()


def _say(connection: Connection, statement: str) -> str:
    """Have the driver send text to the server as it is, and wait for its word, in SQLAlchemy's greenlet."""
    adapted: Any = connection.connection.dbapi_connection
    with _ended_with(driver_of(connection)):
        said: str = adapted.run_async(lambda driver: driver.execute(statement))
    return said


@contextmanager
def _ended_with(driver: "asyncpg.Connection[Any]") -> Iterator[None]:
    """End a connection of which the server has just said that it ends it, and has not yet done so."""
    try:
        yield
    except asyncpg.InternalClientError:
        driver.terminate()
        raise
