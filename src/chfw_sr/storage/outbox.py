"""The outbox: messages that are to be published, in lanes, each of which belongs to one relay at a time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, column, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.service.ports import MessageKind, OutboxEntry, OutboxMessage, OutboxStatus, furthest_lease

from .columns import SERIAL
from .dialects import SqlDialect
from .tables import lanes, outbox
from .transactions import Database

MESSAGE = (
    outbox.c.id,
    outbox.c.kind,
    outbox.c.recipient,
    outbox.c.message_id,
    outbox.c.type,
    outbox.c.octets,
    outbox.c.created_at,
    outbox.c.correlation_id,
    outbox.c.headers,
)
"""The columns of a message."""

FEWEST_LANES = 16
MESSAGES_A_LANE = 8
"""How many lanes one claim takes: few enough to leave some to other relays, enough to fill a batch."""


class SqlOutbox:
    """The relay's door; an `Outbox`.

    Args:
        database: where the outbox is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, token: str, limit: int, now: datetime, lease_seconds: float) -> Sequence[OutboxMessage]:
        """Claim up to `limit` messages, in two statements: free lanes that have some, then their first messages."""
        until = now + timedelta(seconds=lease_seconds)
        most = max(FEWEST_LANES, limit // MESSAGES_A_LANE)
        ended = or_(lanes.c.leased_until <= now, lanes.c.leased_until > furthest_lease(now, lease_seconds))
        async with self._database.write() as connection:
            mine = await self._take_lanes(connection, token, most, now, until, ended)
            if not mine:
                return ()
            first = select(outbox.c.id).where(outbox.c.lane.in_(mine), outbox.c.published_at.is_(None))
            chosen = first.order_by(outbox.c.id).limit(limit).cte("chosen")
            claimed = (
                update(outbox)
                .where(outbox.c.id.in_(select(chosen.c.id)))
                .values(
                    status=OutboxStatus.CLAIMED.value,
                    token=token,
                    leased_until=until,
                    attempts=outbox.c.attempts + 1,
                )
                .returning(*MESSAGE)
            )
            rows = (await connection.execute(claimed)).all()
            await self._free_lanes(connection, token)
        return sorted(map(to_message, rows), key=lambda message: message.id)

    async def _take_lanes(
        self,
        connection: AsyncConnection,
        token: str,
        most: int,
        now: datetime,
        until: datetime,
        ended: ColumnElement[bool],
    ) -> Sequence[str]:
        waiting = exists().where(outbox.c.lane == lanes.c.lane, outbox.c.published_at.is_(None))
        free = select(lanes.c.lane).where(or_(lanes.c.leased_until.is_(None), ended), waiting)
        free = free.order_by(lanes.c.served_at.is_not(None), lanes.c.served_at, lanes.c.lane).limit(most)
        chosen = self._database.dialect.for_update(free, skip_locked=True).cte("chosen")
        taken = (
            update(lanes)
            .where(lanes.c.lane.in_(select(chosen.c.lane)))
            .values(token=token, leased_until=until, served_at=now)
            .returning(lanes.c.lane)
        )
        return (await connection.scalars(taken)).all()

    async def _free_lanes(self, connection: AsyncConnection, token: str) -> None:
        """Free the lanes of a claim of which it holds no message."""
        held = exists().where(outbox.c.lane == lanes.c.lane, outbox.c.published_at.is_(None), outbox.c.token == token)
        await connection.execute(
            update(lanes).where(lanes.c.token == token, ~held).values(token=None, leased_until=None)
        )

    async def mark(
        self, token: str, ids: Sequence[int], status: OutboxStatus, now: datetime, *, rest_seconds: float = 0.0
    ) -> int:
        """Mark claimed messages as `PUBLISHED`, `UNROUTABLE`, or `READY` again; give how many were still ours.

        Raises:
            ValueError: if the status is `CLAIMED`.
        """
        if status is OutboxStatus.CLAIMED:
            raise ValueError("messages become claimed by claiming them")
        if not ids:
            return 0
        named = self._database.dialect.rows("named", [column("id", SERIAL)], [(number,) for number in sorted(set(ids))])
        statement = (
            update(outbox)
            .where(outbox.c.id.in_(select(named.c.id)), outbox.c.token == token)
            .values(
                status=status.value,
                token=None,
                leased_until=None,
                published_at=None if status is OutboxStatus.READY else now,
            )
        )
        async with self._database.write() as connection:
            marked = (await connection.execute(statement)).rowcount
            if status is OutboxStatus.READY and rest_seconds:
                again = select(outbox.c.lane).where(outbox.c.id.in_(select(named.c.id)))
                await self._close_lanes(connection, token, again, now + timedelta(seconds=rest_seconds))
            await self._free_lanes(connection, token)
        return marked

    async def _close_lanes(self, connection: AsyncConnection, token: str, names: Select[Any], until: datetime) -> None:
        """Take lanes from a claim and give them to nobody for a while."""
        closed = update(lanes).where(lanes.c.token == token, lanes.c.lane.in_(names))
        await connection.execute(closed.values(token=None, leased_until=until))

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` finished messages that were published before; give how many."""
        old = select(outbox.c.id).where(outbox.c.published_at < before).order_by(outbox.c.published_at).limit(limit)
        chosen = self._database.dialect.for_update(old, skip_locked=True).cte("chosen")
        async with self._database.write() as connection:
            deleted = delete(outbox).where(outbox.c.id.in_(select(chosen.c.id))).returning(outbox.c.id)
            return len((await connection.execute(deleted)).all())


async def enqueue(connection: AsyncConnection, dialect: SqlDialect, messages: Sequence[OutboxMessage]) -> None:
    """Put messages into the outbox.

    Raises:
        RuntimeError: if an id is there already, which is a defect: ids come from `reserve`.
    """
    if not messages:
        return
    values = [
        {
            "id": message.id,
            "kind": message.kind.value,
            "recipient": message.recipient,
            "message_id": message.message_id,
            "type": message.type,
            "octets": message.octets,
            "correlation_id": message.correlation_id,
            "headers": dict(message.headers),
            "created_at": message.created_at,
            "status": OutboxStatus.READY.value,
            "attempts": 0,
            "lane": message.lane,
        }
        for message in messages
    ]
    await connection.execute(
        dialect.insert(lanes).on_conflict_do_nothing(), [{"lane": name} for name in sorted({m.lane for m in messages})]
    )
    try:
        await dialect.bulk_insert(connection, outbox, values)
    except Exception as error:
        if dialect.is_duplicate(error):
            raise RuntimeError("an id of the outbox is used already") from error
        raise


def to_message(row: Row[Any]) -> OutboxMessage:
    """Read a message."""
    return OutboxMessage(
        id=row.id,
        kind=MessageKind(row.kind),
        recipient=row.recipient,
        message_id=row.message_id,
        type=row.type,
        octets=row.octets,
        created_at=row.created_at,
        correlation_id=row.correlation_id,
        headers=row.headers,
    )


def to_entry(row: Row[Any]) -> OutboxEntry:
    """Read a message with how far it has come."""
    return OutboxEntry(to_message(row), OutboxStatus(row.status), row.attempts, row.published_at)
