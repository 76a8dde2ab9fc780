"""What is said between the store and the dialects, and what the dialects share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Dialect, FromClause, Select, Table, exc, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement
from sqlalchemy.sql.expression import ColumnClause

from .prepared import Statement, written

if TYPE_CHECKING:
    from .base import SqlDialect

Upsert: TypeAlias = sqlite.Insert | postgresql.Insert

Columns: TypeAlias = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
"""The columns of a table or of what stands for it."""

Rows: TypeAlias = tuple[Table, Sequence[str], Sequence[Sequence[Any]]]
"""A table, the names of columns, and rows: a sequence of values for each, in the order of the columns."""

Step: TypeAlias = Callable[..., Statement]
"""Makes a statement; takes the dialect, and then what each step before it gives, if it gives rows, as a table."""


@dataclass(frozen=True, slots=True)
class Question:
    """A statement that reads and goes to the database together with others.

    Attributes:
        build: makes it.
        given: its parameters.
        is_asked: whether there is anything to ask; else there are no rows.
    """

    build: "Callable[[SqlDialect], Select[Any]]"
    given: Mapping[str, Any]
    is_asked: bool


@dataclass(frozen=True, slots=True)
class Modification:
    """A statement that changes rows and goes to the database together with others.

    Attributes:
        build: makes it.
        given: its parameters.
        is_made: whether there is anything to change.
    """

    build: "Callable[[SqlDialect], Statement]"
    given: Mapping[str, Any]
    is_made: bool


class Ways(Enum):
    """How the statements of a transaction may find their rows.

    All but the first are for few rows of tables whose size changes faster than the planner's statistics.
    """

    ANY = auto()
    KEPT = auto()
    """Like PROBING, by plans that are made once, for values of any number.

    To plan a statement takes longer than to carry it out for a lone request, and for the values of each one the planner
    would do it again and again.
    """
    PROBING = auto()
    """One by one through indexes, whatever the planner believes."""
    MATCHING = auto()
    """Likewise, but for tables that are given or made on the way: those may be matched with each other by hashing."""


def places(target: Table, place: str, given: FromClause) -> Select[Any]:
    """Find where the rows lie that a given table names by the whole primary key, one by one.

    Args:
        target: whose rows.
        place: the name of the database's own column that says where a row lies.
        given: has the columns of the target's primary key.
    """
    sought = target.alias("sought")
    same = (sought.c[each.name] == given.c[each.name] for each in target.primary_key)
    one: Select[Any] = select(literal_column(f"sought.{place}")).select_from(sought).where(*same)
    return select(one.correlate(given).scalar_subquery()).select_from(given)


def original_of(error: BaseException) -> BaseException | None:
    """Give the driver's own error, where SQLAlchemy wrapped it."""
    return error.orig if isinstance(error, exc.DBAPIError) else error


def encode(
    columns: Sequence[ColumnClause[Any]], rows: Sequence[Sequence[Any]], types: Dialect
) -> Sequence[Sequence[Any]]:
    """Turn the values of columns into what the driver takes; most it takes as they are."""
    encoders = [one.type.dialect_impl(types).bind_processor(types) for one in columns]
    if not rows or not any(encoders):
        return rows
    turned = zip(*rows, strict=True)
    encoded = [one if code is None else written(code, one) for code, one in zip(encoders, turned, strict=True)]
    return list(zip(*encoded, strict=True))
