"""The stores and buses that the contract suites hold to the ports."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from chfw_sr.broker.memory import InProcessBus
from chfw_sr.service.ports import Store
from chfw_sr.storage.memory import MemoryStore

from .buses import BusUnderTest, InProcessUnderTest, RabbitUnderTest

MakeBus = Callable[..., Awaitable[BusUnderTest]]


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def make_bus(request: pytest.FixtureRequest) -> AsyncIterator[MakeBus]:
    """Give a maker of empty buses; `delivery_limit` may be set."""
    made: list[BusUnderTest] = []
    url = request.getfixturevalue("rabbitmq_url") if request.param == "rabbitmq" else None

    async def make(*, delivery_limit: int = 20) -> BusUnderTest:
        if url is None:
            made.append(InProcessUnderTest(InProcessBus(delivery_limit=delivery_limit)))
        else:
            rabbit = RabbitUnderTest(url, delivery_limit=delivery_limit)
            made.append(rabbit)
            await rabbit.open()
        return made[-1]

    yield make
    for bus in made:
        await bus.close()


@pytest.fixture
async def bus(make_bus: MakeBus) -> BusUnderTest:
    """Give an empty bus."""
    return await make_bus()


@pytest.fixture(params=["memory"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Give an empty store."""
    store = MemoryStore()
    yield store
    await store.close()
