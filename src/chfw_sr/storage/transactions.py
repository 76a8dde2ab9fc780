"""Transactions: one that reads, one that writes, and the errors of both in the service's words."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Executable, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chfw_sr.service.ports import Unavailable

from .dialects import SqlDialect, Step, Ways
from .fresh import Fresh
from .witnesses import Witnesses

Result = TypeVar("Result")


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
        self._limited = {ways: dialect.limited(engine, ways) for ways in (Ways.PROBING, Ways.MATCHING)}

    @property
    def engines(self) -> Sequence[AsyncEngine]:
        """Every engine that statements go through."""
        return tuple(dict.fromkeys((self.engine, *self._limited.values())))

    async def dispose(self) -> None:
        """Give up all connections, but for those that are being used."""
        for engine in self.engines:
            await engine.dispose()

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
            connection, _ = await self._started(self._writer, partial(self.dialect.begin, ways=ways))
        try:
            yield connection
        finally:
            await connection.close()

    async def _started(
        self, engine: AsyncEngine, start: Callable[[AsyncConnection], Awaitable[Result]]
    ) -> tuple[AsyncConnection, Result]:
        """Start; once more with a new connection if a server that was restarted meanwhile does not know the first."""
        for is_last in (False, True):
            connection = await engine.connect()
            try:
                return connection, await start(connection)
            except BaseException as error:
                await connection.close()
                if is_last or not self.dialect.is_lost(error):
                    raise
                await self.dispose()  # the other ones that wait to be used are hardly better
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

    async def at_once(self, ways: Ways, steps: tuple[Step, ...], parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Carry out steps as a transaction of their own; see `SqlDialect.at_once`.

        With a connection that was lost, nobody knows whether they were carried out, and they are tried once more: they
        must be such that this does no harm.
        """
        with self.guard():
            carry_out = partial(self.dialect.at_once, steps=steps, parameters=parameters)
            connection, rows = await self._started(self._limited[ways], carry_out)
            await connection.close()
        return rows

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
