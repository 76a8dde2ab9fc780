"""The servers that some tests need. Import the fixtures into a `conftest.py` and ask for them.

Where they are is said by `CHFW_SR_TEST_POSTGRESQL` and `CHFW_SR_TEST_RABBITMQ`, else they are looked for on loopback
at their usual ports. A test whose server is missing is skipped and says so; with `CHFW_SR_TEST_REQUIRE_SERVERS=1` it
fails.
"""

import asyncio
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from chfw_sr.storage import migrations

POSTGRESQL = os.environ.get("CHFW_SR_TEST_POSTGRESQL", "postgresql+asyncpg://postgres@127.0.0.1:5432/test")
RABBITMQ = os.environ.get("CHFW_SR_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/")

_PATIENCE_SECONDS = 5


def require(problem: str | None) -> None:
    """Skip the test if a server is missing, or fail it if servers are required."""
    if problem is None:
        return
    if os.environ.get("CHFW_SR_TEST_REQUIRE_SERVERS") == "1":
        pytest.fail(f"CHFW_SR_TEST_REQUIRE_SERVERS=1, and {problem}", pytrace=False)
    pytest.skip(problem)


def postgresql_problem() -> str | None:
    """Tell why PostgreSQL cannot be used; None if it can."""
    try:
        asyncio.run(_execute("SELECT 1"))
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return f"no PostgreSQL at {_place(POSTGRESQL)} (CHFW_SR_TEST_POSTGRESQL): {error}"
    return None


def rabbitmq_problem() -> str | None:
    """Tell why RabbitMQ cannot be used; None if something listens there."""
    parts = urlsplit(RABBITMQ)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5672), _PATIENCE_SECONDS).close()
    except OSError as error:
        return f"no RabbitMQ at {_place(RABBITMQ)} (CHFW_SR_TEST_RABBITMQ): {error}"
    return None


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """Give the URL of a RabbitMQ server."""
    require(rabbitmq_problem())
    return RABBITMQ


@pytest.fixture(scope="session")
def postgresql_server() -> str:
    """Give the URL of a PostgreSQL server, and of a database in it that is not ours."""
    require(postgresql_problem())
    return POSTGRESQL


@pytest.fixture
def empty_postgresql_url(postgresql_server: str) -> Iterator[str]:
    """Give the URL of a database of one's own, without a schema."""
    yield from _database(postgresql_server, "template1")


@pytest.fixture(scope="session")
def _migrated_postgresql(postgresql_server: str) -> Iterator[str]:
    for url in _database(postgresql_server, "template1"):
        asyncio.run(migrations.upgrade(url))
        yield urlsplit(url).path[1:]


@pytest.fixture
def postgresql_url(postgresql_server: str, _migrated_postgresql: str) -> Iterator[str]:
    """Give the URL of an empty database of one's own, for one test."""
    yield from _database(postgresql_server, _migrated_postgresql)


@pytest.fixture(scope="module")
def postgresql_module_url(postgresql_server: str, _migrated_postgresql: str) -> Iterator[str]:
    """Give the URL of an empty database of one's own, for the tests of one module."""
    yield from _database(postgresql_server, _migrated_postgresql)


def _database(server: str, template: str) -> Iterator[str]:
    name = f"chfw_test_{uuid4().hex[:16]}"
    asyncio.run(_execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        asyncio.run(_execute(f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _execute(statement: str) -> None:
    connection = await asyncpg.connect(POSTGRESQL.replace("+asyncpg", "", 1), timeout=_PATIENCE_SECONDS)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"
