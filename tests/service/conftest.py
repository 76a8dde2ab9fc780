"""What tests of the loops are given."""

import asyncio

import pytest

from chfw_sr.service import loops


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr(loops, "FIRST_PAUSE_SECONDS", 0.0)


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()
