"""Brings a database's schema up to date, with alembic; also inside a running event loop.

alembic is imported where it is used: only a migration needs it, and it takes longer to import than a command to run.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table

from chfw_sr.resources import resource_directory

from .store import SqlStore, create_store

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0012"
"""The newest revision in `migrations/versions/`: the schema that this version needs."""

_VERSION = table("alembic_version", column("version_num"))


class SchemaOutdated(Exception):  # noqa: N818 - it names the state of the database
    """The database's schema is missing, or not the one that this version needs."""


async def upgrade(target: str | SqlStore) -> None:
    """Bring the schema up to date, in one transaction; a database without one gets one.

    Args:
        target: the database's URL, or an open store.

    Raises:
        ValueError: if the URL is not one of a database that is supported.
        Unavailable: if the database cannot be reached.
    """
    async with _store(target) as store, store.database.write() as connection:
        await connection.run_sync(_upgrade, store)


async def current(target: str | SqlStore) -> str | None:
    """Give the revision of the schema; None if the database has none.

    Args:
        target: the database's URL, or an open store.

    Raises:
        Unavailable: if the database cannot be reached.
    """
    async with _store(target) as store, store.database.read() as connection:
        return await connection.run_sync(_current)


async def check(target: str | SqlStore) -> None:
    """Make sure that the schema is the one that this version needs.

    Args:
        target: the database's URL, or an open store.

    Raises:
        SchemaOutdated: if it is not.
        Unavailable: if the database cannot be reached.
    """
    found = await current(target)
    if found is None:
        raise SchemaOutdated("the database has no schema yet")
    if found != HEAD:
        raise SchemaOutdated(f"the database's schema is of revision {found}; this version needs {HEAD}")


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    revision: str | None = connection.scalar(select(_VERSION.c.version_num))
    return revision


def _upgrade(connection: Connection, store: SqlStore) -> None:
    from alembic import command  # noqa: PLC0415 - see above

    store.database.dialect.migration_lock(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(resource_directory("migrations")).replace("%", "%%"))
    return config


@asynccontextmanager
async def _store(target: str | SqlStore) -> AsyncIterator[SqlStore]:
    if isinstance(target, SqlStore):
        yield target
        return
    store = create_store(target)
    try:
        yield store
    finally:
        await store.close()
