"""What makes a schedule of windows acceptable (wire contract §3)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from chfw_sr.messages import Period, Window


def in_text(at: datetime) -> str:
    """Write a date and time as it stands on the wire, to the second."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def schedule_fault(
    schedule: Sequence[Window],
    period: Period | None,
    now: datetime,
    notice_days: int,
    not_before: datetime | None = None,
) -> str | None:
    """Find what is wrong with a schedule.

    Args:
        schedule: the windows as they were written.
        period: the period that they must lie in; None for no bound.
        now: when the schedule was received.
        notice_days: days from `now` before which no window may start.
        not_before: a further date before which no window may start.

    Returns:
        One sentence that names the window, or None if nothing is wrong.

    Source: wire contract §3.
    """
    earliest = now + timedelta(days=notice_days)
    seen: set[int] = set()
    for window in schedule:
        if window.window_id in seen:
            return f"Window {window.window_id} appears twice."
        seen.add(window.window_id)
        fault = _place_fault(window, period)
        if fault is None and window.start < earliest:
            fault = f"starts before {in_text(earliest)}, the end of {notice_days} days' notice"
        if fault is None and not_before is not None and window.start < not_before:
            fault = f"starts before the response deadline, {in_text(not_before)}"
        if fault is not None:
            return f"Window {window.window_id} {fault}."
    for before, after in pairwise(sorted(schedule, key=lambda each: each.start)):
        if after.start < before.end:
            return f"Window {after.window_id} starts before window {before.window_id} has ended."
    return None


def _place_fault(window: Window, period: Period | None) -> str | None:
    if window.start >= window.end:
        return "does not end after it starts"
    if period is not None and (window.start < period.start or window.end > period.end):
        return f"does not lie within {in_text(period.start)} to {in_text(period.end)}"
    return None
