"""Databases for tests of what is particular to SQL."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chfw_sr.storage import migrations
from chfw_sr.storage.store import SqlStore, create_store
from tests.servers import (
    _migrated_postgresql,
    empty_postgresql_url,
    postgresql_module_url,
    postgresql_server,
    postgresql_url,
)

__all__ = [
    "_migrated_postgresql",
    "empty_postgresql_url",
    "postgresql_module_url",
    "postgresql_server",
    "postgresql_url",
]

DIALECTS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
IMPATIENT_MS = 100


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an SQLite file with the schema and nothing in it, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "empty.sqlite3"
    asyncio.run(migrations.upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """Give the URL of an SQLite database with the schema."""
    return f"sqlite+aiosqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'store.sqlite3')}"


@pytest.fixture(params=DIALECTS)
def url(request: pytest.FixtureRequest) -> str:
    """Give the URL of a database with the schema and nothing in it."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture(params=DIALECTS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a database without a schema."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'new.sqlite3'}"
    found: str = request.getfixturevalue("empty_postgresql_url")
    return found


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    """Give an empty store."""
    store = create_store(url)
    yield store
    await store.close()


@pytest.fixture
async def postgresql_store(postgresql_url: str) -> AsyncIterator[SqlStore]:
    """Give an empty store on PostgreSQL."""
    store = create_store(postgresql_url)
    yield store
    await store.close()


@pytest.fixture
async def impatient(url: str) -> AsyncIterator[SqlStore]:
    """Give another store of the same database, which hardly waits for locks."""
    store = create_store(url, lock_timeout_ms=IMPATIENT_MS)
    yield store
    await store.close()
