"""The stores and buses that the contract suites hold to the ports."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from chfw_sr.broker.memory import InProcessBus
from chfw_sr.service.ports import Store
from chfw_sr.storage import migrations
from chfw_sr.storage.memory import MemoryStore
from chfw_sr.storage.store import create_store
from tests.servers import _database, _migrated_postgresql, postgresql_server, postgresql_url

from .buses import CLIENTS, BusUnderTest, InProcessUnderTest, RabbitUnderTest

__all__ = ["_migrated_postgresql", "postgresql_server", "postgresql_url"]

MakeBus = Callable[..., Awaitable[BusUnderTest]]
FreshDatabase = Callable[[], AbstractContextManager[str]]


def bus_maker(*names: str) -> Callable[..., AsyncIterator[MakeBus]]:
    """Give a fixture that gives a maker of empty buses; `delivery_limit` may be set.

    Args:
        names: `memory`, or what speaks AMQP with RabbitMQ.
    """
    params = [name if name == "memory" else pytest.param(name, marks=pytest.mark.rabbitmq) for name in names]

    @pytest.fixture(params=params)
    async def make_bus(request: pytest.FixtureRequest) -> AsyncIterator[MakeBus]:
        made: list[BusUnderTest] = []
        url = None if request.param == "memory" else request.getfixturevalue("rabbitmq_url")

        async def make(*, delivery_limit: int = 20) -> BusUnderTest:
            if url is None:
                made.append(InProcessUnderTest(InProcessBus(delivery_limit=delivery_limit)))
            else:
                rabbit = RabbitUnderTest(url, delivery_limit=delivery_limit, client=CLIENTS[request.param])
                made.append(rabbit)
                await rabbit.open()
            return made[-1]

        yield make
        for bus in made:
            await bus.close()

    return make_bus


make_bus = bus_maker("memory", *CLIENTS)


@pytest.fixture
async def bus(make_bus: MakeBus) -> BusUnderTest:
    """Give an empty bus."""
    return await make_bus()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an SQLite file with the schema and nothing in it, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "empty.sqlite3"
    asyncio.run(migrations.upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Give the URL of an empty database; None stands for memory."""
    match request.param:
        case "sqlite":
            path = shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "store.sqlite3")
            return f"sqlite+aiosqlite:///{path}"
        case "postgresql":
            url: str = request.getfixturevalue("postgresql_url")
            return url
        case _:
            return None


@pytest.fixture
async def store(store_url: str | None) -> AsyncIterator[Store]:
    """Give an empty store."""
    store: Store = create_store(store_url) if store_url else MemoryStore()
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def fresh_database(request: pytest.FixtureRequest, tmp_path: Path) -> FreshDatabase:
    """Give a maker of empty databases, for a test that needs many."""
    if request.param == "postgresql":
        server, template = (request.getfixturevalue(name) for name in ("postgresql_server", "_migrated_postgresql"))
        return contextmanager(lambda: _database(server, template))
    file = request.getfixturevalue("migrated_file")

    @contextmanager
    def copied() -> Iterator[str]:
        path = Path(shutil.copy(file, tmp_path / "fresh.sqlite3"))
        yield f"sqlite+aiosqlite:///{path}"
        for each in tmp_path.glob("fresh.sqlite3*"):
            each.unlink()

    return copied
