"""Messages as rows of the outbox: how they are put in, and how they are shown."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, exists, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.service.ports import MessageKind, OutboxEntry, OutboxMessage, OutboxStatus

from .dialects import SqlDialect
from .tables import lanes, outbox, outbox_finished, outbox_pending

MESSAGE = tuple(outbox.c)
"""The columns of a message."""

_KINDS = {kind.value: kind for kind in MessageKind}


async def add_lanes(
    connection: AsyncConnection, dialect: SqlDialect, messages: Sequence[OutboxMessage], known_lanes: set[str]
) -> set[str]:
    """Put the lanes of messages into the outbox that are not known; give them.

    Args:
        connection: in a transaction that writes.
        dialect: of the database.
        messages: that will be put in.
        known_lanes: that are in the database already, by a transaction that was committed or by this one.
    """
    new = {message.lane for message in messages} - known_lanes
    if new:
        statement = dialect.insert(lanes).on_conflict_do_nothing()
        await connection.execute(statement, [{"lane": name} for name in sorted(new)])
    return new


def rows_of(messages: Sequence[OutboxMessage]) -> Sequence[tuple[Table, Sequence[Any]]]:
    """Give the rows of messages, with ids from `reserve`; they have all columns of their tables."""
    rows = [
        (
            message.id,
            message.kind.value,
            message.recipient,
            message.message_id,
            message.type,
            message.octets,
            message.correlation_id,
            message.headers or None,
            message.created_at,
        )
        for message in messages
    ]
    pending = [(message.id, message.lane, 0) for message in messages]
    return (outbox, rows), (outbox_pending, pending)


def to_message(row: Sequence[Any]) -> OutboxMessage:
    """Read a message from a row that begins with its columns."""
    number, kind, recipient, message_id, code, octets, correlation_id, headers, created_at, *_ = row
    return OutboxMessage(
        number, _KINDS[kind], recipient, message_id, code, octets, created_at, correlation_id, headers or {}
    )


async def entries(
    connection: AsyncConnection, dialect: SqlDialect, status: OutboxStatus | None, limit: int
) -> Sequence[OutboxEntry]:
    """Give the oldest messages (of one status), in order of id, with how far they have come.

    Args:
        connection: in a transaction that sees one moment.
        dialect: of the database.
        status: None for all.
        limit: of messages.
    """
    match status:
        case None:
            known = await _finished(connection, dialect, None, limit) + await _pending(connection, None, limit)
        case OutboxStatus.READY | OutboxStatus.CLAIMED:
            known = await _pending(connection, status, limit)
        case _:
            known = await _finished(connection, dialect, status, limit)
    return sorted(known, key=lambda entry: entry.message.id)[:limit]


async def _finished(
    connection: AsyncConnection, dialect: SqlDialect, status: OutboxStatus | None, limit: int
) -> list[OutboxEntry]:
    """Look into as many rows with the least ids: each has one at least of the oldest messages, or none."""
    finished = outbox_finished.c
    together = select(outbox_finished).order_by(finished.first_id).limit(limit)
    if status is not None:
        together = together.where(finished.status == status.value)
    rows = together.subquery("together")
    each = dialect.each_of(rows.c.ids, "each")
    told = (rows.c.status, rows.c.attempts, rows.c.published_at)
    oldest = select(each.c.value, *told).select_from(rows.join(each, true())).order_by(each.c.value).limit(limit)
    few = oldest.subquery("few")
    query = select(*MESSAGE, few.c.status, few.c.attempts, few.c.published_at)
    found = await connection.execute(query.join_from(few, outbox, outbox.c.id == few.c.value).order_by(few.c.value))
    return [OutboxEntry(to_message(row), OutboxStatus(row.status), row.attempts, row.published_at) for row in found]


async def _pending(connection: AsyncConnection, status: OutboxStatus | None, limit: int) -> list[OutboxEntry]:
    """A claimed message counts the attempt that is under way."""
    pending = outbox_pending.c
    held = exists().where(lanes.c.lane == pending.lane, lanes.c.claimed_to >= pending.id)
    oldest = select(pending.id, pending.attempts, held.label("held"))
    if status is not None:
        oldest = oldest.where(held if status is OutboxStatus.CLAIMED else ~held)
    few = oldest.order_by(pending.id).limit(limit).subquery("few")
    query = select(*MESSAGE, few.c.attempts, few.c.held).join_from(few, outbox, outbox.c.id == few.c.id)
    rows = await connection.execute(query.order_by(few.c.id))
    return [
        OutboxEntry(
            to_message(row), OutboxStatus.CLAIMED if row.held else OutboxStatus.READY, row.attempts + row.held, None
        )
        for row in rows
    ]
