"""What every port has in common: the clock, and the word for "not now"."""

from datetime import datetime
from typing import Protocol


class Unavailable(Exception):  # noqa: N818 - it names the outcome
    """A server is down or busy, or a race was lost: nothing happened, try again later."""


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> datetime:
        """Give the date and time, aware and in UTC."""
        ...
