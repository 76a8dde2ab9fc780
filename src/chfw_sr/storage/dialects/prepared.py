"""Statements that go to asyncpg without a way through SQLAlchemy: it writes them once, and is left out from then on.

What SQLAlchemy does each time a statement is executed (parameters, a context, a cursor, a result, and a greenlet around
all of it) costs two to three times what the driver does. A statement that was built once is here turned into its text,
the order of its parameters and what makes rows of the driver's records; the types are SQLAlchemy's own, so a value is
written and read as ever.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import ARRAY, Dialect, Select
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import TypeEngine

Statement: TypeAlias = Select[Any] | UpdateBase
Code = Callable[[Any], Any]

_PLAIN: Final = object()
_ARRAYS: Final = (ARRAY, postgresql.ARRAY)


class Prepared:
    """A statement with its parameters' order and its rows' form.

    Args:
        statement: built once; every parameter without a value is given each time, but for arrays, which are NULL then.
        dialect: asyncpg's.

    Attributes:
        sql: its text.

    Raises:
        TypeError: if a parameter without a value stands for several (`in_`): `SqlDialect.among_given` does without.
    """

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        given = {name for name, bind in compiled.binds.items() if bind.required}
        if several := sorted(name for name in given if compiled.binds[name].expanding):
            raise TypeError(f"the text depends on how many values there are: {', '.join(several)}")
        expanded = compiled.construct_expanded_state(dict.fromkeys(given))
        names: Sequence[str] = expanded.positiontup or ()
        self.sql = expanded.statement
        self._places = {
            name: (place, _writer(compiled.binds[name].type, dialect))
            for place, name in enumerate(names)
            if name in given
        }
        self._needed = frozenset(name for name in self._places if not isinstance(compiled.binds[name].type, _ARRAYS))
        self._arguments = [expanded.parameters[name] for name in names]
        for place, name in enumerate(names):
            bind = compiled.binds.get(name)  # of one of several values that were made of one there is none
            write = expanded.processors.get(name) if bind is None else _writer(bind.type, dialect)
            if name not in given and write is not None:
                self._arguments[place] = write(self._arguments[place])
        columns = list(statement.exported_columns)
        readers = [(place, _reader(each.type, dialect)) for place, each in enumerate(columns)]
        self._readers = [(place, read) for place, read in readers if read is not None]
        self._row = _rows_of([getattr(each, "name", "") for each in columns])

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Give the driver's arguments, in order.

        Args:
            parameters: at least all that have no value of their own, but for arrays; there may be others.

        Raises:
            KeyError: if one is not given.
        """
        if not self._needed <= parameters.keys():
            raise KeyError(*sorted(self._needed - parameters.keys()))
        arguments = self._arguments.copy()
        for name, value in parameters.items():
            if (known := self._places.get(name)) is not None:
                place, write = known
                arguments[place] = value if write is None else write(value)
        return arguments

    def rows(self, records: Iterable[Sequence[Any]]) -> list[Any]:
        """Give rows, whose values have names, of the driver's records."""
        if not self._readers:
            return list(map(self._row, records))
        rows = []
        for record in records:
            values = list(record)
            for place, read in self._readers:
                values[place] = read(values[place])
            rows.append(self._row(values))
        return rows


class Together:
    """Several statements that read, as one: an array of rows for each.

    Args:
        statements: built once, as for `Prepared`; parameters of the same name have the same value.
        combine: makes one statement of them, which gives an array of rows for each.
        dialect: asyncpg's.

    Attributes:
        sql: the text of all.
    """

    def __init__(
        self,
        statements: Sequence[Select[Any]],
        combine: Callable[[Sequence[Select[Any]]], Select[Any]],
        dialect: Dialect,
    ) -> None:
        self._each = [Prepared(each, dialect) for each in statements]
        self._all = Prepared(combine(statements), dialect)
        self.sql = self._all.sql
        self.arguments = self._all.arguments

    def answers(self, records: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Give the rows of each statement, of the one record of the driver."""
        (record,) = records
        return [each.rows(rows) for each, rows in zip(self._each, record, strict=True)]


def _rows_of(names: Sequence[str]) -> Code:
    """Give what makes tuples of which each value has a name, as SQLAlchemy's rows have."""
    plain: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024 - the names vary
    kind: Any = type("Row", (plain,), {"__slots__": (), "_mapping": property(plain._asdict)})
    make: Code = kind._make
    return make


def _writer(kind: TypeEngine[Any], dialect: Dialect) -> Code | None:
    """Give what turns a value into what the driver takes; None if that is the same."""
    if not isinstance(kind, _ARRAYS):
        return kind.dialect_impl(dialect).bind_processor(dialect)
    write = kind.item_type.dialect_impl(dialect).bind_processor(dialect)
    if write is None:
        return None

    def write_all(values: Sequence[Any]) -> list[Any]:
        return list(written(write, values))

    return write_all


def written(write: Code, values: Iterable[Any]) -> Iterable[Any]:
    """Write values; the same object again, such as the time of a batch, only once."""
    last, known = _PLAIN, None
    for value in values:
        if value is not last:
            last, known = value, write(value)
        yield known


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Code | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
