"""PostgreSQL through asyncpg."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import asyncpg
from sqlalchemy import (
    URL,
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    FromClause,
    Select,
    Table,
    and_,
    bindparam,
    column,
    exc,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.expression import ColumnClause

from chfw_sr.storage.columns import Instant

from . import conversation
from .base import SqlDialect
from .combined import (
    BLOCK,
    change_all,
    insert,
    lock_in_order,
    lock_keys,
    reserve,
    reserve_block,
    take_steps,
    together,
)
from .conversation import attend, driver_of, is_free
from .prepared import Prepared, Together
from .terms import Columns, Modification, Question, Rows, Step, Upsert, Ways, encode, original_of, places

_COPY_FROM = 200
"""Rows from which COPY, which takes two round trips of its own, beats INSERT."""

_BEGIN = "BEGIN"
_PROBING = {f"enable_{way}": "off" for way in ("seqscan", "bitmapscan", "mergejoin", "hashjoin")}
_WAYS = {
    Ways.PROBING: _PROBING,
    Ways.MATCHING: {name: off for name, off in _PROBING.items() if name != "enable_hashjoin"},
    Ways.KEPT: _PROBING | {"plan_cache_mode": "force_generic_plan"},
}
"""Settings of the server that limit how it finds rows."""

_BEGINNINGS = {
    ways: "; ".join((_BEGIN, *(f"SET LOCAL {name} = {value}" for name, value in settings.items())))
    for ways, settings in _WAYS.items()
}
"""Begin transactions whose ways are limited; each goes to the server in one piece."""

_NESTING = text("SELECT set_config('enable_nestloop', :nesting, true)")

_PLAN_ANEW = "; ".join(
    ("SET LOCAL plan_cache_mode = force_custom_plan", *(f"SET LOCAL {name} TO DEFAULT" for name in _PROBING))
)

_RAISE = text(
    "SELECT set_config(name, greatest(setting::bigint, :kib)::text, true) FROM pg_settings WHERE name = :name"
)
_MUCH_MEMORY = {"work_mem": 128 * 1024, "maintenance_work_mem": 256 * 1024}
"""KiB: a comparison hashes in twice the former; the workers of an index share the latter, enough for a million rows."""

_MIGRATION_LOCK = 0x63686677  # "chfw"


class PostgreSQL(SqlDialect):
    """PostgreSQL through asyncpg.

    The beginning and the end of a transaction are ours: SQLAlchemy, which would begin with the first of its own
    statements, takes the connection for one that commits each by itself, and tells us when to say what.
    """

    reading: ClassVar[Mapping[str, object]] = {"chfw_begin": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
    glancing: ClassVar[Mapping[str, object]] = {}
    kept: ClassVar[int] = 2
    single_writer: ClassVar[bool] = False

    _types: Dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]

    _LOST_CLASSES = ("08", "57P")
    """Connection, and what an administrator or a crash does to it."""

    _TRANSIENT_CLASSES = ("40", "53", "57", "58")
    """Rollback (serialisation, deadlock), resources, intervention, system."""

    _LOCK_NOT_AVAILABLE = "55P03"
    _UNIQUE_VIOLATION = "23505"

    def create_engine(self, url: URL) -> AsyncEngine:
        """Make an engine that leaves out connections which were closed, so that a restarted server is not an error."""
        return self._engine(url, {})

    def limited(self, engine: AsyncEngine, ways: Ways) -> AsyncEngine:
        """Make an engine whose few connections are all limited so: one statement alone has no BEGIN to say it with."""
        return self._engine(engine.url, _WAYS[ways], pool_size=2, max_overflow=3)

    def _engine(self, url: URL, others: Mapping[str, str], **size: int) -> AsyncEngine:
        settings = {
            "application_name": "chfw_sr",
            "lock_timeout": str(self._lock_timeout_ms),
            "timezone": "UTC",
            "jit": "off",  # compiling takes longer than our statements do
            "work_mem": "32MB",  # a list of 50,000 hubs is hashed, whatever is estimated
            **others,
        }
        kept = {"max_cacheable_statement_size": 0}  # as long as it may be: ours are few, and planned once
        engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            connect_args={"server_settings": settings, "timeout": 10, **kept},
            isolation_level="AUTOCOMMIT",
            pool_use_lifo=True,  # few connections do nearly all the work, and have its plans and tables at hand
            **size,
        )
        attend(engine)
        return engine

    async def run(
        self,
        connection: AsyncConnection,
        build: Callable[..., Executable],
        parameters: Mapping[str, Any] | None = None,
        *given: Hashable,
    ) -> Sequence[Any]:
        """Go straight to the driver."""
        prepared = self.once(_prepare, build, *given)
        return prepared.rows(await self._fetch(connection, prepared.sql, prepared.arguments(parameters or {})))

    async def _fetch(
        self, connection: AsyncConnection, statement: str, arguments: Sequence[Any]
    ) -> Sequence[asyncpg.Record]:
        known = _beneath(connection)
        for hear in known.engine.dispatch.before_cursor_execute:  # who listens hears of these, too
            hear(known, None, statement, tuple(arguments), None, False)
        records: Sequence[asyncpg.Record] = await driver_of(known).fetch(statement, *arguments)
        return records

    def given(self, name: str, columns: Sequence[ColumnClause[Any]]) -> FromClause:
        """Name a table, through `unnest`."""
        return _unnest(name, columns, [bindparam(f"{name}_{one.name}", type_=_array(one)) for one in columns])

    def giving(
        self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]
    ) -> Mapping[str, Any]:
        """Give an array a column, and nothing if there are no rows: an array that is not given is NULL."""
        if not data:
            return {}
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

    def among_found(self, one: ColumnElement[Any], query: Select[Any]) -> ColumnElement[bool]:
        """Use an array; with IN it would be a join."""
        return one == func.any(func.array(query.scalar_subquery()))

    def named(self, target: Table, given: FromClause) -> ColumnElement[bool]:
        """Use `ctid`, which stays as it is for as long as the rows are locked or nobody else changes them."""
        each = places(target, "ctid", given).scalar_subquery()
        return literal_column(f"{target.name}.ctid") == func.any(func.array(each))

    def belonging(
        self, target: Table, given: FromClause, where: Callable[[FromClause], ColumnElement[bool]]
    ) -> ColumnElement[bool]:
        """Use `ctid`."""
        sought = target.alias("sought")
        place: Select[Any] = select(literal_column("sought.ctid").label("place")).select_from(sought)
        its = _each(place.where(where(sought)), sought).lateral("its")
        places_of_all = select(its.c.place).select_from(given.join(its, true())).scalar_subquery()
        return literal_column(f"{target.name}.ctid") == func.any(func.array(places_of_all))

    def with_each(
        self, given: FromClause, target: Table, where: ColumnElement[bool], *, or_none: bool = False
    ) -> tuple[FromClause, Columns]:
        """Use LATERAL."""
        its = _each(select(target).where(where), target).lateral(target.name)
        return given.join(its, true(), isouter=or_none), its.c

    def some(self, target: FromClause, *where: ColumnElement[bool]) -> ColumnElement[bool]:
        """Use EXISTS."""
        return _each(select(literal_column("1")).select_from(target).where(*where), target).exists()

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

    def unchanged(self, target: Table) -> ColumnElement[bool]:
        """Compare `xmin`, which is another one for each change, with that of the row in the statement's snapshot."""
        seen = target.alias("seen")
        same = (seen.c[each.name] == each for each in target.primary_key)
        version: Select[Any] = select(literal_column("seen.xmin")).select_from(seen).where(*same)
        return literal_column(f"{target.name}.xmin") == version.correlate(target).scalar_subquery()

    def writing(self, ways: Ways) -> Mapping[str, object]:
        """Say the ways to the server together with BEGIN."""
        return {"chfw_begin": _BEGINNINGS.get(ways, _BEGIN)}

    def is_good(self, connection: AsyncConnection) -> bool:
        """Ask the driver."""
        return not connection.invalidated and is_free(driver_of(_beneath(connection)))

    async def begin(self, connection: AsyncConnection) -> None:
        """Say so to the server."""
        await conversation.begin(_beneath(connection))

    async def commit(self, connection: AsyncConnection) -> None:
        """Say so to the server."""
        await conversation.commit(_beneath(connection))

    async def plan_anew(self, connection: AsyncConnection) -> None:
        """Have every statement planned for its values; by itself the server would soon take a kept plan for cheaper."""
        await driver_of(_beneath(connection)).execute(_PLAN_ANEW)

    async def sweep(self, engine: AsyncEngine, targets: Sequence[Table]) -> None:
        """Vacuum them, unless somebody does already; a role that does not own them gets a warning from the server."""
        async with engine.connect() as connection:
            names = ", ".join(target.name for target in targets)
            await connection.exec_driver_sql(f"VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF) {names}")

    async def ask(self, connection: AsyncConnection, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        """Ask by one statement, always the same: a question with nothing to ask costs a microsecond."""
        if not any(each.is_asked for each in questions):
            return [()] * len(questions)
        return await self._ask(connection, together, questions)

    async def lock(self, connection: AsyncConnection, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        """Lock by one statement."""
        asked = [each for each in questions if each.is_asked]
        answers = iter(await self._ask(connection, lock_in_order, asked) if asked else ())
        return [next(answers) if each.is_asked else () for each in questions]

    async def _ask(
        self, connection: AsyncConnection, combine: Callable[..., Any], questions: Sequence[Question]
    ) -> Sequence[Sequence[Any]]:
        """Execute several statements as one."""
        combined = self.once(_prepare_together, combine, *(each.build for each in questions))
        given = _given_together(questions)
        return combined.answers(await self._fetch(connection, combined.sql, combined.arguments(given)))

    async def change(self, connection: AsyncConnection, changes: Sequence[Modification], added: Iterable[Rows]) -> None:
        """Use one statement, always the same, and COPY for many rows of a table."""
        given = _given_together(changes)
        tables: list[tuple[Table, Sequence[str]]] = []
        many: list[Rows] = []
        is_needed = any(each.is_made for each in changes)
        for target, columns, rows in added:
            few = rows if len(rows) < _COPY_FROM else ()
            if rows and not few:
                many.append((target, columns, rows))
            if few:
                is_needed = True
                given |= self._giving_rows(target, columns, few)
            tables.append((target, tuple(columns)))
        if is_needed:
            await self.run(connection, change_all, given, tuple(each.build for each in changes), *tables)
        for each in many:
            await self.load(connection, *each)

    def _giving_rows(self, target: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Mapping[str, Any]:
        """Give the parameters that are a table's rows."""
        return self.giving(target.name, [target.c[name] for name in columns], rows)

    def locking_keys(self, keys: Select[Any]) -> Select[Any]:
        """Take advisory locks, shared or exclusive, in the order of the hashed keys."""
        return lock_keys(keys)

    async def reserve(self, connection: AsyncConnection, count: int) -> int:
        """Take steps of a sequence, each of which stands for a block of ids; for more than one, adjacent steps."""
        steps = -(-count // BLOCK)
        while True:
            taken = [number for (number,) in await self.run(connection, reserve, {"steps": steps})]
            if taken[-1] - taken[0] == steps - 1:
                return int(taken[0]) * BLOCK

    def reserving(self) -> Question:
        """Take one step of the sequence."""
        return Question(reserve_block, {}, is_asked=True)

    async def load(
        self, connection: AsyncConnection, target: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Use COPY for many rows."""
        if not rows:
            return
        if len(rows) < _COPY_FROM:
            given = self._giving_rows(target, columns, rows)
            await self.run(connection, insert, given, target, tuple(columns))
            return
        records = encode([target.c[name] for name in columns], rows, self._types)
        await driver_of(_beneath(connection)).copy_records_to_table(target.name, records=records, columns=columns)

    async def owns(self, connection: AsyncConnection, target: Table) -> bool:
        """Ask for the owner's role."""
        query = text("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(:name)")
        return bool(await connection.scalar(query, {"name": target.name}))

    async def lock_table(self, connection: AsyncConnection, target: Table) -> None:
        """Lock it as its indexes' change would."""
        await connection.exec_driver_sql(f"LOCK TABLE {target.name} IN ACCESS EXCLUSIVE MODE")

    async def take_memory(self, connection: AsyncConnection) -> None:
        """Raise what sorting and hashing may use, unless the server allows more already."""
        for name, kib in _MUCH_MEMORY.items():
            await connection.execute(_RAISE, {"name": name, "kib": kib})

    async def drop_indexes(self, connection: AsyncConnection, target: Table) -> None:
        """Drop the primary key, too."""
        await super().drop_indexes(connection, target)
        await connection.exec_driver_sql(f"ALTER TABLE {target.name} DROP CONSTRAINT {target.primary_key.name}")

    async def make_indexes(self, connection: AsyncConnection, target: Table) -> None:
        """Make the primary key, too."""
        name, key = target.primary_key.name, ", ".join(target.primary_key.columns.keys())
        await connection.exec_driver_sql(f"ALTER TABLE {target.name} ADD CONSTRAINT {name} PRIMARY KEY ({key})")
        await super().make_indexes(connection, target)

    async def empty(self, connection: AsyncConnection, target: Table) -> None:
        """Leave nothing to be swept up."""
        await connection.exec_driver_sql(f"TRUNCATE {target.name}")

    def gathered(self, number: ColumnElement[int]) -> ColumnElement[Any]:
        """Gather them in an array."""
        return func.array_agg(number)

    def each_of(self, numbers: ColumnElement[Any], name: str) -> FromClause:
        """Use `unnest`."""
        return func.unnest(numbers).table_valued(column("value", BigInteger), name=name).render_derived()

    def locked(self, query: Select[Any], name: str) -> FromClause:
        """Use FOR UPDATE in a WITH; what was changed meanwhile is seen as it has become."""
        return query.with_for_update().cte(name)

    async def at_once(
        self, connection: AsyncConnection, steps: tuple[Step, ...], parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Carry them out as one statement, of which all parts see one moment."""
        return await self.run(connection, take_steps, parameters, steps)

    def migration_lock(self, connection: Connection) -> None:
        """Take an advisory lock for the transaction."""
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))

    def is_lost(self, error: BaseException) -> bool:
        """Look at the SQLSTATE; an error of the network has none, nor has the driver's amid the server's last word."""
        if isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError):
            return True
        if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
            return True
        return _state(error).startswith(self._LOST_CLASSES)

    def is_transient(self, error: BaseException) -> bool:
        """Look at the SQLSTATE, besides."""
        if isinstance(error, exc.TimeoutError | asyncpg.InvalidCachedStatementError) or self.is_lost(error):
            return True
        state = _state(error)
        return state.startswith(self._TRANSIENT_CLASSES) or state == self._LOCK_NOT_AVAILABLE

    def is_duplicate(self, error: BaseException, *of: Table) -> bool:
        """Look at the SQLSTATE, and at the table that comes with it."""
        if _state(error) != self._UNIQUE_VIOLATION:
            return False
        return not of or getattr(original_of(error), "table_name", None) in [target.name for target in of]

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


def _state(error: BaseException) -> str:
    """Give the SQLSTATE, where there is one."""
    return getattr(original_of(error), "sqlstate", None) or ""


def _beneath(connection: AsyncConnection) -> Connection:
    """Give the connection of which this is the asynchronous side."""
    known = connection.sync_connection
    assert known is not None
    return known


def _each(query: Select[Any], target: FromClause) -> Select[Any]:
    """Have a query of one table carried out for each row around it: OFFSET lets no join or hash be made of it."""
    return query.offset(0).correlate_except(target)


def _given_together(parts: Sequence[Question] | Sequence[Modification]) -> dict[str, Any]:
    return {name: value for each in parts for name, value in each.given.items()}


def _prepare(dialect: "PostgreSQL", build: Callable[..., Any], *given: Hashable) -> Prepared:
    return Prepared(build(dialect, *given), dialect._types)  # noqa: SLF001 - its own


def _prepare_together(
    dialect: "PostgreSQL",
    combine: Callable[[Sequence[Select[Any]]], Select[Any]],
    *builds: Callable[[SqlDialect], Select[Any]],
) -> Together:
    return Together([build(dialect) for build in builds], combine, dialect._types)  # noqa: SLF001 - its own


def _array(one: ColumnClause[Any]) -> postgresql.ARRAY[Any]:
    """Give the type of a column's values; told to have one dimension, it takes a list that is JSON for one value."""
    return postgresql.ARRAY(one.type, dimensions=1)


def _turned(columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Turn rows into columns."""
    return [list(values) for values in zip(*data, strict=True)] if data else [[] for _ in columns]


def _unnest(name: str, columns: Sequence[ColumnClause[Any]], arrays: Sequence[BindParameter[Any]]) -> FromClause:
    named = (column(one.name, one.type) for one in columns)
    return func.unnest(*arrays).table_valued(*named, name=name).render_derived()
