"""Threads are left behind once they have parsed their share."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chfw_sr.wire.renewal import Renewal


def test_a_thread_parses_its_share_and_then_leaves_it_to_successors():
    renewal = Renewal(100)
    found = [renewal.run(50, threading.current_thread) for _ in range(7)]
    assert found[:2] == [threading.current_thread()] * 2
    assert found[2] is found[3] is not found[0]
    assert found[4] is found[5]
    assert len(set(found)) == 4
    found[2].join(10)  # the one that was left behind ends
    assert not found[2].is_alive()


def test_each_thread_has_a_share_of_its_own():
    renewal = Renewal(100)
    renewal.run(100, int)
    with ThreadPoolExecutor(1) as other:
        assert (
            other.submit(renewal.run, 100, threading.current_thread).result()
            is other.submit(threading.current_thread).result()
        )


def test_what_fails_there_fails_here():
    renewal = Renewal(0)
    with pytest.raises(ZeroDivisionError):
        renewal.run(1, lambda: 1 // 0)
