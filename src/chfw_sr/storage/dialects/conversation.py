"""What is said to PostgreSQL when a transaction begins and ends.

SQLAlchemy takes a connection for one that commits each statement by itself, and its events tell when to say what. So a
transaction begins when it is opened, with one word to the server, and statements that go past SQLAlchemy belong to it.
"""

from typing import Any

import asyncpg
from sqlalchemy import Connection, event, exc
from sqlalchemy.ext.asyncio import AsyncEngine


def attend(engine: AsyncEngine) -> None:
    """Begin and end the transactions of an engine that knows of none (`AUTOCOMMIT`)."""
    event.listen(engine.sync_engine, "checkout", _check)
    event.listen(engine.sync_engine, "begin", _begin)
    event.listen(engine.sync_engine, "commit", _commit)
    event.listen(engine.sync_engine, "rollback", _roll_back)


def _check(adapted: Any, _record: object, _proxy: object) -> None:
    """Leave out a connection that is of no use; to ask the server (`pool_pre_ping`) would cost three round trips.

    Raises:
        DisconnectionError: to which SQLAlchemy's answer is another connection.
    """
    if adapted.driver_connection.is_closed():
        raise exc.DisconnectionError("the server closed the connection")
    if adapted.driver_connection.is_in_transaction():
        raise exc.DisconnectionError("it was left amid a transaction")


def driver_of(connection: Connection) -> "asyncpg.Connection[Any]":
    """Give the driver's own connection."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, asyncpg.Connection)
    return driver


def _begin(connection: Connection) -> None:
    statement = connection.get_execution_options().get("chfw_begin")
    if statement:
        _say(connection, statement)


def _commit(connection: Connection) -> None:
    """Commit; the server rolls a transaction back in which a statement had failed, and says so in passing.

    Raises:
        RuntimeError: if it did: whoever passed over a failure must not take this for done.
    """
    if driver_of(connection).is_in_transaction() and (done := _say(connection, "COMMIT")) != "COMMIT":
        raise RuntimeError(f"a transaction in which a statement had failed was committed: {done}")


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
    try:
        said: str = adapted.run_async(lambda driver: driver.execute(statement))
    except asyncpg.InternalClientError:  # the server has just said that it ends the connection, and has not yet done so
        driver_of(connection).terminate()
        raise
    return said
