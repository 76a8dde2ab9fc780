import asyncio
import os
import shutil
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from chfw_sr import bootstrap
from chfw_sr.cli import app
from chfw_sr.settings import PREFIX, TEST_PREFIX, load_settings


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """No settings from the environment or from a file of the developer."""
    for name in list(os.environ):
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bare():
    """Runs the command line as it is."""

    def run(*arguments, stdin=None):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin, prog_name="chfw-sr")

    return run


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """A database file with the schema, to be copied."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    settings = load_settings({"database_url": f"sqlite+aiosqlite:///{path}"}, {})
    asyncio.run(bootstrap.migrate(settings))
    return path


@pytest.fixture
def url(migrated, tmp_path):
    """A database of this test's own."""
    path = tmp_path / "test.sqlite3"
    shutil.copyfile(migrated, path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def cli(bare, url):
    """Runs the command line on a database of this test's own."""

    def run(*arguments, stdin=None):
        return bare("--database", url, *arguments, stdin=stdin)

    return run


@pytest.fixture
def on_store(url):
    """Hands the test's store to a coroutine function."""

    def run(work):
        async def opened():
            async with bootstrap.open_store(load_settings({"database_url": url}, {})) as store:
                return await work(store)

        return asyncio.run(opened())

    return run


@pytest.fixture
def noon():
    return datetime(2026, 3, 2, 12, tzinfo=UTC)
