"""SQLite through aiosqlite."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    URL,
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    column,
    event,
    exc,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    true,
    type_coerce,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.aiosqlite import dialect as aiosqlite_dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.sql.expression import ColumnClause

from chfw_sr.storage.columns import Instant
from chfw_sr.storage.tables import counters

from .base import SqlDialect
from .prepared import Statement
from .sqlite_driver import QuickConnection
from .terms import Columns, Step, Upsert, Ways, encode, original_of, places


class SQLite(SqlDialect):
    """SQLite through aiosqlite."""

    reading: ClassVar[Mapping[str, object]] = {"chfw_begin": "BEGIN"}
    glancing: ClassVar[Mapping[str, object]] = reading
    kept: ClassVar[int] = 0  # one in memory has a single connection; and to have one costs little beside a statement
    single_writer: ClassVar[bool] = True

    _types: Dialect = sqlite.dialect()

    _PRAGMAS = (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        "PRAGMA cache_size = -32768",  # KiB
    )
    _TRANSIENT = frozenset(
        {
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_PROTOCOL,
        }
    )

    def create_engine(self, url: URL) -> AsyncEngine:
        """Make an engine; a database in memory has one connection, since each would have a database of its own."""
        in_memory = url.database in (None, "", ":memory:")
        size = {"pool_size": 1, "max_overflow": 0} if in_memory else {}
        arguments, options = aiosqlite_dialect().create_connect_args(url)

        opener: Callable[..., sqlite3.Connection] = sqlite3.connect

        def connect() -> sqlite3.Connection:
            # Transactions begin when we say so, and not when the driver thinks it right:
            connection = opener(*arguments, **{**options, "isolation_level": None})
            connection.execute(f"PRAGMA busy_timeout = {self._lock_timeout_ms}")
            for pragma in self._PRAGMAS:
                connection.execute(pragma)
            return connection

        async def create() -> QuickConnection:
            return await QuickConnection(connect).opened()

        engine = create_async_engine(
            url.set(drivername="sqlite+aiosqlite"), poolclass=AsyncAdaptedQueuePool, async_creator=create, **size
        )

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("chfw_begin", "BEGIN IMMEDIATE"))

        return engine

    def limited(self, engine: AsyncEngine, ways: Ways) -> AsyncEngine:  # noqa: ARG002 - the port's
        """Give the same one."""
        return engine

    def given(self, name: str, columns: Sequence[ColumnClause[Any]]) -> FromClause:
        """Name a table, through `json_each`."""
        return _each(name, columns, bindparam(name, type_=Text))

    def giving(
        self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]
    ) -> Mapping[str, Any]:
        """Give JSON."""
        return {name: self._json(columns, data)}

    def rows(self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]) -> FromClause:
        """Give values as a table, through `json_each`."""
        return _each(name, columns, bindparam(None, self._json(columns, data), type_=Text))

    def _json(self, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]) -> str:
        return json.dumps([list(row) for row in encode(columns, data, self._types)])

    def among(self, one: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
        """Use `json_each`."""
        each = func.json_each(bindparam(None, json.dumps(values), type_=Text)).table_valued("value")
        return one.in_(select(each.c.value))

    def among_given(self, one: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Use `json_each`."""
        each = func.json_each(bindparam(name, type_=Text)).table_valued("value")
        return one.in_(select(each.c.value))

    def values(self, among: Sequence[Any]) -> Any:
        """Give JSON."""
        return json.dumps(list(among))

    def among_found(self, one: ColumnElement[Any], query: Select[Any]) -> ColumnElement[bool]:
        """Use IN."""
        return one.in_(query)

    def named(self, target: Table, given: FromClause) -> ColumnElement[bool]:
        """Use `rowid`."""
        return literal_column(f"{target.name}.rowid").in_(places(target, "rowid", given))

    def belonging(
        self, target: Table, given: FromClause, where: Callable[[FromClause], ColumnElement[bool]]
    ) -> ColumnElement[bool]:
        """Use `rowid`."""
        sought = target.alias("sought")
        place: Select[Any] = select(literal_column("sought.rowid")).select_from(given.join(sought, where(sought)))
        return literal_column(f"{target.name}.rowid").in_(place)

    def with_each(
        self, given: FromClause, target: Table, where: ColumnElement[bool], *, or_none: bool = False
    ) -> tuple[FromClause, Columns]:
        """Use a join: what is given has no index, so it comes first where an index answers the condition."""
        return given.join(target, where, isouter=or_none), target.c

    def some(self, target: FromClause, *where: ColumnElement[bool]) -> ColumnElement[bool]:
        """Use EXISTS."""
        return select(literal_column("1")).select_from(target).where(*where).correlate_except(target).exists()

    def insert(self, target: Table) -> Upsert:
        """Begin an INSERT."""
        return sqlite.insert(target)

    def json_object(self, **members: ColumnElement[str] | str) -> ColumnElement[Any]:
        """Make JSON text."""
        return func.json_object(*(part for member in members.items() for part in member))

    def hour(self, at: ColumnElement[datetime]) -> ColumnElement[datetime]:
        """Cut the text off behind the hour."""
        return (
            func.substr(at, 1, len("2027-01-31T09"), type_=Text).concat(literal(":00:00.000000Z", Text)).cast(Instant)
        )

    def for_update(
        self,
        query: Select[Any],
        *,
        skip_locked: bool = False,  # noqa: ARG002 - the port's
        of: FromClause | None = None,  # noqa: ARG002 - the port's
    ) -> Select[Any]:
        """Leave the query as it is: this is the only writer."""
        return query

    def unchanged(self, target: Table) -> ColumnElement[bool]:  # noqa: ARG002 - the port's
        """Say yes: this is the only writer."""
        return true()

    def writing(self, ways: Ways) -> Mapping[str, object]:  # noqa: ARG002 - the port's
        """Wait for the turn to write."""
        return {"chfw_begin": "BEGIN IMMEDIATE"}

    def is_good(self, connection: AsyncConnection) -> bool:  # noqa: ARG002 - the port's
        """Say yes: there is nobody at the other end."""
        return True

    async def plan_anew(self, connection: AsyncConnection) -> None:
        """Do nothing: a plan does not depend on values."""

    async def sweep(self, engine: AsyncEngine, targets: Sequence[Table]) -> None:
        """Do nothing: what is deleted here is gone."""

    def locking_keys(self, keys: Select[Any]) -> Select[Any]:
        """Leave the query as it is: this is the only writer."""
        return keys

    async def reserve(self, connection: AsyncConnection, count: int) -> int:
        """Move the counter, in the transaction."""
        moved = update(counters).where(counters.c.name == "outbox").values(value=counters.c.value + count)
        last: int = (await connection.execute(moved.returning(counters.c.value))).scalar_one()
        return last - count + 1

    async def load(
        self, connection: AsyncConnection, target: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert with one prepared statement."""
        if not rows:
            return
        quote = self._types.identifier_preparer.quote
        names, marks = ", ".join(map(quote, columns)), ", ".join("?" * len(columns))
        encoded = encode([target.c[name] for name in columns], rows, self._types)
        statement = f"INSERT INTO {target.name} ({names}) VALUES ({marks})"  # noqa: S608 - of our own names
        await connection.exec_driver_sql(statement, [tuple(row) for row in encoded])

    async def owns(self, connection: AsyncConnection, target: Table) -> bool:  # noqa: ARG002 - the port's
        """Say yes: who may write may do everything."""
        return True

    async def lock_table(self, connection: AsyncConnection, target: Table) -> None:
        """Do nothing: this is the only writer, and readers see what was before."""

    async def take_memory(self, connection: AsyncConnection) -> None:
        """Do nothing: it has its cache."""

    def gathered(self, number: ColumnElement[int]) -> ColumnElement[Any]:
        """Gather them in JSON."""
        return func.json_group_array(number)

    def each_of(self, numbers: ColumnElement[Any], name: str) -> FromClause:
        """Use `json_each`."""
        return func.json_each(numbers).table_valued(column("value", Integer), name=name)

    def locked(self, query: Select[Any], name: str) -> FromClause:
        """Leave it as it is: this is the only writer."""
        return query.cte(name)

    async def at_once(
        self, connection: AsyncConnection, steps: tuple[Step, ...], parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Do one after the other: this database has no statement that does two things."""
        await self.begin(connection)
        given = dict(parameters)
        rows: Sequence[Any] = ()
        first, last = self.once(_apart, steps)
        for statement, name, columns in first:
            found = await connection.execute(statement, given)
            if columns:
                rows = found.all()
                if not rows:
                    break
                given |= self.giving(name, columns, rows)
        else:
            found = await connection.execute(last, given)
            rows = found.all() if found.returns_rows else ()
        await connection.commit()
        return rows

    def migration_lock(self, connection: Connection) -> None:
        """Do nothing: this is the only writer."""

    def is_lost(self, error: BaseException) -> bool:  # noqa: ARG002 - the port's
        """Say no: there is nobody at the other end."""
        return False

    def is_transient(self, error: BaseException) -> bool:
        """Look at SQLite's primary result code."""
        if isinstance(error, exc.TimeoutError):
            return True
        code = getattr(original_of(error), "sqlite_errorcode", None)
        return code is not None and code & 0xFF in self._TRANSIENT

    def is_duplicate(self, error: BaseException, *of: Table) -> bool:
        """Look at SQLite's extended result code, and at its words, which name columns."""
        original = original_of(error)
        code = getattr(original, "sqlite_errorcode", None)
        if code not in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
            return False
        return not of or any(f" {target.name}." in str(original) for target in of)

    def listed(self, name: str, one: ColumnClause[Any]) -> FromClause:
        """Use `json_each`."""
        each = func.json_each(bindparam(name, type_=Text)).table_valued("key", "value", name=f"{name}_json")
        value = type_coerce(each.c.value, one.type).label(one.name)
        return select(value, (type_coerce(each.c.key, Integer) + 1).label("place")).subquery(name)

    def listing(self, names: Iterable[str]) -> str:
        """Give JSON."""
        return json.dumps(list(names))

    async def put(
        self,
        connection: AsyncConnection,
        target: Table,
        names: Sequence[str],
        rows: Select[Any],
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Use ON CONFLICT: a join could begin with either side, and has no index on one of them."""
        statement = self.insert(target).from_select(names, rows.where(true()))
        key = [each.name for each in target.primary_key]
        others = {name: statement.excluded[name] for name in names if name not in key}
        differs = or_(*(target.c[name].is_distinct_from(value) for name, value in others.items()))
        await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=others, where=differs), given)


def _apart(
    dialect: SqlDialect, steps: Sequence[Step]
) -> tuple[Sequence[tuple[Statement, str, Sequence[ColumnClause[Any]]]], Statement]:
    """Make statements of steps; each but the last with a name and columns for what it gives to the next ones."""
    first = []
    tables: list[FromClause] = []
    for number, make in enumerate(steps[:-1]):
        statement, name = make(dialect, *tables), f"step{number}"
        columns = [column(each.name, each.type) for each in statement.exported_columns]
        first.append((statement, name, columns))
        if columns:
            tables.append(dialect.given(name, columns))
    return first, steps[-1](dialect, *tables)


def _each(name: str, columns: Sequence[ColumnClause[Any]], encoded: BindParameter[str]) -> FromClause:
    each = func.json_each(encoded).table_valued("value", name=f"{name}_json")
    return select(
        *(
            func.json_extract(each.c.value, text(f"'$[{place}]'"), type_=one.type).label(one.name)
            for place, one in enumerate(columns)
        )
    ).subquery(name)
