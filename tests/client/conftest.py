"""What the tests of the client share: a bus of either kind, a User on it, and a journal."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from chfw_sr.client import Journal
from chfw_sr.wire.pki import certificate_pem, key_pem
from tests.contract.buses import BusUnderTest, RabbitUnderTest
from tests.contract.conftest import bus, bus_maker

from .parts import DCC_CERTIFICATE, SUPPLIER, Desk, party

__all__ = ["bus"]

make_bus = bus_maker("memory", "lean")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Give an empty journal in a file."""
    with Journal(tmp_path / "user.journal") as journal:
        yield journal


@pytest.fixture
async def desk(bus: BusUnderTest) -> Desk:
    """Give a DCC's desk at a bus with one User."""
    await bus.declare_user(SUPPLIER)
    return Desk(bus)


@pytest.fixture
async def rabbit_desk(rabbitmq_url: str) -> AsyncIterator[Desk]:
    """Give a DCC's desk at RabbitMQ with one User."""
    bus = RabbitUnderTest(rabbitmq_url, delivery_limit=20)
    await bus.open()
    await bus.declare_user(SUPPLIER)
    yield Desk(bus)
    await bus.close()


@pytest.fixture
def key_files(tmp_path: Path) -> Callable[[], list[str]]:
    """Give the options that name a User's key and certificate and the DCC's certificate, by the machine's clock."""
    certificate, signer = party(SUPPLIER)
    (tmp_path / "user.key.pem").write_bytes(key_pem(signer.key))
    (tmp_path / "user.key.pem").chmod(0o600)
    (tmp_path / "user.pem").write_bytes(certificate_pem(certificate))
    (tmp_path / "dcc.pem").write_bytes(certificate_pem(DCC_CERTIFICATE))
    return lambda: [
        *("--key", str(tmp_path / "user.key.pem"), "--certificate", str(tmp_path / "user.pem")),
        *("--dcc-certificate", str(tmp_path / "dcc.pem")),
    ]
