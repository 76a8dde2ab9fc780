"""aiosqlite with one hop to its thread for each statement, where it has four: make a cursor, execute, fetch, close.

A request is a dozen small statements, and a hop costs more than most of them take.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeAlias

import aiosqlite

_Row: TypeAlias = tuple[Any, ...]


class _Runner(Protocol):
    """Runs a function in the connection's thread."""

    async def __call__(self, function: Callable[[], None], /) -> None: ...


class QuickCursor:
    """As much of an aiosqlite cursor as SQLAlchemy uses; rows are fetched with the execution.

    Args:
        connection: the database.
        run: runs a function in the connection's thread.
    """

    arraysize = 1

    def __init__(self, connection: sqlite3.Connection, run: _Runner) -> None:
        self._connection = connection
        self._run = run
        self._rows: Sequence[_Row] = ()
        self.description: Sequence[_Row] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Self:
        """Execute a statement and fetch its rows."""
        await self._run(lambda: self._keep(self._connection.execute(statement, parameters)))
        return self

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Self:
        """Execute a statement for each set of parameters."""
        await self._run(lambda: self._keep(self._connection.executemany(statement, parameters)))
        return self

    async def fetchall(self) -> Sequence[_Row]:
        """Give the rows, once."""
        rows, self._rows = self._rows, ()
        return rows

    async def close(self) -> None:
        """Forget the rows; SQLite's own cursor is closed already."""
        self._rows = ()

    def _keep(self, cursor: sqlite3.Cursor) -> None:
        """Take over what a cursor has to say, in the connection's thread."""
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else ()
        self.rowcount = cursor.rowcount
        self.lastrowid = cursor.lastrowid
        cursor.close()


class QuickConnection(aiosqlite.Connection):
    """A connection of aiosqlite whose cursors are quick.

    Args:
        connector: opens the database, in the connection's thread.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True  # one that was not closed does not keep the process from ending

    async def opened(self) -> Self:
        """Open the database; if that fails, the thread is gone when the caller learns of it."""
        try:
            await self
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self._thread.join))
            raise
        return self

    def cursor(self) -> QuickCursor:  # type: ignore[override] # SQLAlchemy asks for no more than this
        """Make a cursor, without a hop."""
        return QuickCursor(self._conn, self._execute)
