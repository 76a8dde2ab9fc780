"""Looks every few seconds how the process is off: readiness and the depths of queues, for the telemetry."""

import asyncio
from collections.abc import Awaitable, Callable

from chfw_sr.service.ports import Clock, Depths, Unavailable
from chfw_sr.storage import migrations
from chfw_sr.storage.store import SqlStore
from chfw_sr.telemetry.health import OK, PATIENCE_SECONDS
from chfw_sr.telemetry.metrics import PrometheusObserver

from .buses import Bus


class Probe:
    """Looks, and tells the observer.

    Args:
        store: the database.
        bus: where requests come from and messages go to.
        observer: is told.
        clock: for the age of what waits.
        mail: tells how the SMTP server is; absent where there is none.
        patience_seconds: how long each may take to answer.
    """

    def __init__(
        self,
        *,
        store: SqlStore,
        bus: Bus,
        observer: PrometheusObserver,
        clock: Clock,
        mail: Callable[[], Awaitable[str]] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._store = store
        self._bus = bus
        self._observer = observer
        self._clock = clock
        self._mail = mail
        self._patience_seconds = patience_seconds
        self._depths: Depths | None = None

    async def look(self) -> bool:
        """Look once; never is there more to do at once."""
        self._depths = None
        found = {"database": await self._answer(self._look_at_database())}
        found |= await self._bus.look()
        if self._mail is not None:
            found["email"] = await self._answer(self._mail())
        self._observer.depths(self._depths, self._clock.now())
        await self._answer(self._look_at_queues())
        self._observer.probed(found)
        return False

    async def _look_at_database(self) -> str:
        revision = await migrations.current(self._store)
        if revision != migrations.HEAD:
            return f"the schema is of revision {revision}; this version needs {migrations.HEAD}"
        self._depths = await self._store.queries.depths()
        return OK

    async def _look_at_queues(self) -> str:
        self._observer.queues({})
        self._observer.queues(await self._bus.depths())
        return OK

    async def _answer(self, looking: Awaitable[str]) -> str:
        try:
            async with asyncio.timeout(self._patience_seconds):
                return await looking
        except TimeoutError:
            return f"no answer within {self._patience_seconds:g} s"
        except Unavailable as error:
            return str(error)
