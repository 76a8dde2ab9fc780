"""PostgreSQL through asyncpg."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, ClassVar

import asyncpg
from sqlalchemy import (
    URL,
    BindParameter,
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    event,
    exc,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.dml import ReturningDelete
from sqlalchemy.sql.expression import ColumnClause

from chfw_sr.storage.columns import Instant

from .base import SqlDialect, Upsert, encode, original_of, places

_BLOCK = 2**16
"""Outbox ids that one step of PostgreSQL's sequence stands for."""

_COPY_FROM = 32
"""Rows from which COPY beats INSERT."""

_PROBING = "SELECT " + ", ".join(
    f"set_config('enable_{way}', 'off', true)" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")
)
"""Begins a transaction that finds its rows by probing indexes."""

_NESTING = text("SELECT set_config('enable_nestloop', :nesting, true)")

_RESERVE = text("SELECT nextval('outbox_block_seq') FROM generate_series(1, :steps)")

_MIGRATION_LOCK = 0x63686677  # "chfw"


class PostgreSQL(SqlDialect):
    """PostgreSQL through asyncpg."""

    reading: ClassVar[Mapping[str, object]] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    writing: ClassVar[Mapping[str, object]] = {"isolation_level": "READ COMMITTED"}
    single_writer: ClassVar[bool] = False

    _types: Dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]

    _TRANSIENT_CLASSES = ("08", "40", "53", "57", "58")
    """Connection, rollback (serialisation, deadlock), resources, intervention, system."""

    _LOCK_NOT_AVAILABLE = "55P03"
    _UNIQUE_VIOLATION = "23505"

    def create_engine(self, url: URL) -> AsyncEngine:
        """Make an engine that leaves out connections which were closed, so that a restarted server is not an error."""
        settings = {
            "application_name": "chfw_sr",
            "lock_timeout": str(self._lock_timeout_ms),
            "timezone": "UTC",
            "jit": "off",  # compiling takes longer than our statements do
            "work_mem": "32MB",  # a list of 50,000 hubs is hashed, whatever is estimated
        }
        engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"), connect_args={"server_settings": settings, "timeout": 10}
        )

        @event.listens_for(engine.sync_engine, "checkout")
        def check(adapted: Any, _record: object, _proxy: object) -> None:
            # To ask the server (`pool_pre_ping`) would cost each transaction three round trips.
            if adapted.driver_connection.is_closed():
                raise exc.DisconnectionError("the server closed the connection")

        return engine

    def given(self, name: str, columns: Sequence[ColumnClause[Any]]) -> FromClause:
        """Name a table, through `unnest`."""
        return _unnest(name, columns, [bindparam(f"{name}_{one.name}", type_=_array(one)) for one in columns])

    def giving(
        self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]
    ) -> Mapping[str, Any]:
        """Give an array a column."""
        return {f"{name}_{one.name}": array for one, array in zip(columns, _turned(columns, data), strict=True)}

    def rows(self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]) -> FromClause:
        """Give values as a table, through `unnest`."""
        arrays = zip(columns, _turned(columns, data), strict=True)
        return _unnest(name, columns, [bindparam(None, array, type_=_array(one)) for one, array in arrays])

    def among(self, one: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
        """Use an array."""
        return one == func.any(bindparam(None, list(values), type_=postgresql.ARRAY(one.type)))

    def among_given(self, one: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Use an array."""
        return one == func.any(bindparam(name, type_=postgresql.ARRAY(one.type)))

    def values(self, among: Sequence[Any]) -> Any:
        """Give an array."""
        return list(among)

    def named(self, target: Table, given: FromClause) -> ColumnElement[bool]:
        """Use `ctid`, which stays as it is for as long as the rows are locked or nobody else changes them."""
        each = places(target, "ctid", given).scalar_subquery()
        return literal_column(f"{target.name}.ctid") == func.any(func.array(each))

    def insert(self, target: Table) -> Upsert:
        """Begin an INSERT."""
        return postgresql.insert(target)

    def json_object(self, **members: ColumnElement[str] | str) -> ColumnElement[Any]:
        """Make JSONB."""
        return func.jsonb_build_object(*(part for member in members.items() for part in member))

    def hour(self, at: ColumnElement[datetime]) -> ColumnElement[datetime]:
        """Use `date_trunc`; the session's time zone is UTC."""
        return func.date_trunc("hour", at, type_=Instant)

    def for_update(self, query: Select[Any], *, skip_locked: bool = False, of: FromClause | None = None) -> Select[Any]:
        """Add FOR UPDATE."""
        return query.with_for_update(skip_locked=skip_locked, of=of)

    async def begin(self, connection: AsyncConnection, *, probing: bool = False) -> None:
        """Begin with a statement: the driver sends BEGIN with the first."""
        await connection.begin()
        await connection.exec_driver_sql(_PROBING if probing else "SELECT 1")

    async def sweep(self, engine: AsyncEngine, targets: Sequence[Table]) -> None:
        """Vacuum them, unless somebody does already; a role that does not own them gets a warning from the server."""
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            names = ", ".join(target.name for target in targets)
            await connection.exec_driver_sql(f"VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF) {names}")

    async def lock_models(
        self, connection: AsyncConnection, shared: Iterable[tuple[str, str]], owned: Iterable[tuple[str, str]]
    ) -> None:
        """Take advisory locks, shared or exclusive, all in one order."""
        keys = {_model_key(model): False for model in shared} | {_model_key(model): True for model in owned}
        if keys:
            given = self.giving("models", _MODELS, sorted(keys.items()))
            await connection.execute(self.once(_lock_models), given)

    async def reserve(self, connection: AsyncConnection, count: int) -> int:
        """Take steps of a sequence, each of which stands for a block of ids; for more than one, adjacent steps."""
        steps = -(-count // _BLOCK)
        while True:
            taken = (await connection.scalars(_RESERVE, {"steps": steps})).all()
            if taken[-1] - taken[0] == steps - 1:
                return int(taken[0]) * _BLOCK

    async def load(
        self, connection: AsyncConnection, target: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Use COPY for many rows."""
        if len(rows) < _COPY_FROM:
            if rows:
                values = [dict(zip(columns, row, strict=True)) for row in rows]
                await connection.execute(target.insert(), values)
            return
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, asyncpg.Connection)
        records = encode([target.c[name] for name in columns], rows, self._types)
        await driver.copy_records_to_table(target.name, records=records, columns=columns)

    async def owns(self, connection: AsyncConnection, target: Table) -> bool:
        """Ask for the owner's role."""
        query = text("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(:name)")
        return bool(await connection.scalar(query, {"name": target.name}))

    async def move(
        self,
        connection: AsyncConnection,
        build: Callable[[SqlDialect], ReturningDelete[Any]],
        given: Mapping[str, Any],
        target: Table,
        told: Mapping[str, Any],
        by: ColumnElement[str],
    ) -> Mapping[str, int]:
        """Do it in one statement."""
        statement = self.once(_move, build, target, tuple(told), by.name)
        told_values = {f"told_{name}": value for name, value in told.items()}
        return dict(tuple(row) for row in await connection.execute(statement, {**given, **told_values}))

    def migration_lock(self, connection: Connection) -> None:
        """Take an advisory lock for the transaction."""
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))

    def is_transient(self, error: BaseException) -> bool:
        """Look at the SQLSTATE; an error of the network has none."""
        if isinstance(error, exc.TimeoutError | OSError | TimeoutError | asyncpg.InterfaceError):
            return True
        if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
            return True
        state = getattr(original_of(error), "sqlstate", None) or ""
        return state.startswith(self._TRANSIENT_CLASSES) or state == self._LOCK_NOT_AVAILABLE

    def is_duplicate(self, error: BaseException) -> bool:
        """Look at the SQLSTATE."""
        return getattr(original_of(error), "sqlstate", None) == self._UNIQUE_VIOLATION

    def listed(self, name: str, one: ColumnClause[Any]) -> FromClause:
        """Take a text apart in the server."""
        names = func.unnest(func.string_to_array(bindparam(name, type_=one.type), " "))
        named = names.table_valued(column(one.name, one.type), with_ordinality="place", name=name)
        return named.render_derived()

    def listing(self, names: Iterable[str]) -> str:
        """Give a text, with spaces between the names."""
        return " ".join(names)

    async def put(
        self,
        connection: AsyncConnection,
        target: Table,
        names: Sequence[str],
        rows: Select[Any],
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Save first and insert what is missing, in the order of the key.

        ON CONFLICT takes half as long again for a row that is new, and writes every other anew, as it is or not.
        Joins are hashed: for a campaign that statistics take for empty, comparing each row with each seems as cheap.
        """
        new = rows.subquery("new").columns
        values = dict(zip(names, new, strict=True))
        key = [each.name for each in target.primary_key]
        same = and_(*(target.c[name] == values[name] for name in key))
        others = {name: value for name, value in values.items() if name not in key}
        differs = or_(*(target.c[name].is_distinct_from(value) for name, value in others.items()))
        await connection.execute(_NESTING, {"nesting": "off"})
        await connection.execute(update(target).where(same, differs).values(others), given)
        missing = select(*new).where(~exists().where(same)).order_by(*(values[name] for name in key))
        await connection.execute(target.insert().from_select(names, missing), given)
        await connection.execute(_NESTING, {"nesting": "on"})


_MODELS = (column("key", postgresql.BIGINT), column("own", Boolean))


def _lock_models(dialect: SqlDialect) -> Select[Any]:
    models = dialect.given("models", _MODELS)
    own = func.pg_advisory_xact_lock(models.c.key)
    share = func.pg_advisory_xact_lock_shared(models.c.key)
    return select(case((models.c.own, cast(own, Text)), else_=cast(share, Text)))


def _move(
    dialect: SqlDialect,
    build: Callable[[SqlDialect], ReturningDelete[Any]],
    target: Table,
    told: Sequence[str],
    by: str,
) -> Select[Any]:
    moved = build(dialect).cte("moved")
    names = [each.name for each in moved.c if each.name in target.c]
    told_columns = (bindparam(f"told_{name}", type_=target.c[name].type) for name in told)
    put = target.insert().from_select([*names, *told], select(*(moved.c[name] for name in names), *told_columns))
    return select(moved.c[by], func.count()).group_by(moved.c[by]).add_cte(put.cte("put"))


def _array(one: ColumnClause[Any]) -> postgresql.ARRAY[Any]:
    """Give the type of a column's values; told to have one dimension, it takes a list that is JSON for one value."""
    return postgresql.ARRAY(one.type, dimensions=1)


def _turned(columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Turn rows into columns."""
    return [list(values) for values in zip(*data, strict=True)] if data else [[] for _ in columns]


def _unnest(name: str, columns: Sequence[ColumnClause[Any]], arrays: Sequence[BindParameter[Any]]) -> FromClause:
    named = (column(one.name, one.type) for one in columns)
    return func.unnest(*arrays).table_valued(*named, name=name).render_derived()


def _model_key(model: tuple[str, str]) -> int:
    digest = blake2b(json.dumps(model).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
