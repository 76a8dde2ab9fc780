"""Documents are taken in in threads that end, and nobody waits for another's."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from chfw_sr.service import apart
from chfw_sr.service.apart import Apart
from chfw_sr.wire import TrustStore

NOW = datetime(2027, 1, 4, tzinfo=UTC)
NOBODY = TrustStore([])
PATIENCE_SECONDS = 20


class Threads:
    """An intake that tells in which thread it was; `slow` documents wait until they may go on."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.seen: list[threading.Thread] = []

    def take(self, documents, trust, now):
        self.seen.append(threading.current_thread())
        if b"slow" in documents[0]:
            assert self.may_go.wait(PATIENCE_SECONDS)
        return list(documents)


@pytest.fixture
def threads() -> Threads:
    return Threads()


@pytest.fixture(autouse=True)
def short(monkeypatch) -> None:
    monkeypatch.setattr(apart, "PORTION_OCTETS", 10)
    monkeypatch.setattr(apart, "THREAD_OCTETS", 30)


async def test_documents_come_back_in_their_order(threads) -> None:
    documents = [b"a" * 6, b"b" * 6, b"c" * 40, b"d", b"e"]
    assert await Apart(threads).take(documents, NOBODY, NOW) == documents


async def test_a_thread_takes_in_so_many_octets_and_ends(threads) -> None:
    taking = Apart(threads)
    for _ in range(9):
        await taking.take([b"a" * 10], NOBODY, NOW)
    assert [len(list(same)) for same in _runs(threads.seen)] == [3, 3, 3]
    for thread in threads.seen[:6]:
        await asyncio.to_thread(thread.join, PATIENCE_SECONDS)
        assert not thread.is_alive()


async def test_a_large_document_has_a_thread_of_its_own_and_holds_up_nobody(threads) -> None:
    taking = Apart(threads)
    large = asyncio.create_task(taking.take([b"slow" * 10], NOBODY, NOW))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(taking.take([b"a"], NOBODY, NOW), PATIENCE_SECONDS) == [b"a"]
    threads.may_go.set()
    assert await asyncio.wait_for(large, PATIENCE_SECONDS) == [b"slow" * 10]
    assert len(set(threads.seen)) == 2
    await asyncio.to_thread(threads.seen[0].join, PATIENCE_SECONDS)
    assert not threads.seen[0].is_alive()


async def test_whoever_is_cancelled_leaves_no_thread_behind(threads) -> None:
    large = asyncio.create_task(Apart(threads).take([b"slow" * 10], NOBODY, NOW))
    await asyncio.sleep(0)
    large.cancel()
    with pytest.raises(asyncio.CancelledError):
        await large
    threads.may_go.set()
    for thread in threads.seen:
        await asyncio.to_thread(thread.join, PATIENCE_SECONDS)
        assert not thread.is_alive()


def _runs(threads):
    """Deal threads out: those that are the same, one after the other."""
    runs: list[list[threading.Thread]] = []
    for each in threads:
        if not runs or runs[-1][-1] is not each:
            runs.append([])
        runs[-1].append(each)
    return runs
