"""Quotas: who may send how much, counted once, whatever clocks do."""

from datetime import timedelta

import pytest

from chfw_sr.service.quota import Quota
from tests.service.world import ALPHA, GASCO, START

SECOND = timedelta(seconds=1)


def taken(quota: Quota, now, attempts: int, sender=ALPHA) -> int:
    tally = quota.open(now)
    count = sum(tally.take(sender) for _ in range(attempts))
    tally.keep()
    return count


def test_a_burst_is_let_in_and_then_as_many_a_minute_as_are_allowed() -> None:
    quota = Quota(60, 10)
    assert taken(quota, START, 30) == 10
    assert taken(quota, START, 30) == 0
    assert taken(quota, START + SECOND, 30) == 1
    assert taken(quota, START + 4 * SECOND, 30) == 3
    assert taken(quota, START + 3600 * SECOND, 30) == 10, "a long silence is worth no more than a burst"


def test_over_an_hour_it_is_what_is_allowed_however_it_is_spread() -> None:
    quota = Quota(120, 20)
    assert sum(taken(quota, START + number * SECOND, 100) for number in range(3601)) == 20 + 2 * 3600


def test_one_senders_flood_takes_nothing_of_anothers() -> None:
    quota = Quota(60, 5)
    assert taken(quota, START, 1000) == 5
    assert taken(quota, START, 5, GASCO) == 5


def test_what_is_not_kept_was_not_taken() -> None:
    quota = Quota(60, 5)
    for _ in range(3):
        tally = quota.open(START)
        assert sum(tally.take(ALPHA) for _ in range(9)) == 5
    assert taken(quota, START, 9) == 5


@pytest.mark.parametrize("back", [SECOND, timedelta(hours=5), timedelta(days=900)])
def test_a_clock_that_is_set_back_shuts_nobody_out(back) -> None:
    quota = Quota(60, 5)
    assert taken(quota, START + back, 9) == 5
    assert taken(quota, START, 9) <= 5
    assert taken(quota, START + 60 * SECOND, 9) >= 1


def test_none_is_none() -> None:
    assert taken(Quota(0, 1), START, 10_000) == 10_000
