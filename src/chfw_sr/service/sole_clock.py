"""One clock at a time across all processes: a lease says whose, a fence keeps a late one out."""

import logging
import time
from collections.abc import Callable

from .clockwork import Clockwork
from .observer import Observer, Unobserved
from .ports import Clock, Lease, Store, Unavailable

logger = logging.getLogger(__name__)

LEASE = "clock"


class SoleClock:
    """Takes clock-driven steps while it holds the lease.

    Two clocks would do no harm, since each step is decided under its campaign's lock; one spares the others the work.

    Args:
        store: grants the lease.
        clockwork: takes the steps.
        clock: what time it is.
        holder: names this process, uniquely.
        lease_seconds: after which another process takes over; it is renewed when a third of it has passed.
        observer: is told whether this clock is the active one.
        elapsed: seconds that never go back.
    """

    def __init__(
        self,
        *,
        store: Store,
        clockwork: Clockwork,
        clock: Clock,
        holder: str,
        lease_seconds: float,
        observer: Observer | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clockwork = clockwork
        self._clock = clock
        self._holder = holder
        self._lease_seconds = lease_seconds
        self._observer = observer or Unobserved()
        self._elapsed = elapsed
        self._lease: Lease | None = None
        self._renewed_at = 0.0

    async def tick(self) -> int:
        """Take the steps that are due, if this clock is the active one; give how many there were.

        Raises:
            Unavailable: if the store is down, or the lease was lost meanwhile.
        """
        if self._lease is None or self._elapsed() - self._renewed_at >= self._lease_seconds / 3:
            await self._contend()
        if self._lease is None:
            return 0
        try:
            return await self._clockwork.tick(self._lease)
        except Unavailable:
            self._hold(None)
            raise

    async def close(self) -> None:
        """Give the lease back, so that another clock goes on at once.

        Raises:
            Unavailable: if the store is down; the lease runs out by itself.
        """
        lease = self._lease
        self._hold(None)
        if lease is not None:
            await self._store.release(lease)

    async def _contend(self) -> None:
        began = self._elapsed()
        try:
            lease = await self._store.lease(LEASE, self._holder, self._clock.now(), self._lease_seconds)
        except Unavailable:
            self._hold(None)
            raise
        self._renewed_at = began
        self._hold(lease)

    def _hold(self, lease: Lease | None) -> None:
        if (lease is None) != (self._lease is None):
            logger.info("this process's clock is %s", "resting" if lease is None else "the active one")
        self._lease = lease
        self._observer.leads(lease is not None)
