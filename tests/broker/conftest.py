"""A RabbitMQ with the topology of the contract, directly and through a proxy."""

from collections.abc import AsyncIterator

import pytest

from chfw_sr.broker.rabbitmq import Server
from tests.contract.buses import CLIENTS, Client, RabbitUnderTest

from .proxy import Proxy


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    """Give each way to speak AMQP."""
    return CLIENTS[request.param]


@pytest.fixture
async def rabbit(rabbitmq_url: str) -> AsyncIterator[RabbitUnderTest]:
    """Give the bus, with the topology of the service and a delivery limit of 3."""
    bus = RabbitUnderTest(rabbitmq_url, delivery_limit=3)
    await bus.open()
    yield bus
    await bus.close()


@pytest.fixture
async def proxy(rabbitmq_url: str) -> AsyncIterator[Proxy]:
    """Give a proxy before the server."""
    async with Proxy(rabbitmq_url) as proxy:
        yield proxy


@pytest.fixture
def server(proxy: Proxy) -> Server:
    """Give the server through the proxy."""
    return Server.parse(proxy.url)
