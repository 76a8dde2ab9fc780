"""A bus of either kind for the examples."""

from tests.client.conftest import bus, desk, journal, make_bus, rabbit_desk

__all__ = ["bus", "desk", "journal", "make_bus", "rabbit_desk"]
