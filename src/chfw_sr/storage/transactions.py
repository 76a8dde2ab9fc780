"""Transactions: one that reads, one that writes, and the errors of both in the service's words."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chfw_sr.service.ports import Unavailable

from .dialects import SqlDialect, Ways
from .fresh import Fresh
from .witnesses import Witnesses


class Database:
    """An engine with its dialect.

    Args:
        engine: where to connect.
        dialect: what is particular about it.
        fresh: keeps what was just put into the outbox.
    """

    def __init__(self, engine: AsyncEngine, dialect: SqlDialect, fresh: Fresh) -> None:
        self.engine = engine
        self.dialect = dialect
        self.fresh = fresh
        self.known_lanes: set[str] = set()  # lanes are never deleted: what was there once need not be put in again
        self.witnesses = Witnesses()
        self._reader = engine.execution_options(**dialect.reading)
        self._glancer = engine.execution_options(**dialect.glancing)
        self._writer = engine.execution_options(**dialect.writing)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn the errors of a database that is busy or away, and of a lost race, into `Unavailable`."""
        try:
            yield
        except Exception as error:
            if self.dialect.is_transient(error) or self.dialect.is_duplicate(error):
                cause = error.orig if isinstance(error, DBAPIError) else error
                raise Unavailable(f"the database is busy or away: {cause}") from error
            raise

    @asynccontextmanager
    async def transaction(self, ways: Ways = Ways.ANY) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes; whoever opens it commits. Errors within are not translated."""
        with self.guard():
            connection = await self._begun(ways)
        try:
            yield connection
        finally:
            await connection.close()

    async def _begun(self, ways: Ways) -> AsyncConnection:
        """Begin; once more with a new connection if a server that was restarted meanwhile does not know the first."""
        for is_last in (False, True):
            connection = await self._writer.connect()
            try:
                await self.dialect.begin(connection, ways)
            except BaseException as error:
                await connection.close()
                if is_last or not self.dialect.is_lost(error):
                    raise
                await self.engine.dispose()  # the other ones that wait to be used are hardly better
            else:
                return connection
        raise AssertionError  # the last try returns or raises

    @asynccontextmanager
    async def write(self, ways: Ways = Ways.ANY) -> AsyncIterator[AsyncConnection]:
        """Write in one go: committed at the end, unless an exception is raised.

        Args:
            ways: see `SqlDialect.begin`.
        """
        async with self.transaction(ways) as connection:
            with self.guard():
                yield connection
                await connection.commit()

    async def sweep(self, *targets: Table) -> None:
        """Make place in tables whose rows come and go."""
        with self.guard():
            await self.dialect.sweep(self.engine, targets)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Read as of one moment."""
        with self.guard():
            async with self._reader.connect() as connection:
                await connection.begin()  # now, for a statement that goes straight to the driver begins nothing
                yield connection

    async def glance(self, build: Callable[..., Executable]) -> Sequence[Any]:
        """Read by one statement alone, which needs no transaction; see `SqlDialect.run`."""
        with self.guard():
            async with self._glancer.connect() as connection:
                return await self.dialect.run(connection, build)
