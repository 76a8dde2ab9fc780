"""Transactions: one that reads, one that writes, and the errors of both in the service's words."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import Executable, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chfw_sr.service.ports import Unavailable

from .dialects import SqlDialect, Step, Ways
from .fresh import Fresh
from .kept import Kept
from .witnesses import Witnesses

Result = TypeVar("Result")


class _Guard:
    """Turns errors of the database into the service's words; one for everybody, since it remembers nothing.

    Args:
        dialect: tells errors apart.
    """

    def __init__(self, dialect: SqlDialect) -> None:
        self._dialect = dialect

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and (self._dialect.is_transient(error) or self._dialect.is_duplicate(error)):
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise Unavailable(f"the database is busy or away: {cause}") from error


class Database:
    """An engine with its dialect.

    Args:
        engine: where to connect.
        dialect: what is particular about it.
        fresh: keeps what was just put into the outbox.

    Attributes:
        engines: every engine that statements go through.
    """

    def __init__(self, engine: AsyncEngine, dialect: SqlDialect, fresh: Fresh) -> None:
        self.engine = engine
        self.dialect = dialect
        self.fresh = fresh
        self.known_lanes: set[str] = set()  # lanes are never deleted: what was there once need not be put in again
        self.witnesses = Witnesses()
        self._guard = _Guard(dialect)
        self._reader = engine.execution_options(**dialect.reading)
        self._glancer = engine.execution_options(**dialect.glancing)
        self._writers = {ways: Kept(engine.execution_options(**dialect.writing(ways)), dialect) for ways in Ways}
        limited = {ways: dialect.limited(engine, ways) for ways in (Ways.PROBING, Ways.MATCHING)}
        self._at_once = {ways: Kept(each, dialect) for ways, each in limited.items()}
        self.engines: Sequence[AsyncEngine] = tuple(dict.fromkeys((engine, *limited.values())))

    async def dispose(self) -> None:
        """Give up all connections, but for those that are being used."""
        for kept in (*self._writers.values(), *self._at_once.values()):
            await kept.let_go()
        for engine in self.engines:
            await engine.dispose()

    def guard(self) -> AbstractContextManager[None]:
        """Turn the errors of a database that is busy or away, and of a lost race, into `Unavailable`."""
        return self._guard

    @asynccontextmanager
    async def transaction(self, ways: Ways = Ways.ANY) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes; whoever opens it commits. Errors within are not translated."""
        writers = self._writers[ways]
        with self.guard():
            connection, _ = await self._started(writers, self.dialect.begin)
        try:
            yield connection
        except BaseException:
            await connection.close()
            raise
        await writers.give_back(connection)

    async def _started(
        self, kept: Kept, start: Callable[[AsyncConnection], Awaitable[Result]]
    ) -> tuple[AsyncConnection, Result]:
        """Start; once more with a new connection if a server that was restarted meanwhile does not know the first."""
        for is_last in (False, True):
            connection = await kept.take()
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
            ways: see `SqlDialect.writing`.
        """
        async with self.transaction(ways) as connection:
            with self.guard():
                yield connection
                await self.dialect.commit(connection)

    async def at_once(self, ways: Ways, steps: tuple[Step, ...], parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Carry out steps as a transaction of their own; see `SqlDialect.at_once`.

        With a connection that was lost, nobody knows whether they were carried out, and they are tried once more: they
        must be such that this does no harm.
        """
        with self.guard():
            carry_out = partial(self.dialect.at_once, steps=steps, parameters=parameters)
            kept = self._at_once[ways]
            connection, rows = await self._started(kept, carry_out)
            await kept.give_back(connection)
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
                await self.dialect.begin(connection)
                yield connection

    async def glance(self, build: Callable[..., Executable]) -> Sequence[Any]:
        """Read by one statement alone, which needs no transaction; see `SqlDialect.run`."""
        with self.guard():
            async with self._glancer.connect() as connection:
                return await self.dialect.run(connection, build)
