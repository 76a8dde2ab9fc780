"""The loops of a running service, with fakes: stopping, back-off, draining."""

import asyncio

import pytest

from chfw_sr.service import loops
from chfw_sr.service.observer import Loop, Unobserved
from chfw_sr.service.ports import Unavailable

from .fake_loops import PATIENCE_SECONDS, Scripted, Watcher

pytestmark = pytest.mark.usefixtures("no_pauses")


# --------------------------------------------------------------------------------------------------------------- relay


class FakeRelay:
    """Steps through a script; sets `stop` once `last` answers are left."""

    batch = 10

    def __init__(self, *script, stop: asyncio.Event, last: int) -> None:
        self.script = list(script)
        self.looked = asyncio.Event()
        self.finished = False
        self._stop, self._last = stop, last

    async def finish(self):
        self.finished = True

    async def step(self):
        answer = self.script.pop(0)
        self.looked.set()
        if len(self.script) == self._last:
            self._stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def relayed(relay, stop, wake=None, idle_seconds=3600.0, **options) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await loops.relay(relay, wake=wake or asyncio.Event(), idle_seconds=idle_seconds, stop=stop, **options)


async def test_the_relay_goes_on_while_there_is_something(stop) -> None:
    relay = FakeRelay(10, 10, 3, 0, stop=stop, last=1)
    await relayed(relay, stop)
    assert relay.script == []


async def test_the_relay_is_woken_by_new_messages(stop) -> None:
    wake = asyncio.Event()
    relay = FakeRelay(0, 5, 0, stop=stop, last=1)
    relaying = asyncio.create_task(relayed(relay, stop, wake))
    await asyncio.wait_for(relay.looked.wait(), PATIENCE_SECONDS)
    wake.set()
    await relaying
    assert relay.script == []


@pytest.mark.parametrize(("claimed", "waits"), [(2, True), (3, False), (10, False)])
async def test_a_relay_that_found_few_looks_again_when_it_is_woken_and_any_other_at_once(
    stop, monkeypatch, claimed: int, waits: bool
) -> None:
    monkeypatch.setattr(loops, "AGAIN_SECONDS", 3600.0)
    wake = asyncio.Event()
    relay = FakeRelay(claimed, 0, 0, stop=stop, last=1)
    relaying = asyncio.create_task(relayed(relay, stop, wake))
    await asyncio.wait_for(relay.looked.wait(), PATIENCE_SECONDS)
    assert (len(relay.script) == 2) is waits
    wake.set()
    await relaying
    assert relay.script == []


async def test_a_relay_that_found_few_looks_again_by_itself_before_it_rests(stop, monkeypatch) -> None:
    monkeypatch.setattr(loops, "AGAIN_SECONDS", 0.0)
    relay = FakeRelay(1, 1, 0, 0, stop=stop, last=1)
    await relayed(relay, stop)
    assert relay.script == []


async def test_an_idle_relay_looks_again_by_itself(stop) -> None:
    relay = FakeRelay(0, 0, 0, 0, stop=stop, last=1)
    await relayed(relay, stop, idle_seconds=0)
    assert relay.script == []


async def test_the_relay_waits_for_a_bus_that_is_down(stop) -> None:
    watcher = Watcher()
    relay = FakeRelay(Unavailable("down"), Unavailable("down"), 4, 0, stop=stop, last=1)
    await relayed(relay, stop, observer=watcher)
    assert watcher.retries == ["publishing", "publishing"]
    assert relay.script == []


async def test_a_relay_that_is_stopped_sends_out_what_is_there_and_no_more(stop) -> None:
    stop.set()
    relay = FakeRelay(10, 10, 9, 5, stop=stop, last=0)
    await relayed(relay, stop)
    assert relay.script == [5], "a claim that is not full is the last"


async def test_a_relay_that_is_stopped_leaves_the_rest_if_the_bus_is_down(stop) -> None:
    stop.set()
    relay = FakeRelay(10, Unavailable("down"), stop=stop, last=0)
    await relayed(relay, stop)
    assert relay.script == []


# --------------------------------------------------------------------------------------------------------------- clock


class FakeClockwork:
    def __init__(self, *script, stop) -> None:
        self.tick = Scripted(*script, stop=stop)


async def ticked(clockwork, stop, every_seconds=0.0, **options) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await loops.tick(clockwork, every_seconds=every_seconds, stop=stop, **options)


async def test_the_clock_wakes_the_relay_after_steps_alone(stop) -> None:
    woken: list[int] = []
    clockwork = FakeClockwork(0, 3, 0, stop=stop)
    await ticked(clockwork, stop, done=lambda: woken.append(1))
    assert len(clockwork.tick.calls) == 3
    assert woken == [1]


async def test_the_clock_does_not_rest_while_steps_are_due(stop) -> None:
    clockwork = FakeClockwork(2, 2, 0, stop=stop)
    await ticked(clockwork, stop, every_seconds=3600)
    assert len(clockwork.tick.calls) == 3


async def test_the_clock_waits_for_a_store_that_is_down(stop) -> None:
    watcher = Watcher()
    before = Scripted(Unavailable("down"), None, None)
    clockwork = FakeClockwork(Unavailable("down"), 0, stop=stop)
    await ticked(clockwork, stop, observer=watcher, before=before)
    assert watcher.retries == ["clock", "clock"]
    assert before.script == []


async def test_a_defect_of_the_clock_is_loud(stop) -> None:
    with pytest.raises(ZeroDivisionError):
        await ticked(FakeClockwork(ZeroDivisionError(), stop=stop), stop)


# ------------------------------------------------------------------------------------------------------ interruptions


@pytest.fixture
async def end() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def test_what_is_awaited_gives_its_result_while_nothing_has_ended(end) -> None:
    interruptible = loops.Interruptible(end)
    assert await interruptible.wait_for(asyncio.sleep(0, "first")) == "first"
    assert await interruptible.wait_for(asyncio.sleep(0, "second")) == "second"


async def test_what_is_awaited_is_cancelled_when_something_ends(end) -> None:
    other = asyncio.get_running_loop().create_future()
    work = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(loops.Interruptible(other, end).wait_for(work))
    await asyncio.sleep(0)
    end.set_result(None)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await waiting is None
    assert work.cancelled()
    assert not other.done()


async def test_nothing_is_waited_for_when_something_has_ended_already(end) -> None:
    interruptible = loops.Interruptible(end)
    end.set_result(None)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(2):
            assert await interruptible.wait_for(asyncio.Event().wait()) is None


async def test_what_ended_by_a_defect_is_heard_of(end) -> None:
    waiting = asyncio.create_task(loops.Interruptible(end).wait_for(asyncio.Event().wait()))
    await asyncio.sleep(0)
    end.set_exception(ZeroDivisionError())
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(ZeroDivisionError):
            await waiting


async def test_a_timeout_of_what_is_awaited_is_its_own(end) -> None:
    async def too_slow() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await loops.Interruptible(end).wait_for(too_slow())


async def test_an_end_that_comes_when_nothing_is_awaited_does_no_harm(end) -> None:
    interruptible = loops.Interruptible(end)
    assert await interruptible.wait_for(asyncio.sleep(0, 1)) == 1
    end.set_result(None)
    await asyncio.sleep(0)
    assert not asyncio.current_task().cancelling()


# ------------------------------------------------------------------------------------------------------------ back-off


def test_pauses_double_up_to_a_bound_and_begin_anew_after_success(monkeypatch, stop) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(loops.random, "uniform", lambda _low, high: high)
    backoff = loops.Backoff("x", Loop.RELAY, stop, Unobserved())
    pauses = [backoff.next_pause() for _ in range(12)]
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert pauses[-1] == loops.LONGEST_PAUSE_SECONDS
    backoff.succeeded()
    assert backoff.next_pause() == pytest.approx(0.1)


def test_pauses_are_shortened_by_chance(monkeypatch, stop) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_SECONDS", 0.1)
    backoff = loops.Backoff("x", Loop.RELAY, stop, Unobserved())
    pauses = []
    for _ in range(50):
        backoff.succeeded()
        pauses.append(backoff.next_pause())
    assert len(set(pauses)) > 1
    assert all(0.05 <= each <= 0.1 for each in pauses)
