"""Loops live and die together."""

import asyncio

import pytest

from chfw_sr.service.supervision import GraceExpired, LoopDied, supervise

PATIENCE_SECONDS = 20


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


class Log(list):
    """What happened, in order."""

    async def until(self, event: asyncio.Event, name: str) -> None:
        try:
            await event.wait()
            self.append(f"{name} told")
            await asyncio.sleep(0)
            self.append(f"{name} ended")
        except asyncio.CancelledError:
            self.append(f"{name} cancelled")
            raise


async def supervised(makers, senders, stop, stop_senders, grace_seconds=PATIENCE_SECONDS) -> None:
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        await supervise(makers, senders, stop=stop, stop_senders=stop_senders, grace_seconds=grace_seconds)


async def test_makers_end_before_senders_are_told_to(stop) -> None:
    log, stop_senders = Log(), asyncio.Event()
    running = asyncio.create_task(
        supervised(
            {"a": log.until(stop, "a"), "b": log.until(stop, "b")},
            {"c": log.until(stop_senders, "c")},
            stop,
            stop_senders,
        )
    )
    await asyncio.sleep(0)
    assert log == []
    stop.set()
    await running
    assert sorted(log[:4]) == ["a ended", "a told", "b ended", "b told"]
    assert log[4:] == ["c told", "c ended"]


async def test_there_may_be_no_senders(stop) -> None:
    log = Log()
    stop.set()
    await supervised({"a": log.until(stop, "a")}, {}, stop, asyncio.Event())
    assert log[-1] == "a ended"


async def broken(event: asyncio.Event | None = None) -> None:
    if event is not None:
        await event.wait()
    raise ZeroDivisionError("a defect")


async def test_a_loop_that_dies_takes_the_others_with_it(stop, caplog) -> None:
    log, stop_senders = Log(), asyncio.Event()
    with pytest.raises(LoopDied, match=r"bad.*ZeroDivisionError: a defect"):
        await supervised(
            {"good": log.until(stop, "good"), "bad": broken()},
            {"sender": log.until(stop_senders, "sender")},
            stop,
            stop_senders,
        )
    assert sorted(log) == ["good cancelled", "sender cancelled"]
    (record,) = [each for each in caplog.records if each.levelname == "CRITICAL"]
    assert "bad" in record.message
    assert record.exc_info is not None


@pytest.mark.parametrize("which", ["maker", "sender"])
async def test_a_loop_that_dies_while_it_drains_is_a_defect_too(stop, which) -> None:
    log, stop_senders = Log(), asyncio.Event()
    makers = {"maker": broken(stop) if which == "maker" else log.until(stop, "maker")}
    senders = {"sender": broken(stop_senders) if which == "sender" else log.until(stop_senders, "sender")}
    stop.set()
    with pytest.raises(LoopDied, match=which):
        await supervised(makers, senders, stop, stop_senders)


async def test_a_loop_that_ends_by_itself_is_a_defect(stop) -> None:
    async def ends() -> None:
        pass

    log = Log()
    with pytest.raises(LoopDied, match="lazy"):
        await supervised({"lazy": ends(), "good": log.until(stop, "good")}, {}, stop, asyncio.Event())
    assert log == ["good cancelled"]


async def test_what_does_not_drain_in_time_is_cancelled_and_named(stop) -> None:
    log, never = Log(), asyncio.Event()
    stop.set()
    with pytest.raises(GraceExpired, match="still at work: slow, sender"):
        await supervised(
            {"slow": log.until(never, "slow"), "quick": log.until(stop, "quick")},
            {"sender": log.until(never, "sender")},
            stop,
            asyncio.Event(),
            grace_seconds=0.05,
        )
    assert set(log) == {"quick told", "quick ended", "slow cancelled", "sender cancelled"}
