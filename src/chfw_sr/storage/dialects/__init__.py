"""Where SQLite and PostgreSQL differ, and the only place that knows it.

Both run every transaction that writes so that what it has read stays true until it commits:
* SQLite has one writer at a time. A transaction that writes begins with `BEGIN IMMEDIATE`, so that it waits for its
  turn at the beginning and never fails in the middle. No row needs a lock.
* PostgreSQL runs at READ COMMITTED with row locks. A statement that must see what another transaction did while this
  one waited for a lock comes *after* the statement that took the lock, since each statement has its own snapshot. Or
  else it passes over what was changed since it began (`SqlDialect.unchanged`).

PostgreSQL plans by what it knows of a table, and of the hubs of a campaign that began a minute ago it knows nothing.
So a statement over many of them is written such that every plan of it is good: rows find their places by an upsert or
by a scalar subquery, which probe an index whatever is estimated, and not by a join.
"""

from sqlalchemy import URL, exc, make_url

from .base import LOCK_TIMEOUT_MS, SqlDialect
from .postgresql import PostgreSQL
from .sqlite import SQLite
from .terms import Modification, Question, Rows, Step, Upsert, Ways

__all__ = ["LOCK_TIMEOUT_MS", "Modification", "Question", "Rows", "SqlDialect", "Step", "Upsert", "Ways", "dialect_of"]


def dialect_of(url: str, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> tuple[SqlDialect, URL]:
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
            return SQLite(lock_timeout_ms), parsed
        case "postgresql":
            return PostgreSQL(lock_timeout_ms), parsed
        case other:
            raise ValueError(f"no such kind of database here: {other} (there are sqlite and postgresql)")
