"""One transaction: everything that a batch of requests, or a step of the clock, does (wire contract §6)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.changes import Change
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.service.ports import Cause, Claim, Claimed, InboxRecord, Lease, OutboxMessage, Quarantined, Unavailable

from .changes import ChangeMaker
from .facts import FactFinder
from .inbox import Inbox
from .outbox import enqueue
from .processes import beat, is_held
from .safe_launch import SafeLaunches
from .tables import quarantine
from .transactions import Database


class SqlUnitOfWork:
    """One transaction; a `UnitOfWork`. Whoever opened the connection closes it, and so undoes what was not committed.

    Args:
        database: which one.
        connection: in a transaction that writes.
    """

    def __init__(self, database: Database, connection: AsyncConnection) -> None:
        dialect = database.dialect
        safe_launches = SafeLaunches(connection, dialect)
        self._database = database
        self._connection = connection
        self._inbox = Inbox(connection, dialect)
        self._facts = FactFinder(connection, dialect, safe_launches)
        self._changes = ChangeMaker(connection, dialect, safe_launches)
        self._over = False

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Claimed]:
        """Claim RequestIDs, in bulk; the answers are in the order of the claims."""
        with self._open():
            return await self._inbox.claim(claims)

    async def finish(self, records: Sequence[InboxRecord]) -> None:
        """Store outcome and response of requests that were claimed here as `NEW` or `CONFLICT`.

        Raises:
            RuntimeError: if one was not claimed here, or is finished already.
        """
        with self._open():
            await self._inbox.finish(records)

    async def facts(self, needs: Needs) -> Facts:
        """Answer needs; what the transaction changed before is seen. Campaigns and hubs asked for are locked."""
        with self._open():
            return await self._facts.answer(needs)

    async def apply(self, changes: Sequence[Change], cause: Cause) -> None:
        """Carry out changes in order and write the history from them."""
        with self._open():
            await self._changes.apply(changes, cause)

    async def reserve(self, count: int) -> int:
        """Reserve `count` consecutive outbox ids; give the first.

        Raises:
            ValueError: if the count is not positive.
        """
        if count < 1:
            raise ValueError(f"cannot reserve {count} ids")
        with self._open():
            return await self._database.dialect.reserve(self._connection, count)

    async def enqueue(self, messages: Sequence[OutboxMessage]) -> None:
        """Put messages into the outbox.

        Raises:
            RuntimeError: if an id is there already.
        """
        with self._open():
            await enqueue(self._connection, self._database.dialect, messages)

    async def quarantine(self, items: Sequence[Quarantined]) -> None:
        """Keep input that could not be attributed."""
        rows = [
            {
                "octets": item.octets,
                "code": str(item.code),
                "reason": item.reason,
                "received_at": item.received_at,
                "reply_to": item.reply_to,
                "correlation_id": item.correlation_id,
                "source": item.source,
                "replayed_at": item.replayed_at,
            }
            for item in items
        ]
        with self._open():
            await self._database.dialect.bulk_insert(self._connection, quarantine, rows)

    async def fence(self, lease: Lease) -> None:
        """Make sure that a lease has not changed hands; until this unit of work ends, it cannot.

        Raises:
            Unavailable: if it has.
        """
        with self._open():
            if not await is_held(self._connection, self._database.dialect, lease):
                raise Unavailable(f"the lease {lease.name} has changed hands")

    async def beat(self, now: datetime) -> datetime | None:
        """Note that the service is up; give when that was noted last, None if never."""
        with self._open():
            return await beat(self._connection, self._database.dialect, now)

    async def commit(self) -> None:
        """Make everything since the beginning permanent.

        Raises:
            RuntimeError: if a claim was not finished, or this is over already.
        """
        with self._open():
            if self._inbox.unfinished:
                raise RuntimeError("a claim was not finished: nobody could answer its repeat")
            await self._connection.commit()
            self._over = True

    @contextmanager
    def _open(self) -> Iterator[None]:
        if self._over:
            raise RuntimeError("this unit of work is over")
        with self._database.guard():
            yield

    def end(self) -> None:
        """Refuse whatever comes from now on."""
        self._over = True
