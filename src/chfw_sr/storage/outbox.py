"""The outbox: messages that are to be published, in lanes, each of which belongs to one relay at a time.

A claim writes to lanes only: that a lane bears the claim's token is all there is to it, and marking asks for the token
under the lane's lock. So a message costs one row when it is put in, and a small one to be moved when it is finished.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.service.ports import OutboxMessage, OutboxStatus, furthest_lease

from .columns import KEY, Instant
from .dialects import SqlDialect
from .post import MESSAGE, to_message
from .tables import lanes, outbox, outbox_finished, outbox_pending
from .transactions import Database

SWEEP_EVERY = 20_000
"""Finished messages after which the tables of what waits are swept: a claim steps over what was finished since."""

MOST_OCTETS = 32 * 2**20
"""Octets in one claim, but for the last message: a list of 50,000 hubs is more than a megabyte."""

_HELD = (column("lane", KEY), column("claimed_to", BigInteger), column("claimed", Integer))
_LEFT = (column("lane", KEY), column("left", Integer))


class SqlOutbox:
    """The relay's door; an `Outbox`.

    Args:
        database: where the outbox is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = ""  # the lane that was served last, here; the next one in order comes next
        self._unswept = 0
        self._next_lanes = _next_lanes(database.dialect)

    async def claim(self, token: str, limit: int, now: datetime, lease_seconds: float) -> Sequence[OutboxMessage]:
        """Claim up to `limit` messages of lanes that nobody holds, beginning after the lane that was served last."""
        if limit < 1:
            return ()
        if self._unswept >= SWEEP_EVERY:
            self._unswept = 0
            await self._database.sweep(outbox_pending, lanes)
        until = now + timedelta(seconds=lease_seconds)
        begun = self._turn
        messages = await self._claim(token, limit, now, until, lease_seconds)
        if not messages and begun:
            messages = await self._claim(token, limit, now, until, lease_seconds)
        return messages

    async def _claim(
        self, token: str, limit: int, now: datetime, until: datetime, lease_seconds: float
    ) -> Sequence[OutboxMessage]:
        """Lock free lanes, then see what waits in them: whoever held them before may have marked it meanwhile."""
        when = {"turn": self._turn, "limit": limit, "now": now, "furthest": furthest_lease(now, lease_seconds)}
        async with self._database.write(probing=True) as connection:
            free = (await connection.execute(self._next_lanes, when)).all()
            rows = await self._first_messages(connection, [row.lane for row in free], limit) if free else []
            last, numbers = {row.lane: row.id for row in rows}, Counter(row.lane for row in rows)
            if rows:
                await self._take_over(connection, [row for row in free if row.token and row.lane in last])
                taken = [(lane, last[lane], number) for lane, number in numbers.items()]
                await self._hold(connection, token, until, taken)
        self._turn = max(last) if len(rows) == limit else ""
        return sorted(map(to_message, rows), key=attrgetter("id"))

    async def _first_messages(self, connection: AsyncConnection, among: Sequence[str], limit: int) -> Sequence[Any]:
        """Read lane after lane, in the order of the names, until there are enough, or enough octets."""
        pending = outbox_pending.c
        first = select(pending.lane, pending.id).where(self._database.dialect.among(pending.lane, among))
        chosen = first.order_by(pending.lane, pending.id).limit(limit).subquery("chosen")
        size = func.length(outbox.c.octets)
        before = (func.sum(size).over(order_by=(chosen.c.lane, chosen.c.id)) - size).label("before")
        joined = select(*MESSAGE, chosen.c.lane, before).join_from(chosen, outbox, outbox.c.id == chosen.c.id)
        sized = joined.subquery("sized")
        messages = select(sized).where(sized.c.before < MOST_OCTETS).order_by(sized.c.lane, sized.c.id)
        return (await connection.execute(messages)).all()

    async def _take_over(self, connection: AsyncConnection, expired: Sequence[Row[Any]]) -> None:
        """Count what another claim had not marked when its lease ran out as attempts that failed."""
        for row in expired:
            theirs = and_(outbox_pending.c.lane == row.lane, outbox_pending.c.id <= row.claimed_to)
            await connection.execute(
                update(outbox_pending).where(theirs).values(attempts=outbox_pending.c.attempts + 1)
            )

    async def _hold(
        self, connection: AsyncConnection, token: str, until: datetime, taken: Sequence[tuple[str, int, int]]
    ) -> None:
        named = self._database.dialect.rows("named", _HELD, taken)
        held = update(lanes).where(lanes.c.lane == named.c.lane)
        await connection.execute(
            held.values(token=token, leased_until=until, claimed_to=named.c.claimed_to, claimed=named.c.claimed)
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
        async with self._database.write(probing=True) as connection:
            # From here on no other relay can take them over.
            mine = select(lanes.c.lane, lanes.c.claimed).where(lanes.c.token == token)
            mine = self._database.dialect.for_update(mine.order_by(lanes.c.lane))
            held = {row.lane: row.claimed for row in await connection.execute(mine)}
            if not held:
                return 0
            if status is OutboxStatus.READY:
                return await self._give_back(connection, token, ids, now + timedelta(seconds=rest_seconds))
            finished = await self._finish(connection, token, ids, status, now)
            await self._let_go(connection, [(lane, held[lane] - number) for lane, number in finished.items()])
        marked = sum(finished.values())
        self._unswept += marked
        return marked

    async def _finish(
        self, connection: AsyncConnection, token: str, ids: Sequence[int], status: OutboxStatus, now: datetime
    ) -> Mapping[str, int]:
        """Move them; give how many there were in each lane."""
        pending = outbox_pending.c
        given = (pending.id, (pending.attempts + 1).label("attempts"), pending.lane)
        gone = delete(outbox_pending).where(self._claimed(token, ids)).returning(*given)
        told = {"status": status.value, "published_at": now}
        return await self._database.dialect.move(connection, gone, outbox_finished, told, pending.lane)

    async def _give_back(self, connection: AsyncConnection, token: str, ids: Sequence[int], until: datetime) -> int:
        """Count a failed attempt, and let the lanes rest; what else is claimed of them is given back with it."""
        failed = update(outbox_pending).where(self._claimed(token, ids))
        failed = failed.values(attempts=outbox_pending.c.attempts + 1).returning(outbox_pending.c.lane)
        touched = (await connection.scalars(failed)).all()
        given_back = update(lanes).where(self._database.dialect.among(lanes.c.lane, sorted(set(touched))))
        await connection.execute(given_back.values(token=None, leased_until=until, claimed_to=None, claimed=0))
        return len(touched)

    def _claimed(self, token: str, ids: Sequence[int]) -> Any:
        """Make the condition that a pending message is one of these, and of this claim."""
        pending = outbox_pending.c
        named = self._database.dialect.among(pending.id, sorted(set(ids)))
        claim = select(lanes.c.token).where(lanes.c.lane == pending.lane, lanes.c.claimed_to >= pending.id)
        return and_(named, claim.scalar_subquery() == token)

    async def _let_go(self, connection: AsyncConnection, left: Sequence[tuple[str, int]]) -> None:
        """Note how many messages of each lane are left to be marked; a lane with none is free."""
        if not left:
            return
        named = self._database.dialect.rows("named", _LEFT, left)
        some = named.c.left > 0
        await connection.execute(
            update(lanes)
            .where(lanes.c.lane == named.c.lane)
            .values(
                claimed=named.c.left,
                token=case((some, lanes.c.token)),
                leased_until=case((some, lanes.c.leased_until)),
                claimed_to=case((some, lanes.c.claimed_to)),
            )
        )

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` finished messages that were published before; give how many."""
        finished = outbox_finished.c
        old = select(finished.id).where(finished.published_at < before).order_by(finished.published_at).limit(limit)
        async with self._database.write(probing=True) as connection:
            ids = (await connection.scalars(self._database.dialect.for_update(old, skip_locked=True))).all()
            if ids:
                for table in (outbox_finished, outbox):
                    await connection.execute(delete(table).where(self._database.dialect.among(table.c.id, ids)))
        return len(ids)


def _next_lanes(dialect: SqlDialect) -> Select[Any]:
    """Find the lanes that nobody holds and that have messages, in order from a place on, as many as it takes.

    Walks from lane to lane by leaps through the index, so that lanes without messages and messages behind the first
    ones cost nothing.
    """
    limit = bindparam("limit", type_=Integer)
    until = lanes.c.leased_until
    free = or_(until.is_(None), until <= bindparam("now", type_=Instant), until > bindparam("furthest", type_=Instant))
    pending, behind, counted = outbox_pending.c, outbox_pending.alias("behind").c, outbox_pending.alias("counted").c
    first = select(pending.lane).where(pending.lane > bindparam("turn", type_=KEY)).order_by(pending.lane).limit(1)
    walk = select(first.scalar_subquery().label("lane"), cast(0, BigInteger).label("before")).cte(
        "walk", recursive=True
    )
    following = select(behind.lane).where(behind.lane > walk.c.lane).order_by(behind.lane).limit(1)
    is_free = select(lanes.c.lane).where(lanes.c.lane == walk.c.lane, free).correlate_except(lanes).exists()
    some = select(literal(1)).where(counted.lane == walk.c.lane, is_free).correlate(walk).limit(limit)
    number = select(func.count()).select_from(some.subquery("some"))
    walk = walk.union_all(
        select(following.correlate(walk).scalar_subquery(), walk.c.before + number.scalar_subquery()).where(
            walk.c.lane.is_not(None), walk.c.before < limit
        )
    )
    found = select(lanes.c.lane, lanes.c.token, lanes.c.claimed_to).join_from(walk, lanes, lanes.c.lane == walk.c.lane)
    return dialect.for_update(found.where(free, walk.c.before < limit), skip_locked=True, of=lanes)
