import asyncio
import os
import shutil
from pathlib import Path

import aio_pika
import pytest

from chfw_sr import bootstrap
from chfw_sr.broker.topology import Topology
from chfw_sr.settings import PREFIX, TEST_PREFIX
from chfw_sr.storage import migrations
from chfw_sr.storage.store import create_store
from tests.servers import _database, _migrated_postgresql, postgresql_server, postgresql_url

from .site import DCC, OPERATOR, Site

__all__ = ["_database", "_migrated_postgresql", "postgresql_server", "postgresql_url"]


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """No settings from the environment or from a file of the developer."""
    for name in list(os.environ):
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "empty.sqlite3"
    asyncio.run(migrations.upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


def populated(site: Site) -> Site:
    """Register the operator."""

    async def register() -> None:
        async with bootstrap.open_store(site.settings) as store:
            await store.register.save_users([site.operator], bootstrap.SystemClock().now())

    asyncio.run(register())
    return site


@pytest.fixture
def site(tmp_path, migrated_sqlite) -> Site:
    """A site on SQLite, with a spool."""
    database = shutil.copy(migrated_sqlite, tmp_path / "site.sqlite3")
    return populated(Site(tmp_path, f"sqlite+aiosqlite:///{database}", {"spool": tmp_path / "spool"}))


@pytest.fixture
async def store(site):
    store = create_store(site.database_url)
    yield store
    await store.close()


@pytest.fixture
def server_site(tmp_path, postgresql_url, rabbitmq_url) -> Site:
    """A site on PostgreSQL and on a RabbitMQ virtual host in which nothing is."""
    yield populated(Site(tmp_path, postgresql_url, {"amqp_url": rabbitmq_url, "heartbeat_seconds": 1}))
    asyncio.run(_emptied(rabbitmq_url))


async def _emptied(url: str) -> None:
    """Delete the topology: a new virtual host for each test takes several seconds."""
    topology = Topology.of_service() + Topology.of_users([DCC, OPERATOR])
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for queue in topology.queues:
            await channel.queue_delete(queue.name)
        for exchange in topology.exchanges:
            await channel.exchange_delete(exchange.name)
