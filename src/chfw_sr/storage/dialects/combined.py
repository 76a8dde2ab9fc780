"""Statements of PostgreSQL that are several in one: each round trip costs both sides some tenths of a millisecond."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
)

from .base import SqlDialect
from .prepared import Statement
from .terms import Step

BLOCK = 2**16
"""Outbox ids that one step of the sequence stands for."""


def together(statements: Sequence[Select[Any]]) -> Select[Any]:
    """Give an array of rows for each of some statements, in their order."""
    return select(*(_in_array(each.subquery("found")) for each in statements))


def lock_in_order(statements: Sequence[Select[Any]]) -> Select[Any]:
    """Likewise, of statements that lock: each begins when the one before has come to its end.

    Rows that had to be waited for are given as they have become (READ COMMITTED), though which ones there are is seen
    as of the beginning.
    """
    parts: list[CTE] = []
    for number, each in enumerate(statements):
        # Without a column of the statement in it, a condition is looked at once, before any row is.
        waits = [select(func.count()).select_from(before).scalar_subquery() >= 0 for before in parts[-1:]]
        parts.append(each.where(*waits).cte(f"locked{number}"))
    return select(*map(_in_array, parts))


def _in_array(rows: FromClause) -> ColumnElement[Any]:
    """Gather rows in an array, in their order."""
    return func.array(select(func.row(*rows.columns)).scalar_subquery())


def change_all(
    dialect: SqlDialect,
    changes: Sequence[Callable[[SqlDialect], Statement]],
    *tables: tuple[Table, Sequence[str]],
) -> Statement:
    """Make changes, and insert what is given for tables, in a WITH, which goes on whether it is read or not."""
    parts = [*(make(dialect) for make in changes), *(insert(dialect, *each) for each in tables)]
    return select(literal_column("1")).add_cte(*(each.cte(f"change{number}") for number, each in enumerate(parts)))


def insert(dialect: SqlDialect, target: Table, columns: Sequence[str]) -> Insert:
    """Insert what is given for a table, under its name."""
    given = dialect.given(target.name, [target.c[one] for one in columns])
    return target.insert().from_select(list(columns), select(*(given.c[one] for one in columns)))


def reserve(_dialect: SqlDialect) -> Select[Any]:
    """Take steps of the sequence."""
    steps = func.generate_series(1, bindparam("steps", type_=Integer)).table_valued("step")
    return select(func.nextval(literal_column("'outbox_block_seq'"))).select_from(steps)


def reserve_block(_dialect: SqlDialect) -> Select[Any]:
    """Take one step of the sequence; give the first id and the first behind."""
    step = select(func.nextval(literal_column("'outbox_block_seq'"), type_=BigInteger).label("number")).cte("step")
    return select((step.c.number * BLOCK).label("first"), ((step.c.number + 1) * BLOCK).label("behind"))


def lock_keys(keys: Select[Any]) -> Select[Any]:
    """Hash keys, put them in order, and lock them: functions of what is sorted within are called in that order."""
    *names, own = keys.subquery("wanted").columns
    key = func.hashtextextended(
        cast(func.jsonb_build_array(*names), Text), literal_column("0"), type_=BigInteger
    ).label("key")
    each = select(key, func.bool_or(own).label("own")).group_by(key).order_by(key).subquery("each")
    alone, shared = func.pg_advisory_xact_lock(each.c.key), func.pg_advisory_xact_lock_shared(each.c.key)
    return select(case((each.c.own, cast(alone, Text)), else_=cast(shared, Text)))


def take_steps(dialect: SqlDialect, steps: Sequence[Step]) -> Statement:
    """Put each step but the last into a WITH."""
    *first, last = steps
    parts: list[CTE] = []
    tables: list[CTE] = []
    for number, make in enumerate(first):
        step = make(dialect, *tables)
        parts.append(step.cte(f"step{number}"))
        if len(step.exported_columns):
            tables.append(parts[-1])
    return last(dialect, *tables).add_cte(*parts)
