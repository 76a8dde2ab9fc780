"""The tables and the one writer at a time that may change them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .state import State


class Database:
    """The committed tables; whoever is to change them takes turns.

    Attributes:
        committed: what readers see.
    """

    def __init__(self) -> None:
        self.committed = State()
        self._writer = asyncio.Lock()
        self._last_outbox_id = 0

    async def acquire(self) -> State:
        """Wait for one's turn; give a draft of all tables."""
        await self._writer.acquire()
        return self.committed.draft()

    def release(self) -> None:
        """End one's turn."""
        self._writer.release()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[State]:
        """Change the tables in one go: committed at the end, unless an exception is raised."""
        state = await self.acquire()
        try:
            yield state
            state.commit()
        finally:
            self.release()

    def reserve(self, count: int) -> int:
        """Give the first of `count` outbox ids. A rollback does not give them back: they never come again."""
        first = self._last_outbox_id + 1
        self._last_outbox_id += count
        return first
