"""Which lanes of e-mail a relay may serve: those that nobody holds and that need not wait for more messages.

There is one for each User that ever had e-mail, so they are simply gone through, each by its first messages.
"""

from typing import Any

from sqlalchemy import Integer, Select, bindparam, case, func, or_, select

from chfw_sr.service.ports import Patience

from .columns import KEY, Instant
from .dialects import SqlDialect
from .tables import FREE, lanes, outbox, outbox_pending

MOST_LANES = 64
"""Lanes in one claim: few enough to leave some to other relays."""


def next_mail_lanes(dialect: SqlDialect) -> Select[Any]:
    """Find lanes, in order from a place on, and lock them.

    The statement's parameters are those of `parameters`, and `turn`, `now` and `furthest`.
    """
    number = bindparam("number", type_=Integer)
    waiting = select(outbox.c.type, outbox.c.created_at).join_from(
        outbox_pending, outbox, outbox.c.id == outbox_pending.c.id
    )
    waiting = waiting.where(outbox_pending.c.lane == lanes.c.lane).correlate(lanes)
    first = waiting.order_by(outbox_pending.c.id).limit(number).subquery("first")
    may_wait = dialect.among_given(first.c.type, "types")
    due = or_(
        func.count() >= number,
        func.max(case((may_wait, 0), else_=1)) > 0,
        func.min(first.c.created_at) <= bindparam("before", type_=Instant),
    )
    is_due = select(case((due, 1), else_=0)).select_from(first).scalar_subquery()
    found = select(lanes.c.lane)
    found = found.where(lanes.c.lane > bindparam("turn", type_=KEY), FREE, is_due == 1, dialect.unchanged(lanes))
    return dialect.for_update(found.order_by(lanes.c.lane).limit(MOST_LANES), skip_locked=True, of=lanes)


def parameters(dialect: SqlDialect, patience: Patience) -> dict[str, Any]:
    """Give the values of the statement's parameters."""
    types = dialect.values(sorted(patience.types))
    return {"types": types, "before": patience.before, "number": patience.number}
