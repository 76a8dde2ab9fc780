"""One transaction: everything that a batch of requests, or a step of the clock, does (wire contract §6).

What was asked for is kept, and what is changed is changed there; the database is told before it is asked for something
that is not known, and before the commit. So the order in which requests are decided costs no statements.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.changes import Change
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.messages import EUI
from chfw_sr.service.ports import (
    Cause,
    Claim,
    Claimed,
    InboxRecord,
    Lease,
    OutboxMessage,
    Quarantined,
    Throttle,
    Unavailable,
)

from .changes import ChangeMaker
from .facts import FactFinder
from .inbox import INBOX, Inbox
from .post import add_lanes, rows_of
from .processes import beat, is_held
from .safe_launch import SafeLaunches
from .tables import inbox, outbox, outbox_pending, quarantine
from .throttles import lock_throttles, save_throttles
from .transactions import Database
from .workspace import Known, Pending, follow
from .writing import write

MOST_PENDING = 5_000
"""Lines of the history that may wait to be written."""

MOST_KNOWN = 30_000
"""Hubs that are kept; beyond that everything is forgotten when the database is told of what changed."""

_COLUMNS: Mapping[Table, Sequence[str]] = {
    inbox: INBOX,
    outbox: outbox.c.keys(),
    outbox_pending: outbox_pending.c.keys(),
    quarantine: ("octets", "code", "reason", "received_at", "reply_to", "correlation_id", "source", "replayed_at"),
}
"""The columns of rows that are only added."""


def _nothing() -> dict[Table, list[Any]]:
    """Give no rows for any of the tables."""
    return {target: [] for target in _COLUMNS}


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
        self._inbox = Inbox(dialect)
        self._known = Known()
        self._pending = Pending()
        self._facts = FactFinder(connection, dialect, self._known, safe_launches, database.witnesses)
        self._changes = ChangeMaker(connection, dialect, safe_launches)
        self._added = _nothing()  # nothing reads them before the commit, but for another claim
        self._new_lanes: set[str] = set()
        self._enqueued: list[OutboxMessage] = []
        self._beyond: tuple[Sequence[Change], Cause] | None = None  # comes after what is pending
        self._over = False

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Claimed]:
        """Claim RequestIDs, in bulk; the answers are in the order of the claims."""
        with self._open():
            await self._write()
            return await self._facts.claim(self._inbox, claims) if claims else ()

    async def trust_revision(self) -> int:
        """Give the register's revision, as this transaction sees it; a claim learns it in passing."""
        with self._open():
            return await self._facts.trust_revision()

    async def finish(self, records: Sequence[InboxRecord]) -> None:
        """Store outcome and response of requests that were claimed here as `NEW` or `CONFLICT`.

        Raises:
            RuntimeError: if one was not claimed here, or is finished already.
        """
        self._check()
        self._add(self._inbox.finish(records))

    async def anticipate(self, needs: Sequence[Needs]) -> None:
        """Take all locks that these needs ask for, in one order, and learn the answers in a few statements."""
        with self._open():
            await self._write()
            await self._facts.learn(needs)

    async def facts(self, needs: Needs) -> Facts:
        """Answer needs; what the transaction changed before is seen. Campaigns and hubs asked for are locked."""
        self._check()
        facts = self._facts.recall(needs)
        if facts is None:
            with self._open():
                await self._write()
                facts = await self._facts.answer(needs)
        return facts

    async def apply(self, changes: Sequence[Change], cause: Cause) -> None:
        """Carry out changes in order: in memory as far as they can be followed there, the rest in the database.

        The database is told of that rest, too, no sooner than it has to be.
        """
        self._check()
        if self._beyond:
            await self.tell()
        for place, change in enumerate(changes):
            if not follow(self._known, self._pending, change, cause):
                self._beyond = changes[place:], cause
                self._known.forget()
                break
        if len(self._pending.history) > MOST_PENDING:
            await self.tell()

    async def tell(self) -> None:
        """Tell the database what it has not been told yet."""
        with self._open():
            await self._write()

    async def _write(self) -> None:
        """Tell the database what it has not been told yet, and make room if much is known."""
        if any(self._added.values()) or not self._pending.is_empty:
            pending, self._pending = self._pending, Pending()
            added, self._added = self._added, _nothing()
            more = [(target, _COLUMNS[target], rows) for target, rows in added.items()]
            try:
                await write(self._connection, self._database.dialect, pending, more)
            except Exception as error:
                if self._database.dialect.is_duplicate(error, outbox, outbox_pending):
                    raise RuntimeError("an id of the outbox is used already") from error
                raise
        if self._beyond:
            (changes, cause), self._beyond = self._beyond, None
            await self._facts.plan_anew()
            await self._changes.apply(changes, cause)
        if len(self._known.hubs) > MOST_KNOWN:
            self._known.forget()

    async def reserve(self, count: int) -> int:
        """Reserve `count` consecutive outbox ids; give the first.

        Raises:
            ValueError: if the count is not positive.
        """
        if count < 1:
            raise ValueError(f"cannot reserve {count} ids")
        self._check()
        if (first := self._facts.take_ids(count)) is not None:
            return first
        with self._open():
            return await self._database.dialect.reserve(self._connection, count)

    async def enqueue(self, messages: Sequence[OutboxMessage]) -> None:
        """Put messages into the outbox."""
        with self._open():
            known = self._database.known_lanes | self._new_lanes
            self._new_lanes |= await add_lanes(self._connection, self._database.dialect, messages, known)
        for rows in rows_of(messages):
            self._add(rows)
        self._enqueued += messages

    async def quarantine(self, items: Sequence[Quarantined]) -> None:
        """Keep input that could not be attributed."""
        rows = [
            (
                item.octets,
                str(item.code),
                item.reason,
                item.received_at,
                item.reply_to,
                item.correlation_id,
                item.source,
                item.replayed_at,
            )
            for item in items
        ]
        self._check()
        self._added[quarantine] += rows

    async def throttles(self, users: Sequence[EUI]) -> Mapping[EUI, Throttle]:
        """Give what is remembered of each User that was refused by its quota, and lock it."""
        with self._open():
            if self._beyond:  # which may lock, too, and nothing is locked after this
                await self._write()
            self._facts.forget_ids()
            return await lock_throttles(self._connection, self._database.dialect, users)

    async def save_throttles(self, throttles: Sequence[Throttle]) -> None:
        """Remember what was asked for here, as it has become."""
        with self._open():
            await save_throttles(self._connection, throttles)

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
            RuntimeError: if a claim was not finished, an id of the outbox is used already, or this is over.
        """
        with self._open():
            if self._inbox.unfinished:
                raise RuntimeError("a claim was not finished: nobody could answer its repeat")
            await self._write()
            await self._database.dialect.commit(self._connection)
            self._database.known_lanes |= self._new_lanes
            self._database.fresh.keep(self._enqueued)
            self._over = True

    def _add(self, rows: tuple[Table, Sequence[Any]]) -> None:
        target, more = rows
        self._added[target] += more

    def _check(self) -> None:
        if self._over:
            raise RuntimeError("this unit of work is over")

    def _open(self) -> AbstractContextManager[None]:
        self._check()
        return self._database.guard()

    def end(self) -> None:
        """Refuse whatever comes from now on."""
        self._over = True
