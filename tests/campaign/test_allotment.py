"""The allotment rule: every hub once, in order, within capacities."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.campaign.allotment import allot, allot_ranks, capacity, holds
from chfw_sr.campaign.changes import RankRange

from .examples import DAY, ELECTRIC, NOW, eui, window


@st.composite
def schedules(draw):
    """Windows that do not overlap, written in any order."""
    limits = draw(st.lists(st.none() | st.integers(1, 40), min_size=1, max_size=8))
    ids = draw(st.permutations(range(1, len(limits) + 1)))
    windows = [window(ids[i], NOW + 2 * i * DAY, timedelta(hours=20), limit) for i, limit in enumerate(limits)]
    return tuple(draw(st.permutations(windows)))


def test_windows_fill_in_order_of_start_and_the_rest_takes_what_remains():
    late, early = window(1, NOW + DAY), window(2, NOW, timedelta(hours=1), holds=2)
    hubs = [eui(n) for n in (5, 3, 9, 1)]
    lots = allot(ELECTRIC, (late, early), hubs)
    assert [(lot.supplier, lot.window, lot.hubs) for lot in lots] == [
        (ELECTRIC, early, (eui(5), eui(3))),
        (ELECTRIC, late, (eui(9), eui(1))),
    ]


def test_a_window_that_no_hub_is_left_for_has_no_lot():
    schedule = (window(1, NOW, holds=3), window(2, NOW + DAY, holds=3))
    assert allot_ranks(schedule, 3) == (RankRange(schedule[0], 0, 3),)


def test_a_window_without_a_limit_leaves_nothing_to_those_after_it():
    schedule = (window(1, NOW), window(2, NOW + DAY, holds=3))
    assert allot_ranks(schedule, 7) == (RankRange(schedule[0], 0, 7),)


def test_no_hubs_no_lots():
    assert allot(ELECTRIC, (window(1, NOW),), ()) == ()


def test_what_does_not_fit_is_a_defect_of_the_caller():
    with pytest.raises(ValueError, match="holds 5 hubs, not 6"):
        allot_ranks((window(1, NOW, holds=2), window(2, NOW + DAY, holds=3)), 6)


@pytest.mark.parametrize(("limits", "total"), [((2, 3), 5), ((2, None, 3), None), ((1,), 1)])
def test_capacity(limits, total):
    schedule = tuple(window(i + 1, NOW + i * DAY, holds=limit) for i, limit in enumerate(limits))
    assert capacity(schedule) == total
    assert holds(schedule, total or 10**6)
    assert holds(schedule, 10**6) is (total is None)


@given(schedule=schedules(), devices=st.integers(0, 200))
def test_every_hub_once_in_order_within_capacity(schedule, devices):
    hubs = tuple(eui(n) for n in range(devices))
    if not holds(schedule, devices):
        with pytest.raises(ValueError):
            allot(ELECTRIC, schedule, hubs)
        return
    lots = allot(ELECTRIC, schedule, hubs)
    assert tuple(each for lot in lots for each in lot.hubs) == hubs
    starts = [lot.window.start for lot in lots]
    assert starts == sorted(starts)
    assert all(lot.hubs for lot in lots)
    assert all(lot.window.max_devices is None or len(lot.hubs) <= lot.window.max_devices for lot in lots)
    # A later window is used only once the earlier ones are full.
    used = {lot.window.window_id: len(lot.hubs) for lot in lots}
    in_order = sorted(schedule, key=lambda each: each.start)
    for each in in_order[: max(0, len(lots) - 1)]:
        assert used[each.window_id] == each.max_devices
    ranges = allot_ranks(schedule, devices)
    assert [(each.window, each.last - each.first) for each in ranges] == [(lot.window, len(lot.hubs)) for lot in lots]
