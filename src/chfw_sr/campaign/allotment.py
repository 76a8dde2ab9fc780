"""The allotment rule (wire contract §3): hubs, in list order, fill windows, in order of start.

Each window takes up to its `MaxDevices`; one without takes all that remain. The pilot allots each Supplier's own list
over its own schedule, the Safe Launch all hubs by their rank over one.
"""

from collections.abc import Sequence

from chfw_sr.messages import EUI, Window

from .changes import Lot, RankRange


def capacity(schedule: Sequence[Window]) -> int | None:
    """Tell how many hubs a schedule holds; None if it holds any number."""
    total = 0
    for window in schedule:
        if window.max_devices is None:
            return None
        total += window.max_devices
    return total


def holds(schedule: Sequence[Window], devices: int) -> bool:
    """Tell whether a schedule holds that many hubs."""
    limit = capacity(schedule)
    return limit is None or devices <= limit


def allot_ranks(schedule: Sequence[Window], devices: int) -> tuple[RankRange, ...]:
    """Divide the ranks from 0 up to, not including, `devices` among the windows.

    Args:
        schedule: windows that do not overlap, in any order.
        devices: how many hubs there are.

    Returns:
        Ranges in order of start, next to each other; a window that no hub is left for has none.

    Raises:
        ValueError: if the schedule cannot hold them.

    Source: wire contract §3.
    """
    ranges = []
    first = 0
    for window in sorted(schedule, key=lambda each: (each.start, each.window_id)):
        if first == devices:
            break
        last = devices if window.max_devices is None else min(devices, first + window.max_devices)
        ranges.append(RankRange(window, first, last))
        first = last
    if first != devices:
        raise ValueError(f"the schedule holds {first} hubs, not {devices}")
    return tuple(ranges)


def allot(supplier: EUI, schedule: Sequence[Window], hubs: Sequence[EUI]) -> tuple[Lot, ...]:
    """Divide one Supplier's list among the windows of its schedule.

    Args:
        supplier: whose list it is.
        schedule: windows that do not overlap, in any order.
        hubs: the list, in its order.

    Returns:
        Lots in order of start; together they are the list.

    Raises:
        ValueError: if the schedule cannot hold the list.

    Source: wire contract §3.
    """
    return tuple(
        Lot(supplier, each.window, tuple(hubs[each.first : each.last])) for each in allot_ranks(schedule, len(hubs))
    )
