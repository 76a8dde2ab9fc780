"""Who waits for something to arrive, and how they are woken."""

import asyncio
from collections import defaultdict

from chfw_sr.messages import RequestID

from .transport import Inbound


class Waiter:
    """Puts a future where it is woken, while the block lasts."""

    def __init__(
        self,
        waiting: defaultdict[tuple[Inbound, RequestID], set[asyncio.Future[None]]],
        key: tuple[Inbound, RequestID],
    ) -> None:
        self._waiting = waiting
        self._key = key
        self._woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> asyncio.Future[None]:
        self._waiting[self._key].add(self._woken)
        return self._woken

    def __exit__(self, *_: object) -> None:
        if self._key in self._waiting:
            self._waiting[self._key].discard(self._woken)
            if not self._waiting[self._key]:
                del self._waiting[self._key]
