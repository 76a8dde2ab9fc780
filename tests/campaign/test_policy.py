"""The daily status time, in local time with its summer time."""

from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.campaign.decision import Policy


def _utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("after", "due"),
    [
        (_utc(2026, 1, 10, 6, 59), _utc(2026, 1, 10, 7)),
        (_utc(2026, 1, 10, 7), _utc(2026, 1, 11, 7)),
        (_utc(2026, 3, 28, 8), _utc(2026, 3, 29, 6)),  # the clocks go forward on the 29th
        (_utc(2026, 7, 1, 5, 59), _utc(2026, 7, 1, 6)),
        (_utc(2026, 7, 1, 23, 30), _utc(2026, 7, 2, 6)),  # past midnight in London
        (_utc(2026, 10, 24, 6), _utc(2026, 10, 25, 7)),  # and back on the 25th
    ],
)
def test_london_with_summer_time(after, due):
    assert Policy().next_status(after) == due


def test_a_time_that_the_spring_change_skips_is_still_one_report_a_day():
    policy = Policy(status_at=time(1, 30))
    seen, at = [], _utc(2026, 3, 27, 12)
    for _ in range(4):
        at = policy.next_status(at)
        seen.append(at)
    assert [each.date().day for each in seen] == [28, 29, 30, 31]


def test_a_time_that_the_autumn_change_repeats_is_one_report():
    policy = Policy(status_at=time(1, 30))
    first = policy.next_status(_utc(2026, 10, 24, 12))
    assert first == _utc(2026, 10, 25, 0, 30)
    assert policy.next_status(first) == _utc(2026, 10, 26, 1, 30)


def test_the_answer_is_in_the_zone_of_the_question():
    plus_five = timezone(timedelta(hours=5))
    assert Policy().next_status(datetime(2026, 1, 1, tzinfo=plus_five)).tzinfo is plus_five


@given(
    minutes=st.integers(0, 20 * 366 * 24 * 60),
    status_at=st.times(),
    zone=st.sampled_from(["Europe/London", "UTC", "Pacific/Auckland"]),
)
def test_the_next_report_is_always_later_and_soon(minutes, status_at, zone):
    after = _utc(2020, 1, 1) + timedelta(minutes=minutes)
    due = Policy(status_at=status_at, zone=ZoneInfo(zone)).next_status(after)
    assert timedelta(0) < due - after <= timedelta(hours=25)
