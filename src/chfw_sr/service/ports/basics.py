"""What every port has in common: the clock, and the word for "not now"."""

from datetime import datetime
from typing import Protocol

from chfw_sr.unavailable import Unavailable

__all__ = ["Clock", "Unavailable"]


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> datetime:
        """Give the date and time, aware and in UTC."""
        ...
