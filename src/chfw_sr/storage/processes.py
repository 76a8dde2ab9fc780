"""What processes of the service know of each other: leases, and when one of them was last up."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.service.ports import Lease

from .dialects import SqlDialect
from .tables import beats, leases

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_SERVICE = "service"


async def take_lease(
    connection: AsyncConnection, dialect: SqlDialect, name: str, holder: str, now: datetime, seconds: float
) -> Lease | None:
    """Take a lease, or renew it, in one statement; None if another holder has it."""
    length = timedelta(seconds=seconds)
    until = now + length
    mine = leases.c.holder == holder
    free = or_(mine, leases.c.until <= now, leases.c.until > now + 2 * length)
    new = dialect.insert(leases).values(name=name, holder=holder, fence=1, until=until)
    statement = new.on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={"holder": holder, "fence": leases.c.fence + case((mine, 0), else_=1), "until": until},
        where=free,
    ).returning(leases.c.fence)
    fence = (await connection.execute(statement)).scalar_one_or_none()
    return None if fence is None else Lease(name, holder, fence, until)


async def give_back(connection: AsyncConnection, lease: Lease) -> None:
    """Let nobody hold a lease, unless it has changed hands."""
    held = (leases.c.name == lease.name) & (leases.c.fence == lease.fence)
    await connection.execute(update(leases).where(held).values(holder="", until=_LONG_AGO))


async def is_held(connection: AsyncConnection, dialect: SqlDialect, lease: Lease) -> bool:
    """Tell whether a lease is still whose it was, and lock it."""
    held = (leases.c.name == lease.name) & (leases.c.fence == lease.fence) & (leases.c.holder == lease.holder)
    found = await connection.execute(dialect.for_update(select(leases.c.fence).where(held)))
    return found.first() is not None


async def beat(connection: AsyncConnection, dialect: SqlDialect, now: datetime) -> datetime | None:
    """Note that the service is up; give when that was noted last. The row stays locked."""
    own = beats.c.name == _SERVICE
    last: datetime | None = await connection.scalar(dialect.for_update(select(beats.c.at).where(own)))
    if last is None:
        new = dialect.insert(beats).values(name=_SERVICE, at=now)
        await connection.execute(new.on_conflict_do_nothing())
    elif last < now:
        await connection.execute(update(beats).where(own).values(at=now))
    return last
