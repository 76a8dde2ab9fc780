"""What the store asks of a database, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from sqlalchemy import URL, ColumnElement, Connection, Executable, FromClause, Select, Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateIndex, CreateTable, DropIndex
from sqlalchemy.sql.expression import ColumnClause

from .terms import Columns, Modification, Question, Rows, Step, Upsert, Ways

Built = TypeVar("Built")

LOCK_TIMEOUT_MS = 15_000
"""How long a transaction waits for another's lock before the store is called busy."""


class SqlDialect(ABC):
    """What the rest of the store asks of a database.

    Args:
        lock_timeout_ms: how long to wait for a lock.
    """

    reading: ClassVar[Mapping[str, object]]
    """Execution options of a transaction that only reads: it sees one moment."""

    glancing: ClassVar[Mapping[str, object]]
    """Execution options of a single statement that only reads."""

    kept: ClassVar[int]
    """How many connections each kind of work may keep between two uses."""

    single_writer: ClassVar[bool]
    """Whether a transaction that writes has the whole database to itself, so that nothing needs a lock."""

    def __init__(self, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> None:
        self._lock_timeout_ms = lock_timeout_ms
        self._built: dict[object, Any] = {}

    def once(self, build: Callable[..., Built], *given: Hashable) -> Built:
        """Give the statement that a function builds for this dialect; it is built only once, which saves most of it.

        Args:
            build: the function; it takes this dialect first.
            given: what else it takes; for each of these there is another statement.
        """
        key = (build, *given)
        if key not in self._built:
            self._built[key] = build(self, *given)
        built: Built = self._built[key]
        return built

    async def run(
        self,
        connection: AsyncConnection,
        build: Callable[..., Executable],
        parameters: Mapping[str, Any] | None = None,
        *given: Hashable,
    ) -> Sequence[Any]:
        """Execute a statement that is built only once; give its rows, of which each value has a name.

        Args:
            connection: in a transaction.
            build: makes the statement; see `once`.
            parameters: those that the statement has no values of.
            given: what else `build` takes.
        """
        found = await connection.execute(self.once(build, *given), parameters)
        return found.all() if found.returns_rows else ()

    @abstractmethod
    def create_engine(self, url: URL) -> AsyncEngine:
        """Make an engine; it connects when it is first used."""

    @abstractmethod
    def limited(self, engine: AsyncEngine, ways: Ways) -> AsyncEngine:
        """Give an engine of the same database for `at_once`.

        Args:
            engine: as it was made.
            ways: how its statements may find their rows.
        """

    @abstractmethod
    def given(self, name: str, columns: Sequence[ColumnClause[Any]]) -> FromClause:
        """Name a table to join with, of which the values are given when the statement is executed.

        Args:
            name: of the table.
            columns: their names and types.
        """

    @abstractmethod
    def giving(
        self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]
    ) -> Mapping[str, Any]:
        """Give the parameters that are the values of a given table, a few however many rows there are.

        Args:
            name: of the table.
            columns: their names and types.
            data: a sequence of values for each row, in the order of the columns.
        """

    @abstractmethod
    def rows(self, name: str, columns: Sequence[ColumnClause[Any]], data: Sequence[Sequence[Any]]) -> FromClause:
        """Give values as a table to join with; for a statement that is built for them alone."""

    @abstractmethod
    def among(self, one: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
        """Make the condition that a column has one of many values, in one parameter."""

    @abstractmethod
    def among_given(self, one: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Make the condition that a column has one of many values, which come when the statement is executed.

        Args:
            one: the column.
            name: of the parameter; `values` makes its value.
        """

    @abstractmethod
    def values(self, among: Sequence[Any]) -> Any:
        """Give the parameter of `among_given`."""

    @abstractmethod
    def among_found(self, one: ColumnElement[Any], query: Select[Any]) -> ColumnElement[bool]:
        """Make the condition that a column has one of the values that a query gives; each is looked up by itself."""

    @abstractmethod
    def named(self, target: Table, given: FromClause) -> ColumnElement[bool]:
        """Make the condition that a given table names a row by the whole primary key.

        Each row is looked up by itself: a join would leave the planner the choice to read the target from end to end.

        Args:
            target: whose rows.
            given: has the columns of the target's primary key.
        """

    @abstractmethod
    def belonging(
        self, target: Table, given: FromClause, where: Callable[[FromClause], ColumnElement[bool]]
    ) -> ColumnElement[bool]:
        """Make the condition that a row belongs to one of a given table; they are looked up for each of its rows.

        Args:
            target: whose rows.
            given: the table.
            where: says of the target, under another name, what belongs to a row of the given table.
        """

    @abstractmethod
    def with_each(
        self, given: FromClause, target: Table, where: ColumnElement[bool], *, or_none: bool = False
    ) -> tuple[FromClause, Columns]:
        """Join to each row of a given table what belongs to it of another, looked up for each by itself.

        A join would leave the planner the choice to begin with the target, and to read it from end to end. That seems
        to cost nothing for as long as the table is no larger than it was when a plan was made that is kept.

        Args:
            given: the table, or tables that are joined already.
            target: whose rows are looked up.
            where: says of the target which ones belong to a row of the given table.
            or_none: whether a row to which nothing belongs is there, too, with NULL.

        Returns:
            What to select from, and the target's columns in it.
        """

    @abstractmethod
    def some(self, target: FromClause, *where: ColumnElement[bool]) -> ColumnElement[bool]:
        """Make the condition that there is such a row, which is looked up each time.

        What EXISTS says the planner may as well find out for all rows at once, and read the target from end to end.

        Args:
            target: a table that the statement around has not, or under a name of its own.
            where: says which row.
        """

    @abstractmethod
    def insert(self, target: Table) -> Upsert:
        """Begin an INSERT that may go on with ON CONFLICT."""

    @abstractmethod
    def json_object(self, **members: ColumnElement[str] | str) -> ColumnElement[Any]:
        """Make a JSON object of texts, in the database."""

    @abstractmethod
    def hour(self, at: ColumnElement[datetime]) -> ColumnElement[datetime]:
        """Give the beginning of the hour that an instant lies in."""

    @abstractmethod
    def for_update(self, query: Select[Any], *, skip_locked: bool = False, of: FromClause | None = None) -> Select[Any]:
        """Lock the rows that a query finds, or those of one table among them, for this transaction."""

    @abstractmethod
    def unchanged(self, target: Table) -> ColumnElement[bool]:
        """Make the condition that a row, now locked, is as this statement has seen it from the beginning.

        A lock that is had at last is had of the newest row, while all else that the statement reads is as old as it is.
        """

    @abstractmethod
    def writing(self, ways: Ways) -> Mapping[str, object]:
        """Give the execution options of a transaction that writes.

        Args:
            ways: how its statements may find their rows.
        """

    @abstractmethod
    def is_good(self, connection: AsyncConnection) -> bool:
        """Tell whether a connection that was kept may be used again, as far as can be told from this end."""

    async def begin(self, connection: AsyncConnection) -> None:
        """Begin the transaction now, not with the first statement; fails if the server is away."""
        await connection.begin()

    async def commit(self, connection: AsyncConnection) -> None:
        """Commit the transaction."""
        await connection.commit()

    @abstractmethod
    async def plan_anew(self, connection: AsyncConnection) -> None:
        """Leave `Ways.KEPT` for the rest of the transaction: there are very many values, or whole campaigns."""

    @abstractmethod
    async def sweep(self, engine: AsyncEngine, targets: Sequence[Table]) -> None:
        """Make place in tables whose rows come and go, so that nobody has to step over what is gone."""

    async def ask(self, connection: AsyncConnection, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        """Execute statements that only read, and none of which waits for another's answer; give the rows of each.

        Args:
            connection: in a transaction.
            questions: always the same ones in the same order; where two have a parameter by the same name, it is the
                same.
        """
        return await self._one_by_one(connection, questions)

    async def lock(self, connection: AsyncConnection, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        """Execute statements that lock the rows that they give, each after the one before; give the rows of each.

        Args:
            connection: in a transaction.
            questions: as for `ask`; none looks at what another one locks.
        """
        return await self._one_by_one(connection, questions)

    async def _one_by_one(self, connection: AsyncConnection, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        return [await self.run(connection, each.build, each.given) if each.is_asked else () for each in questions]

    async def change(self, connection: AsyncConnection, changes: Sequence[Modification], added: Iterable[Rows]) -> None:
        """Change rows, and insert others; no row is named twice, and nothing looks at what another one changes.

        Args:
            connection: in a transaction.
            changes: always the same ones in the same order; no two have parameters by the same name.
            added: each as `load` takes it; always the same tables, too, each once, even if none of its rows is.
        """
        for each in changes:
            if each.is_made:
                await self.run(connection, each.build, each.given)
        for target, columns, rows in added:
            await self.load(connection, target, columns, rows)

    @abstractmethod
    def locking_keys(self, keys: Select[Any]) -> Select[Any]:
        """Lock what has no row of its own until this transaction ends, all in one order.

        Args:
            keys: finds them: texts, and last whether to lock it for ourselves or to share it.
        """

    @abstractmethod
    async def reserve(self, connection: AsyncConnection, count: int) -> int:
        """Reserve consecutive outbox ids; give the first."""

    def reserving(self) -> Question | None:
        """Give what may be asked beside other questions and reserves ids then, if there is such a thing.

        Its one row is the first of the ids and the first behind them.
        """
        return None

    @abstractmethod
    async def load(
        self, connection: AsyncConnection, target: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert many rows in the quickest way.

        Args:
            connection: in a transaction.
            target: the table.
            columns: the names of those that the rows give.
            rows: a sequence of values for each, in the order of the columns.
        """

    @abstractmethod
    async def owns(self, connection: AsyncConnection, target: Table) -> bool:
        """Tell whether this connection may make and drop indexes of a table."""

    @abstractmethod
    async def lock_table(self, connection: AsyncConnection, target: Table) -> None:
        """Let nobody else read or write a table that this connection owns, until its transaction ends."""

    @abstractmethod
    async def take_memory(self, connection: AsyncConnection) -> None:
        """Let this transaction compare tables and make indexes with much memory, though within bounds."""

    @abstractmethod
    def gathered(self, number: ColumnElement[int]) -> ColumnElement[Any]:
        """Gather the numbers of a group in one value of the type `NUMBERS`."""

    @abstractmethod
    def each_of(self, numbers: ColumnElement[Any], name: str) -> FromClause:
        """Give each of some `NUMBERS` as a row of its own, in a column `value`.

        Args:
            numbers: a column of a table that stands before this one.
            name: of the rows.
        """

    @abstractmethod
    def locked(self, query: Select[Any], name: str) -> FromClause:
        """Name what a query finds, with its rows locked, for use in a statement that changes them."""

    @abstractmethod
    async def at_once(
        self, connection: AsyncConnection, steps: tuple[Step, ...], parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Carry out steps as a transaction of their own, as one statement if possible; give the rows of the last.

        From a step that gives no rows, where it might, nothing follows: whether the next ones are carried out or not
        is the same. No two change the same rows, and none reads what one before it changed.

        Args:
            connection: of a limited engine, and not in a transaction.
            steps: each is built only once.
            parameters: of all of them; none is named as a column that a step changes.
        """

    @abstractmethod
    def migration_lock(self, connection: Connection) -> None:
        """See to it that one migration runs at a time."""

    @abstractmethod
    def is_lost(self, error: BaseException) -> bool:
        """Tell whether this error means that the connection is of no use any more; another one may be."""

    @abstractmethod
    def is_transient(self, error: BaseException) -> bool:
        """Tell whether this error means: busy or away, try again later."""

    @abstractmethod
    def is_duplicate(self, error: BaseException, *of: Table) -> bool:
        """Tell whether a row was there already: of two racing writers this is the later.

        Args:
            error: of the driver or of SQLAlchemy.
            of: tables one of which it must be; any if none is named.
        """

    async def create_temporary(self, connection: AsyncConnection, target: Table) -> None:
        """Create a temporary table, empty, for this transaction at least."""
        await connection.execute(CreateTable(target, if_not_exists=True))
        await connection.execute(target.delete())

    async def index_temporary(self, connection: AsyncConnection, target: Table, *columns: str) -> None:
        """Make a filled temporary table quick to join by these columns."""
        name, listed = target.name, ", ".join(columns)
        await connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS ix_{name} ON {name} ({listed})")
        await connection.exec_driver_sql(f"ANALYZE {name}")

    async def drop_indexes(self, connection: AsyncConnection, target: Table) -> None:
        """Drop indexes that would cost much while a table of one's own is filled; `make_indexes` makes them again."""
        for index in target.indexes:
            await connection.execute(DropIndex(index))

    async def make_indexes(self, connection: AsyncConnection, target: Table) -> None:
        """Make the indexes that were dropped."""
        for index in target.indexes:
            await connection.execute(CreateIndex(index))

    async def empty(self, connection: AsyncConnection, target: Table) -> None:
        """Delete all rows of a table of one's own."""
        await connection.execute(target.delete())

    @abstractmethod
    def listed(self, name: str, one: ColumnClause[Any]) -> FromClause:
        """Name a table of one column, of names without spaces, that is given as one value when a statement is executed.

        However many names there are, they cost the driver no more than one. In the column `place` they are numbered
        in their order, from 1.

        Args:
            name: of the table, and of the parameter; `listing` makes its value.
            one: the column's name and type.
        """

    @abstractmethod
    def listing(self, names: Iterable[str]) -> str:
        """Give the parameter that is the names of a listed table, in their order."""

    @abstractmethod
    async def put(
        self,
        connection: AsyncConnection,
        target: Table,
        names: Sequence[str],
        rows: Select[Any],
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Insert rows, or save those that are there already; what is as it should be stays untouched.

        Args:
            connection: in a transaction that holds off all others who would put the same rows there.
            target: the table.
            names: of the columns, those of the primary key among them.
            rows: a query that gives these columns, and no row twice.
            given: its parameters.
        """
