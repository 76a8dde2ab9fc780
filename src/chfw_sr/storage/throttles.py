"""What is remembered of Users that are refused by their quota."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.messages import EUI, RequestID
from chfw_sr.service.ports import LONG_AGO, Throttle

from .dialects import SqlDialect
from .tables import throttles


async def lock_throttles(
    connection: AsyncConnection, dialect: SqlDialect, users: Sequence[EUI]
) -> Mapping[EUI, Throttle]:
    """Give what is remembered of each User, and lock it, in order of EUI; what there was not is made."""
    if not users:
        return {}
    ordered = sorted(users)
    new = dialect.insert(throttles).on_conflict_do_nothing()
    await connection.execute(new, [{"eui": eui, "due_at": LONG_AGO, "sequence": 0, "withheld": 0} for eui in ordered])
    query = select(throttles).where(dialect.among(throttles.c.eui, ordered)).order_by(throttles.c.eui)
    return {
        EUI(row.eui): Throttle(
            EUI(row.eui),
            row.due_at,
            row.sequence,
            row.withheld,
            None if row.request_id is None else RequestID.parse(row.request_id),
        )
        for row in await connection.execute(dialect.for_update(query))
    }


async def save_throttles(connection: AsyncConnection, changed: Sequence[Throttle]) -> None:
    """Remember Users whose rows are locked here."""
    for each in changed:
        values = {
            "due_at": each.due_at,
            "sequence": each.sequence,
            "withheld": each.withheld,
            "request_id": None if each.request_id is None else str(each.request_id),
        }
        await connection.execute(update(throttles).where(throttles.c.eui == each.user).values(values))


async def due_throttles(connection: AsyncConnection, now: datetime, interval: timedelta, limit: int) -> list[EUI]:
    """Give Users of whose refusals something is withheld that is due."""
    due = or_(throttles.c.due_at <= now, throttles.c.due_at > now + interval)
    query = select(throttles.c.eui).where(throttles.c.withheld > 0, due).order_by(throttles.c.eui).limit(limit)
    return [EUI(eui) for eui in await connection.scalars(query)]
