"""What makes a schedule unacceptable, and that the reason names the window."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.campaign.schedules import in_text, schedule_fault
from chfw_sr.messages import Period

from .examples import DAY, HOUR, NOW, window

PERIOD = Period(start=NOW + 10 * DAY, end=NOW + 20 * DAY)
START = PERIOD.start


def _fault(*windows, period=PERIOD, notice=7, not_before=None):
    return schedule_fault(windows, period, NOW, notice, not_before)


def test_a_schedule_may_touch_every_edge():
    whole = (window(1, START, 5 * DAY), window(9, START + 5 * DAY, 5 * DAY))
    assert _fault(*whole, notice=10, not_before=START) is None
    assert _fault(*reversed(whole), notice=10, not_before=START) is None


@pytest.mark.parametrize(
    ("windows", "rest", "said"),
    [
        ((window(1, START), window(1, START + 2 * DAY)), {}, "Window 1 appears twice."),
        ((window(3, START, timedelta(0)),), {}, "Window 3 does not end after it starts."),
        ((window(3, START, -HOUR),), {}, "Window 3 does not end after it starts."),
        (
            (window(4, START - HOUR),),
            {},
            "Window 4 does not lie within 2026-03-12T09:00:00Z to 2026-03-22T09:00:00Z.",
        ),
        ((window(4, PERIOD.end - HOUR),), {}, "Window 4 does not lie within"),
        (
            (window(5, START),),
            {"notice": 11},
            "Window 5 starts before 2026-03-13T09:00:00Z, the end of 11 days' notice.",
        ),
        ((window(5, NOW - HOUR),), {"notice": 0, "period": None}, "Window 5 starts before 2026-03-02T09:00:00Z"),
        (
            (window(6, START),),
            {"not_before": START + HOUR},
            "Window 6 starts before the response deadline, 2026-03-12T10:00:00Z.",
        ),
        (
            (window(8, START + 20 * HOUR), window(7, START)),
            {},
            "Window 8 starts before window 7 has ended.",
        ),
    ],
)
def test_each_fault_names_its_window(windows, rest, said):
    assert _fault(*windows, **rest).startswith(said)


def test_without_a_period_only_the_rest_counts():
    assert _fault(window(1, NOW + 400 * DAY), period=None) is None


def test_text_is_in_utc_to_the_second():
    assert in_text(NOW + timedelta(microseconds=5)) == "2026-03-02T09:00:00Z"


_HOURS = st.integers(0, 12 * 24)


@given(st.lists(st.tuples(st.integers(1, 4), _HOURS, st.integers(-2, 60)), min_size=1, max_size=4))
def test_no_fault_means_that_every_rule_holds(drawn):
    windows = tuple(window(number, START + (start - 24) * HOUR, length * HOUR) for number, start, length in drawn)
    holds = (
        len({each.window_id for each in windows}) == len(windows)
        and all(each.start < each.end for each in windows)
        and all(PERIOD.start <= each.start and each.end <= PERIOD.end for each in windows)
        and all(a.end <= b.start or b.end <= a.start for i, a in enumerate(windows) for b in windows[:i])
    )
    assert (_fault(*windows) is None) is holds
