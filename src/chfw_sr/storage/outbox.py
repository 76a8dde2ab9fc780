"""The outbox: messages that are to be published, in lanes, each of which belongs to one relay at a time.

A claim writes to lanes only: that a lane bears the claim's token is all there is to it, and marking asks for the token
under the lane's lock. So a message costs one row when it is put in, and a small one that goes when it is finished. What
this process put in itself is still in its memory and is not read back (`fresh`).

Whoever takes from what waits in a lane, or changes it, locks the lane before and changes it, too. So in a lane that was
not changed waits what waited there before, and perhaps more.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from chfw_sr.service.ports import MAIL_LANES, OutboxMessage, OutboxStatus, Patience, Unavailable, furthest_lease

from .columns import KEY, Instant
from .dialects import SqlDialect, Step, Ways
from .mail_lanes import next_mail_lanes, parameters
from .post import MESSAGE, to_message
from .tables import FREE, lanes, outbox, outbox_finished, outbox_pending
from .transactions import Database

SWEEP_EVERY = 20_000
"""Finished messages after which the tables of what waits are swept: a claim steps over what was finished since."""

PURGED_TOGETHER = 100
"""Rows of finished messages that a purge reads at a time; each stands for up to as many messages as a claim takes."""

MOST_OCTETS = 32 * 2**20
"""Octets in one claim, but for the last message: a list of 50,000 hubs is more than a megabyte."""

_KEPT = (column("lane", KEY), column("claimed_to", BigInteger), column("claimed", Integer))
_OURS = (column("lane", KEY), column("id", BigInteger))
_CHOSEN = (column("place", Integer), column("id", BigInteger))


class SqlOutbox:
    """The relay's door; an `Outbox`.

    Args:
        database: where the outbox is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bus = _Rota(_next_lanes, "")
        self._mail = _Rota(next_mail_lanes, MAIL_LANES)
        self._unswept = 0

    async def claim(
        self, token: str, limit: int, now: datetime, lease_seconds: float, *, mail: Patience | None = None
    ) -> Sequence[OutboxMessage]:
        """Claim up to `limit` messages of lanes that nobody holds, beginning after the lane that was served last."""
        if limit < 1:
            return ()
        if self._unswept >= SWEEP_EVERY:
            self._unswept = 0
            await self._database.sweep(outbox_pending, lanes)
        rota = self._bus if mail is None else self._mail
        asked = {
            **({} if mail is None else parameters(self._database.dialect, mail)),
            "now": now,
            "furthest": furthest_lease(now, lease_seconds),
            "limit": limit,
            "new_token": token,
            "until": now + timedelta(seconds=lease_seconds),
        }
        begun = rota.turn
        messages = await self._claim(rota, asked)
        if not messages and begun != rota.start:
            messages = await self._claim(rota, asked)
        return messages

    async def _claim(self, rota: "_Rota", asked: Mapping[str, Any]) -> Sequence[OutboxMessage]:
        """Claim by one statement, where the database can; then get the messages, and give back what is too much.

        The statement sees what waits as it was when it began, and has the lanes' locks a little later. Whoever held a
        lane may have marked meanwhile what is seen: so lanes that were changed are passed over like those of others.
        """
        steps = (rota.next_lanes, _first, _taken, _take_over, _hold, _claimed)
        claimed = await self._database.at_once(Ways.PROBING, steps, {**asked, "turn": rota.turn})
        try:
            messages = await self._messages([number for _, number in claimed])
        except BaseException:
            with suppress(Unavailable):  # the database may be away; then the claim runs out
                await self._cut(asked["new_token"], claimed, 0)
            raise
        await self._cut(asked["new_token"], claimed, len(messages))
        rota.turn = claimed[-1][0] if len(messages) == asked["limit"] else rota.start
        return messages

    async def _cut(self, token: str, claimed: Sequence[Sequence[Any]], count: int) -> None:
        """Keep as many of what was claimed, and give the rest back as if it had not been."""
        if count == len(claimed):
            return
        last = {lane: number for lane, number in claimed[:count]}  # noqa: C416 - they are rows, and no pairs
        numbers = Counter(lane for lane, _ in claimed[:count])
        cut = sorted({lane for lane, _ in claimed[count:]})
        kept = self._database.dialect.giving("kept", _KEPT, [(lane, last.get(lane), numbers[lane]) for lane in cut])
        await self._database.at_once(Ways.PROBING, (_keep,), {"claim": token, **kept})

    async def _messages(self, numbers: Sequence[int]) -> list[OutboxMessage]:
        """Give the first of some messages, as many as a claim may have octets: from memory, or else read."""
        fresh = self._database.fresh
        known = fresh.take(numbers)
        unknown = [(place, number) for place, number in enumerate(numbers) if number not in known]
        if unknown:
            asked = {"most_octets": MOST_OCTETS, **self._database.dialect.giving("chosen", _CHOSEN, unknown)}
            for row in await self._database.at_once(Ways.PROBING, (_read,), asked):
                message = to_message(row)
                known[message.id] = message
        messages: list[OutboxMessage] = []
        octets = 0
        for number in numbers:
            if octets >= MOST_OCTETS or number not in known:
                break
            messages.append(known.pop(number))
            octets += len(messages[-1].octets)
        fresh.keep(list(known.values()))
        return messages

    async def mark(
        self,
        token: str,
        messages: Sequence[OutboxMessage],
        status: OutboxStatus,
        now: datetime,
        *,
        rest_seconds: float = 0.0,
    ) -> int:
        """Mark claimed messages as `PUBLISHED`, `UNROUTABLE`, or `READY` again; give how many were still ours.

        Raises:
            ValueError: if the status is `CLAIMED`.
        """
        if status is OutboxStatus.CLAIMED:
            raise ValueError("messages become claimed by claiming them")
        if not messages:
            return 0
        ours = self._database.dialect.giving("ours", _OURS, [(each.lane, each.id) for each in messages])
        if status is OutboxStatus.READY:
            until = now + timedelta(seconds=rest_seconds)
            return await self._mark((_failed, _give_back), ours, claim=token, until=until)
        marked = await self._mark((_gone, _finish, _let_go), ours, claim=token, told_status=status.value, told_at=now)
        self._unswept += marked
        return marked

    async def _mark(self, steps: tuple[Step, ...], ours: Mapping[str, Any], **others: Any) -> int:
        """Mark messages; the first step gives those that were still ours."""
        found = await self._database.at_once(Ways.MATCHING, (*steps, _number), {**ours, **others})
        return sum(number for (number,) in found)

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` finished messages that were published before; give how many."""
        dialect, finished = self._database.dialect, outbox_finished.c
        old = select(finished.first_id, finished.ids).where(finished.published_at < before)
        old = old.order_by(finished.published_at).limit(PURGED_TOGETHER)
        purged: list[int] = []
        async with self._database.write(Ways.PROBING) as connection:
            while len(purged) < limit:
                together = (await connection.execute(dialect.for_update(old, skip_locked=True))).all()
                purged += await self._take_out(connection, together, limit - len(purged))
                if len(together) < PURGED_TOGETHER:
                    break
            if purged:
                await connection.execute(delete(outbox).where(dialect.among(outbox.c.id, purged)))
        return len(purged)

    async def _take_out(self, connection: AsyncConnection, together: Sequence[Any], limit: int) -> list[int]:
        """Take up to `limit` ids out of rows of finished ones; give them."""
        finished = outbox_finished.c
        taken: list[int] = []
        whole: list[int] = []
        for first_id, ids in together:
            room = limit - len(taken)
            if len(ids) > room:
                left = sorted(ids)[room:]
                less = update(outbox_finished).where(finished.first_id == first_id)
                if room:
                    await connection.execute(less.values(first_id=left[0], ids=left))
                    taken += sorted(ids)[:room]
                break
            taken += ids
            whole.append(first_id)
        await connection.execute(delete(outbox_finished).where(self._database.dialect.among(finished.first_id, whole)))
        return taken


@dataclass(slots=True)
class _Rota:
    """The lanes that lead one way, which take turns.

    Attributes:
        next_lanes: makes the statement that finds those that come next.
        start: comes before the first one in order of name.
        turn: the lane that was served last, here.
    """

    next_lanes: Callable[[SqlDialect], Select[Any]]
    start: str
    turn: str = field(init=False)

    def __post_init__(self) -> None:
        self.turn = self.start


def _next_lanes(dialect: SqlDialect) -> Select[Any]:
    """Find lanes to the bus that nobody holds and that have messages, in order from a place on, as many as it takes.

    Walks from lane to lane by leaps through the index, so that lanes without messages and messages behind the first
    ones cost nothing.
    """
    limit = bindparam("limit", type_=Integer)
    pending, behind, counted = outbox_pending.c, outbox_pending.alias("behind").c, outbox_pending.alias("counted").c
    first = select(pending.lane).where(pending.lane > bindparam("turn", type_=KEY), pending.lane < MAIL_LANES)
    first = first.order_by(pending.lane).limit(1)
    walk = select(first.scalar_subquery().label("lane"), cast(0, BigInteger).label("before")).cte(
        "walk", recursive=True
    )
    following = (
        select(behind.lane).where(behind.lane > walk.c.lane, behind.lane < MAIL_LANES).order_by(behind.lane).limit(1)
    )
    is_free = select(lanes.c.lane).where(lanes.c.lane == walk.c.lane, FREE).correlate_except(lanes).exists()
    some = select(literal(1)).where(counted.lane == walk.c.lane, is_free).correlate(walk).limit(limit)
    number = select(func.count()).select_from(some.subquery("some"))
    walk = walk.union_all(
        select(following.correlate(walk).scalar_subquery(), walk.c.before + number.scalar_subquery()).where(
            walk.c.lane.is_not(None), walk.c.before < limit
        )
    )
    found = select(lanes.c.lane).join_from(walk, lanes, lanes.c.lane == walk.c.lane)
    found = found.where(FREE, walk.c.before < limit, dialect.unchanged(lanes))
    return dialect.for_update(found, skip_locked=True, of=lanes)


def _first(dialect: SqlDialect, free: FromClause) -> Select[Any]:
    """Name what waits in lanes, one after the other in the order of the names, until there is enough."""
    pending = outbox_pending.c
    first = select(pending.lane, pending.id).where(dialect.among_found(pending.lane, select(free.c.lane)))
    return first.order_by(pending.lane, pending.id).limit(bindparam("limit", type_=Integer))


def _taken(_dialect: SqlDialect, _free: FromClause, first: FromClause) -> Select[Any]:
    """Say of each lane how far what comes first goes, how many messages that is, and how far another claim went."""
    theirs = select(lanes.c.claimed_to).where(lanes.c.lane == first.c.lane).correlate(first).scalar_subquery()
    last, number = func.max(first.c.id).label("last"), func.count().label("number")
    return select(first.c.lane, last, number, theirs.label("theirs")).group_by(first.c.lane)


def _take_over(dialect: SqlDialect, _free: FromClause, _first: FromClause, taken: FromClause) -> Update:
    """Count what another claim had not marked when its lease ran out as attempts that failed."""

    def theirs(pending: FromClause) -> ColumnElement[bool]:
        return and_(pending.c.lane == taken.c.lane, pending.c.id <= taken.c.theirs)

    expired = update(outbox_pending).where(dialect.belonging(outbox_pending, taken, theirs))
    return expired.values(attempts=outbox_pending.c.attempts + 1)


def _hold(_dialect: SqlDialect, _free: FromClause, _first: FromClause, taken: FromClause) -> Update:
    """Write the claim to its lanes."""
    held = update(lanes).where(lanes.c.lane == taken.c.lane)
    return held.values(
        token=bindparam("new_token", type_=KEY),
        leased_until=bindparam("until", type_=Instant),
        claimed_to=taken.c.last,
        claimed=taken.c.number,
    )


def _claimed(_dialect: SqlDialect, _free: FromClause, first: FromClause, _taken: FromClause) -> Select[Any]:
    """Give what was claimed, in order."""
    return select(first.c.lane, first.c.id).order_by(first.c.lane, first.c.id)


def _keep(dialect: SqlDialect) -> Update:
    """Write to lanes how far a claim goes after all; one of which nothing is kept is free."""
    kept = dialect.given("kept", _KEPT)
    some = kept.c.claimed > 0
    return (
        update(lanes)
        .where(lanes.c.lane == kept.c.lane, lanes.c.token == bindparam("claim", type_=KEY))
        .values(
            claimed_to=kept.c.claimed_to,
            claimed=kept.c.claimed,
            token=case((some, lanes.c.token)),
            leased_until=case((some, lanes.c.leased_until)),
        )
    )


def _read(dialect: SqlDialect) -> Select[Any]:
    """Read messages in the order of their places, until there are enough octets."""
    chosen = dialect.given("chosen", _CHOSEN)
    size = func.length(outbox.c.octets)
    before = (func.sum(size).over(order_by=chosen.c.place) - size).label("before")
    sized = select(*MESSAGE, before).join_from(chosen, outbox, outbox.c.id == chosen.c.id).subquery("sized")
    few = sized.c.before < bindparam("most_octets", type_=Integer)
    return select(*(sized.c[each.name] for each in MESSAGE)).where(few)


def _named(dialect: SqlDialect) -> ColumnElement[bool]:
    """Make the condition that a pending message is one of some, and that its lane is still the claim's, and locked."""
    held = select(lanes.c.lane, lanes.c.claimed_to).where(lanes.c.token == bindparam("claim", type_=KEY))
    mine = dialect.locked(held.order_by(lanes.c.lane), "held")
    ours = dialect.given("ours", _OURS)
    within = and_(mine.c.lane == ours.c.lane, ours.c.id <= mine.c.claimed_to)
    return dialect.named(outbox_pending, select(ours.c.lane, ours.c.id).join_from(ours, mine, within).subquery("named"))


def _failed(dialect: SqlDialect) -> ReturningUpdate[Any]:
    """Count a failed attempt."""
    pending = outbox_pending.c
    return update(outbox_pending).where(_named(dialect)).values(attempts=pending.attempts + 1).returning(pending.lane)


def _give_back(_dialect: SqlDialect, failed: FromClause) -> Update:
    """Let the lanes rest; what else is claimed of them is given back with it."""
    touched = select(failed.c.lane).distinct().subquery("touched")
    given_back = update(lanes).where(lanes.c.lane == touched.c.lane)
    return given_back.values(token=null(), leased_until=bindparam("until", type_=Instant), claimed_to=null(), claimed=0)


def _gone(dialect: SqlDialect) -> ReturningDelete[Any]:
    """Delete what was published; the attempt that succeeded counts."""
    pending = outbox_pending.c
    given = (pending.id, (pending.attempts + 1).label("attempts"), pending.lane)
    return delete(outbox_pending).where(_named(dialect)).returning(*given)


def _finish(dialect: SqlDialect, gone: FromClause) -> Insert:
    """Note what was published; nearly all of it had as many attempts."""
    status, at = bindparam("told_status", type_=Text), bindparam("told_at", type_=Instant)
    together = select(func.min(gone.c.id), dialect.gathered(gone.c.id), status, gone.c.attempts, at)
    columns = ["first_id", "ids", "status", "attempts", "published_at"]
    return outbox_finished.insert().from_select(columns, together.group_by(gone.c.attempts))


def _let_go(_dialect: SqlDialect, gone: FromClause) -> Update:
    """Note how many messages of each lane are left to be marked; a lane with none is free."""
    fewer = select(gone.c.lane, func.count().label("number")).group_by(gone.c.lane).subquery("fewer")
    some = lanes.c.claimed > fewer.c.number
    return (
        update(lanes)
        .where(lanes.c.lane == fewer.c.lane)
        .values(
            claimed=lanes.c.claimed - fewer.c.number,
            token=case((some, lanes.c.token)),
            leased_until=case((some, lanes.c.leased_until)),
            claimed_to=case((some, lanes.c.claimed_to)),
        )
    )


def _number(_dialect: SqlDialect, marked: FromClause) -> Select[Any]:
    """Tell how many were marked."""
    return select(func.count()).select_from(marked)
