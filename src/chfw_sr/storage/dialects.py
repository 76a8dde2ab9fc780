"""Where SQLite and PostgreSQL differ, and the only place that knows it.

Both run every transaction that writes so that what it has read stays true until it commits:
* SQLite has one writer at a time. A transaction that writes begins with `BEGIN IMMEDIATE`, so that it waits for its
  turn at the beginning and never fails in the middle. No row needs a lock.
* PostgreSQL runs at READ COMMITTED with row locks. A statement that must see what another transaction did while this
  one waited for a lock comes *after* the statement that took the lock, since each statement has its own snapshot.

PostgreSQL plans by what it knows of a table, and of the hubs of a campaign that began a minute ago it knows nothing.
So a statement over many of them is written such that every plan of it is good: rows find their places by an upsert or
by a scalar subquery, which probe an index whatever is estimated, and not by a join.
"""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar, TypeAlias

import asyncpg
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    column,
    event,
    exc,
    func,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite.aiosqlite import dialect as aiosqlite_dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.expression import ColumnClause

from .sqlite_driver import QuickConnection
from .tables import counters

Upsert: TypeAlias = sqlite.Insert | postgresql.Insert

LOCK_TIMEOUT_MS = 15_000
"""How long a transaction waits for another's lock before the store is called busy."""

_BLOCK = 2**16
"""Outbox ids that one step of PostgreSQL's sequence stands for."""

_COPY_FROM = 500
"""Rows from which COPY beats INSERT."""

_MIGRATION_LOCK = 0x63686677  # "chfw"


class SqlDialect(ABC):
    """What the rest of the store asks of a database."""

    reading: ClassVar[Mapping[str, object]]
    """Execution options of a transaction that only reads: it sees one moment."""

    writing: ClassVar[Mapping[str, object]]
    """Execution options of a transaction that writes."""

    single_writer: ClassVar[bool]
    """Whether a transaction that writes has the whole database to itself, so that nothing needs a lock."""

    @abstractmethod
    def create_engine(self, url: URL) -> AsyncEngine:
        """Make an engine; it connects when it is first used."""

    @abstractmethod
    def rows(self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]) -> FromClause:
        """Give values as a table to join with, in one parameter a column, however many rows there are.

        Args:
            name: of the table.
            columns: their names and types.
            data: a sequence of values for each row, in the order of the columns.
        """

    @abstractmethod
    def among(self, one: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """Make the condition that a column has one of many values, in one parameter."""

    @abstractmethod
    def insert(self, target: Table) -> Upsert:
        """Begin an INSERT that may go on with ON CONFLICT."""

    @abstractmethod
    def json_object(self, **members: ColumnElement[str] | str) -> ColumnElement[Any]:
        """Make a JSON object of texts, in the database."""

    @abstractmethod
    def for_update(self, query: Select[Any], *, skip_locked: bool = False) -> Select[Any]:
        """Lock the rows that a query finds, for this transaction."""

    @abstractmethod
    async def begin(self, connection: AsyncConnection) -> None:
        """Begin the transaction now, not with the first statement; fails if the server is away."""

    @abstractmethod
    async def share_models(self, connection: AsyncConnection, models: Sequence[tuple[str, str]]) -> None:
        """Hold off Safe Launches of these manufacturers and models until this transaction ends."""

    @abstractmethod
    async def own_model(self, connection: AsyncConnection, model: tuple[str, str]) -> None:
        """Hold off everyone who would change hubs of this manufacturer and model until this transaction ends."""

    @abstractmethod
    async def reserve(self, connection: AsyncConnection, count: int) -> int:
        """Reserve consecutive outbox ids; give the first."""

    @abstractmethod
    async def bulk_insert(self, connection: AsyncConnection, target: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows, all with the same keys, in the quickest way."""

    @abstractmethod
    def migration_lock(self, connection: Connection) -> None:
        """See to it that one migration runs at a time."""

    @abstractmethod
    def is_transient(self, error: BaseException) -> bool:
        """Tell whether this error means: busy or away, try again later."""

    @abstractmethod
    def is_duplicate(self, error: BaseException) -> bool:
        """Tell whether a row was there already: of two racing writers this is the later."""

    async def create_temporary(self, connection: AsyncConnection, target: Table) -> None:
        """Create a temporary table, empty, for this transaction at least."""
        await connection.execute(CreateTable(target, if_not_exists=True))
        await connection.execute(target.delete())

    async def index_temporary(self, connection: AsyncConnection, target: Table, *columns: str) -> None:
        """Make a filled temporary table quick to join by these columns."""
        name, listed = target.name, ", ".join(columns)
        await connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS ix_{name} ON {name} ({listed})")
        await connection.exec_driver_sql(f"ANALYZE {name}")


class SQLite(SqlDialect):
    """SQLite through aiosqlite."""

    reading: ClassVar[Mapping[str, object]] = {"chfw_begin": "BEGIN"}
    writing: ClassVar[Mapping[str, object]] = {"chfw_begin": "BEGIN IMMEDIATE"}
    single_writer: ClassVar[bool] = True

    _PRAGMAS = (
        f"PRAGMA busy_timeout = {LOCK_TIMEOUT_MS}",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
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

    def __init__(self) -> None:
        self._types: Dialect = sqlite.dialect()

    def create_engine(self, url: URL) -> AsyncEngine:
        """Make an engine; a database in memory has one connection, since each would have a database of its own."""
        in_memory = url.database in (None, "", ":memory:")
        size = {"pool_size": 1, "max_overflow": 0} if in_memory else {}
        arguments, options = aiosqlite_dialect().create_connect_args(url)

        opener: Callable[..., sqlite3.Connection] = sqlite3.connect

        def connect() -> sqlite3.Connection:
            # Transactions begin when we say so, and not when the driver thinks it right:
            connection = opener(*arguments, **{**options, "isolation_level": None})
            for pragma in self._PRAGMAS:
                connection.execute(pragma)
            return connection

        async def create() -> QuickConnection:
            connection = QuickConnection(connect)
            await connection
            return connection

        engine = create_async_engine(
            url.set(drivername="sqlite+aiosqlite"), poolclass=AsyncAdaptedQueuePool, async_creator=create, **size
        )

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("chfw_begin", "BEGIN IMMEDIATE"))

        return engine

    def rows(self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]) -> FromClause:
        """Give values as a table, through `json_each`."""
        encoders = _encoders(columns, self._types)
        encoded = [
            [value if code is None else code(value) for code, value in zip(encoders, row, strict=True)] for row in data
        ]
        each = func.json_each(bindparam(None, json.dumps(encoded), type_=Text)).table_valued(
            "value", name=f"{name}_json"
        )
        return select(
            *(
                func.json_extract(each.c.value, text(f"'$[{place}]'"), type_=one.type).label(one.name)
                for place, one in enumerate(columns)
            )
        ).subquery(name)

    def among(self, one: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """Use `json_each`."""
        each = func.json_each(bindparam(None, json.dumps(values), type_=Text)).table_valued("value")
        return one.in_(select(each.c.value))

    def insert(self, target: Table) -> Upsert:
        """Begin an INSERT."""
        return sqlite.insert(target)

    def json_object(self, **members: ColumnElement[str] | str) -> ColumnElement[Any]:
        """Make JSON text."""
        return func.json_object(*(part for member in members.items() for part in member))

    def for_update(self, query: Select[Any], *, skip_locked: bool = False) -> Select[Any]:  # noqa: ARG002
        """Leave the query as it is: this is the only writer."""
        return query

    async def begin(self, connection: AsyncConnection) -> None:
        """Wait for the turn to write."""
        await connection.begin()

    async def share_models(self, connection: AsyncConnection, models: Sequence[tuple[str, str]]) -> None:
        """Do nothing: this is the only writer."""

    async def own_model(self, connection: AsyncConnection, model: tuple[str, str]) -> None:
        """Do nothing: this is the only writer."""

    async def reserve(self, connection: AsyncConnection, count: int) -> int:
        """Move the counter, in the transaction."""
        moved = update(counters).where(counters.c.name == "outbox").values(value=counters.c.value + count)
        last: int = (await connection.execute(moved.returning(counters.c.value))).scalar_one()
        return last - count + 1

    async def bulk_insert(self, connection: AsyncConnection, target: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert with one prepared statement."""
        if rows:
            await connection.execute(target.insert(), list(rows))

    def migration_lock(self, connection: Connection) -> None:
        """Do nothing: this is the only writer."""

    def is_transient(self, error: BaseException) -> bool:
        """Look at SQLite's primary result code."""
        if isinstance(error, exc.TimeoutError):
            return True
        code = getattr(_original(error), "sqlite_errorcode", None)
        return code is not None and code & 0xFF in self._TRANSIENT

    def is_duplicate(self, error: BaseException) -> bool:
        """Look at SQLite's extended result code."""
        code = getattr(_original(error), "sqlite_errorcode", None)
        return code in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


class PostgreSQL(SqlDialect):
    """PostgreSQL through asyncpg."""

    reading: ClassVar[Mapping[str, object]] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    writing: ClassVar[Mapping[str, object]] = {"isolation_level": "READ COMMITTED"}
    single_writer: ClassVar[bool] = False

    _TRANSIENT_CLASSES = ("08", "40", "53", "57", "58")
    """Connection, rollback (serialisation, deadlock), resources, intervention, system."""

    _LOCK_NOT_AVAILABLE = "55P03"
    _UNIQUE_VIOLATION = "23505"

    def __init__(self) -> None:
        self._types: Dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]

    def create_engine(self, url: URL) -> AsyncEngine:
        """Make an engine whose connections are tested before use, so that a restarted server is not an error."""
        settings = {
            "application_name": "chfw_sr",
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "timezone": "UTC",
            "jit": "off",  # compiling takes longer than our statements do
            "work_mem": "32MB",  # a list of 50,000 hubs is hashed, whatever is estimated
        }
        return create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            pool_pre_ping=True,
            connect_args={"server_settings": settings, "timeout": 10},
        )

    def rows(self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]) -> FromClause:
        """Give values as a table, through `unnest`."""
        turned = list(zip(*data, strict=True)) if data else [()] * len(columns)
        arrays = [
            bindparam(None, list(values), type_=postgresql.ARRAY(one.type))
            for one, values in zip(columns, turned, strict=True)
        ]
        return (
            func.unnest(*arrays)
            .table_valued(*(column(one.name, one.type) for one in columns), name=name)
            .render_derived()
        )

    def among(self, one: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """Use an array."""
        return one == func.any(bindparam(None, list(values), type_=postgresql.ARRAY(one.type)))

    def insert(self, target: Table) -> Upsert:
        """Begin an INSERT."""
        return postgresql.insert(target)

    def json_object(self, **members: ColumnElement[str] | str) -> ColumnElement[Any]:
        """Make JSONB."""
        return func.jsonb_build_object(*(part for member in members.items() for part in member))

    def for_update(self, query: Select[Any], *, skip_locked: bool = False) -> Select[Any]:
        """Add FOR UPDATE."""
        return query.with_for_update(skip_locked=skip_locked)

    async def begin(self, connection: AsyncConnection) -> None:
        """Begin with a statement: the driver sends BEGIN with the first."""
        await connection.begin()
        await connection.exec_driver_sql("SELECT 1")

    async def share_models(self, connection: AsyncConnection, models: Sequence[tuple[str, str]]) -> None:
        """Take shared advisory locks, in order."""
        keys = sorted({_model_key(model) for model in models})
        each = self.rows("keys", [column("key", postgresql.BIGINT)], [(key,) for key in keys])
        await connection.execute(select(func.pg_advisory_xact_lock_shared(each.c.key)))

    async def own_model(self, connection: AsyncConnection, model: tuple[str, str]) -> None:
        """Take the exclusive advisory lock."""
        await connection.execute(
            select(func.pg_advisory_xact_lock(bindparam(None, _model_key(model), postgresql.BIGINT)))
        )

    async def reserve(self, connection: AsyncConnection, count: int) -> int:
        """Take steps of a sequence, each of which stands for a block of ids; for more than one, adjacent steps."""
        steps = -(-count // _BLOCK)
        while True:
            query = text("SELECT nextval('outbox_block_seq') FROM generate_series(1, :steps)")
            taken = list((await connection.scalars(query, {"steps": steps})).all())
            if taken[-1] - taken[0] == steps - 1:
                return int(taken[0]) * _BLOCK

    async def bulk_insert(self, connection: AsyncConnection, target: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Use COPY for many rows."""
        if len(rows) < _COPY_FROM:
            if rows:
                await connection.execute(target.insert(), list(rows))
            return
        names = list(rows[0])
        encoders = _encoders([target.c[name] for name in names], self._types)
        records = (
            tuple(row[name] if code is None else code(row[name]) for name, code in zip(names, encoders, strict=True))
            for row in rows
        )
        await connection.exec_driver_sql("SELECT 1")  # the driver has begun the transaction from here on
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, asyncpg.Connection)
        await driver.copy_records_to_table(target.name, records=records, columns=names)

    def migration_lock(self, connection: Connection) -> None:
        """Take an advisory lock for the transaction."""
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))

    def is_transient(self, error: BaseException) -> bool:
        """Look at the SQLSTATE; an error of the network has none."""
        if isinstance(error, exc.TimeoutError | OSError | TimeoutError | asyncpg.InterfaceError):
            return True
        if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
            return True
        state = getattr(_original(error), "sqlstate", None) or ""
        return state.startswith(self._TRANSIENT_CLASSES) or state == self._LOCK_NOT_AVAILABLE

    def is_duplicate(self, error: BaseException) -> bool:
        """Look at the SQLSTATE."""
        return getattr(_original(error), "sqlstate", None) == self._UNIQUE_VIOLATION


def dialect_of(url: str) -> tuple[SqlDialect, URL]:
    """Choose by the URL, with or without the driver's name in it.

    Raises:
        ValueError: if it is neither SQLite's nor PostgreSQL's.
    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise ValueError("not the URL of a database (sqlite+aiosqlite:///FILE, postgresql+asyncpg://…)") from None
    match parsed.get_backend_name():
        case "sqlite":
            return SQLite(), parsed
        case "postgresql":
            return PostgreSQL(), parsed
        case other:
            raise ValueError(f"no such kind of database here: {other} (there are sqlite and postgresql)")


def _original(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, exc.DBAPIError) else error


def _encoders(columns: Sequence[ColumnClause[Any]], types: Dialect) -> list[Callable[[Any], Any] | None]:
    return [one.type.dialect_impl(types).bind_processor(types) for one in columns]


def _model_key(model: tuple[str, str]) -> int:
    digest = blake2b(json.dumps(model).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
