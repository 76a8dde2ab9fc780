"""The store: its three doors put together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update

from chfw_sr.messages import EUI, CampaignID
from chfw_sr.service.outcome import DEFECT
from chfw_sr.service.ports import Lease, Outbox, Queries, Register, UnitOfWork

from .dialects import LOCK_TIMEOUT_MS, Ways, dialect_of
from .fresh import FRESH_OCTETS, Fresh
from .outbox import SqlOutbox
from .processes import give_back, take_lease
from .queries import SqlQueries
from .register import SqlRegister
from .tables import campaigns, quarantine
from .throttles import due_throttles
from .transactions import Database
from .unit_of_work import SqlUnitOfWork


class SqlStore:
    """A database; a `Store`. Connects when it is first used.

    Args:
        database: which one.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._outbox = SqlOutbox(database)

    @property
    def outbox(self) -> Outbox:
        """The relay's door."""
        return self._outbox

    @property
    def register(self) -> Register:
        """Who and what there is."""
        return SqlRegister(self.database)

    @property
    def queries(self) -> Queries:
        """What happened."""
        return SqlQueries(self.database)

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Open a unit of work; raises `Unavailable` if the database is down."""
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[UnitOfWork]:
        async with self.database.transaction(Ways.KEPT) as connection:
            work = SqlUnitOfWork(self.database, connection)
            try:
                yield work
            finally:
                work.end()

    async def due_campaigns(self, now: datetime, limit: int) -> Sequence[CampaignID]:
        """Give up to `limit` campaigns of which a clock-driven step is due, the longest due first."""
        due = select(campaigns.c.campaign_id).where(campaigns.c.due_at <= now)
        async with self.database.read() as connection:
            found = await connection.scalars(due.order_by(campaigns.c.due_at, campaigns.c.campaign_id).limit(limit))
            return [CampaignID(campaign_id) for campaign_id in found]

    async def next_due(self) -> datetime | None:
        """Give when the next clock-driven step of any campaign is due."""
        async with self.database.read() as connection:
            earliest: datetime | None = await connection.scalar(select(func.min(campaigns.c.due_at)))
        return earliest

    async def due_throttles(self, now: datetime, interval: timedelta, limit: int) -> Sequence[EUI]:
        """Give up to `limit` Users from whom alerts are withheld that are due, or due later than an interval hence."""
        async with self.database.read() as connection:
            return await due_throttles(connection, now, interval, limit)

    async def purge_quarantine(self, keep: int, limit: int) -> int:
        """Delete up to `limit` quarantined inputs older than the newest `keep`, but none that met a defect of ours."""
        newest = select(quarantine.c.id).where(quarantine.c.code != DEFECT).order_by(quarantine.c.id.desc())
        old = newest.offset(keep).limit(limit).scalar_subquery()
        async with self.database.write() as connection:
            return (await connection.execute(delete(quarantine).where(quarantine.c.id.in_(old)))).rowcount

    async def mark_replayed(self, item_id: int, at: datetime) -> None:
        """Note that a quarantined input was sent in again."""
        async with self.database.write() as connection:
            await connection.execute(update(quarantine).where(quarantine.c.id == item_id).values(replayed_at=at))

    async def lease(self, name: str, holder: str, now: datetime, seconds: float) -> Lease | None:
        """Take a lease, or renew it; None if another holder has it."""
        async with self.database.write() as connection:
            return await take_lease(connection, self.database.dialect, name, holder, now, seconds)

    async def release(self, lease: Lease) -> None:
        """Give a lease back before its time; does nothing if it has changed hands."""
        async with self.database.write() as connection:
            await give_back(connection, lease)

    async def close(self) -> None:
        """Give up all connections."""
        await self.database.dispose()


def create_store(url: str, *, lock_timeout_ms: int = LOCK_TIMEOUT_MS, fresh_octets: int = FRESH_OCTETS) -> SqlStore:
    """Make the store of a database; nothing connects yet.

    Args:
        url: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://USER:PASSWORD@HOST/NAME`.
        lock_timeout_ms: how long a transaction waits for another before the store is called `Unavailable`.
        fresh_octets: of messages that are kept in memory for a relay that works on this store; 0 if none does.

    Raises:
        ValueError: if it is neither.
    """
    dialect, parsed = dialect_of(url, lock_timeout_ms)
    return SqlStore(Database(dialect.create_engine(parsed), dialect, Fresh(fresh_octets)))
