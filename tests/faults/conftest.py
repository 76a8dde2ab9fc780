"""Databases and virtual hosts of one's own, and the figures."""

import pytest

from tests.servers import _migrated_postgresql, postgresql_server, postgresql_url

from .figures import Figures

__all__ = ["_migrated_postgresql", "postgresql_server", "postgresql_url"]


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Give the table that all plays write their rows into."""
    return Figures()
