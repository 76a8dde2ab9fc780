"""The store: a database with all its doors, or its twin in memory."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from chfw_sr.messages import CampaignID

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
