"""The store: a database with all its doors, or its twin in memory."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from chfw_sr.messages import EUI, CampaignID

from .outbox import Outbox
from .queries import Queries
from .register import Register
from .unit_of_work import Lease, UnitOfWork


class Store(Protocol):
    """A database, or its twin in memory."""

    @property
    def outbox(self) -> Outbox:
        """The relay's door."""
        ...

    @property
    def register(self) -> Register:
        """Who and what there is."""
        ...

    @property
    def queries(self) -> Queries:
        """What happened."""
        ...

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Open a unit of work; raises `Unavailable` if the database is down."""
        ...

    async def due_campaigns(self, now: datetime, limit: int) -> Sequence[CampaignID]:
        """Give up to `limit` campaigns of which a clock-driven step is due, the longest due first."""
        ...

    async def next_due(self) -> datetime | None:
        """Give when the next clock-driven step of any campaign is due."""
        ...

    async def due_throttles(self, now: datetime, interval: timedelta, limit: int) -> Sequence[EUI]:
        """Give up to `limit` Users from whom alerts are withheld that are due, or due later than an interval hence."""
        ...

    async def purge_quarantine(self, keep: int, limit: int) -> int:
        """Delete up to `limit` quarantined inputs older than the newest `keep`, but none that met a defect of ours.

        Returns:
            How many were deleted.
        """
        ...

    async def mark_replayed(self, item_id: int, at: datetime) -> None:
        """Note that a quarantined input was sent in again."""
        ...

    async def lease(self, name: str, holder: str, now: datetime, seconds: float) -> Lease | None:
        """Take a lease, or renew it; None if another holder has it.

        One that was granted until more than twice `seconds` from now comes of a clock that is wrong: it is taken over.

        Args:
            name: what for.
            holder: names the process, uniquely.
            now: the present.
            seconds: for how long.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give a lease back before its time; does nothing if it has changed hands."""
        ...

    async def close(self) -> None:
        """Give up all connections."""
        ...
