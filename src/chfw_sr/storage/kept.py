"""Connections that stay in hand from one use to the next.

To have one from an engine's pool and to give it back costs this process as much as a small statement does, and a batch
of few has four of them. A connection is kept only if its last use ended well; any other goes back to the pool, which
rolls back what it was amid, or ends it.
"""

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from .dialects import SqlDialect


class Kept:
    """The connections of an engine that one kind of work has.

    Args:
        engine: where they come from.
        dialect: says how many may be kept, and whether one is still good.
    """

    def __init__(self, engine: AsyncEngine, dialect: SqlDialect) -> None:
        self._engine = engine
        self._dialect = dialect
        self._idle: list[AsyncConnection] = []

    async def take(self) -> AsyncConnection:
        """Give a connection that is not in a transaction: the one that was used last, or one of the pool."""
        while self._idle:
            connection = self._idle.pop()
            if self._dialect.is_good(connection):
                return connection
            await connection.close()
        return await self._engine.connect()

    async def give_back(self, connection: AsyncConnection) -> None:
        """Take a connection back whose use ended well; one that is amid a transaction has that rolled back."""
        if connection.in_transaction() or len(self._idle) >= self._dialect.kept:
            await connection.close()
        else:
            self._idle.append(connection)

    async def let_go(self) -> None:
        """Give all that are kept back to the pool."""
        while self._idle:
            await self._idle.pop().close()
