"""Alive and ready."""

import pytest

from chfw_sr.service.observer import Loop
from chfw_sr.telemetry.health import OK, Health


class Stopwatch:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def health(watch) -> Health:
    return Health(stuck_seconds=300, probe_seconds=5, monotonic=watch)


def test_a_process_that_starts_is_alive_and_not_ready(health) -> None:
    assert health.live().ok
    assert not health.ready().ok
    assert health.ready().checks == {"service": "is starting"}


def test_it_is_ready_when_every_check_is_met(health) -> None:
    health.probed({"database": OK, "consumer": OK})
    assert health.ready().ok
    assert health.ready().checks == {"database": OK, "consumer": OK}


def test_one_check_that_is_not_met_makes_it_not_ready_but_leaves_it_alive(health) -> None:
    health.probed({"database": OK, "consumer": "the queue is not being consumed"})
    assert not health.ready().ok
    assert health.ready().checks["consumer"] == "the queue is not being consumed"
    assert health.live().ok


def test_it_becomes_ready_again(health) -> None:
    health.probed({"database": "down"})
    health.probed({"database": OK})
    assert health.ready().ok


def test_a_probe_that_does_not_come_round_makes_it_not_ready(health, watch) -> None:
    health.probed({"database": OK})
    watch.seconds += 25
    assert health.ready().ok
    watch.seconds += 1
    assert not health.ready().ok
    assert "probe" in health.ready().checks


def test_a_process_that_drains_is_not_ready_but_alive(health) -> None:
    health.probed({"database": OK})
    health.drains()
    assert not health.ready().ok
    assert health.live().ok


def test_a_loop_that_does_not_come_round_is_stuck(health, watch) -> None:
    health.came_round(Loop.CONSUMER)
    health.came_round(Loop.RELAY)
    watch.seconds += 299
    health.probed({"database": OK})
    health.came_round(Loop.RELAY)
    watch.seconds += 2
    assert not health.live().ok
    assert health.live().checks == {"event loop": OK, "consumer": "stuck for 301 s", "relay": OK}


def test_a_loop_that_waits_for_work_may_wait_as_long_as_it_likes(health, watch) -> None:
    health.came_round(Loop.CONSUMER)
    health.waits(Loop.CONSUMER)
    watch.seconds += 100_000
    health.probed({"database": OK})
    assert health.live().ok


def test_an_event_loop_that_is_stuck_is_found_out(health, watch) -> None:
    health.probed({"database": OK})
    watch.seconds += 301
    assert not health.live().ok
    assert "stuck" in health.live().checks["event loop"]
