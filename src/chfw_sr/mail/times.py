"""Dates and times as people read them: in UTC, and by the clocks of the place where they work."""

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from chfw_sr.messages import Window

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def both(at: datetime, zone: ZoneInfo) -> str:
    """Write an instant twice: `14 Jul 2027 17:00 UTC (14 Jul 2027 18:00 BST)`.

    Args:
        at: aware, in UTC.
        zone: whose clocks people look at.
    """
    local = at.astimezone(zone)
    return f"{_day(at)} {at:%H:%M} UTC ({_day(local)} {local:%H:%M %Z})"


def span(window: Window, zone: ZoneInfo) -> str:
    """Write a window: `1: from … to …, up to 40 hubs`."""
    most = f", up to {count(window.max_devices, 'hub')}" if window.max_devices else ""
    return f"Window {window.window_id}: from {both(window.start, zone)}\n  to {both(window.end, zone)}{most}"


def spans(windows: Iterable[Window], zone: ZoneInfo) -> list[str]:
    """Write windows in order of their start."""
    return [span(window, zone) for window in sorted(windows, key=lambda each: each.start)]


def count(number: int, noun: str) -> str:
    """Write a number of things: `1 hub`, `1,200 hubs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _day(at: datetime) -> str:
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"  # strftime's names follow the machine's locale
