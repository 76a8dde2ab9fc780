"""What the tests of the client share: a bus of either kind, a User on it, and a journal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chfw_sr.client import Journal
from tests.broker.conftest import *  # noqa: F403
from tests.contract.buses import BusUnderTest
from tests.contract.conftest import bus, make_bus

from .parts import SUPPLIER, Desk

__all__ = ["bus", "make_bus"]


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
