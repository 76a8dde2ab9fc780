"""The loops of a running service, with fakes: stopping, back-off, draining."""

import asyncio
from collections.abc import Sequence

import pytest

from chfw_sr.service import loops
from chfw_sr.service.handover import Handover
from chfw_sr.service.observer import Loop, Unobserved
from chfw_sr.service.ports import Delivery, Unavailable

PATIENCE_SECONDS = 20
"""No test waits this long; it bounds those that would hang."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(loops, "FIRST_PAUSE_SECONDS", 0.0)


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


class Watcher(Unobserved):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.retries: list[str] = []
        self.rounds: list[Loop] = []
        self.waiting: list[Loop] = []

    def retried(self, what: str) -> None:
        self.retries.append(what)

    def came_round(self, loop: Loop) -> None:
        self.rounds.append(loop)

    def waits(self, loop: Loop) -> None:
        self.waiting.append(loop)


class Scripted:
    """Answers each call with the next thing of its script, raising what is an exception; then sets `stop`, if told to.

    The calls are kept in `calls`.
    """

    def __init__(self, *script, stop: asyncio.Event | None = None) -> None:
        self.script = list(script)
        self.calls: list = []
        self._stop = stop

    async def __call__(self, *arguments):
        self.calls.append(arguments)
        answer = self.script.pop(0)
        if not self.script and self._stop is not None:
            self._stop.set()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class FakeConsumer:
    """Hands out batches, then waits for ever."""

    def __init__(self, *batches: Sequence[Delivery] | Exception, acknowledging: Sequence[object] = ()) -> None:
        self.batches = list(batches)
        self.acknowledged: list[Sequence[Delivery]] = []
        self.waiting = asyncio.Event()
        self.cancelled = False
        self._acknowledging = list(acknowledging)

    async def receive(self, limit, wait_seconds):
        self.asked = (limit, wait_seconds)
        if not self.batches:
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled = True
        batch = self.batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        return batch

    async def acknowledge(self, deliveries):
        if self._acknowledging and isinstance(answer := self._acknowledging.pop(0), Exception):
            raise answer
        self.acknowledged.append(deliveries)

    async def requeue(self, deliveries):
        raise AssertionError("nothing is given back: what is not acknowledged comes again by itself")


class FakeProcessor:
    """Takes in whatever it is given; what settles it is told."""

    def __init__(self, process) -> None:
        self.settle = process
        self.report = lambda settled: None

    async def take(self, deliveries):
        return deliveries


def batch(*tags: int) -> list[Delivery]:
    return [Delivery(b"<a/>", tag) for tag in tags]


async def consumed(consumer, process, stop, **options) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await loops.consume(consumer, FakeProcessor(process), batch=7, wait_seconds=0.5, stop=stop, **options)


def settling(*answers, stop: asyncio.Event | None = None) -> Scripted:
    """Settle batches; an answer is an exception, or whatever is to be reported."""
    return Scripted(*("settled" if answer is None else answer for answer in answers), stop=stop)


# ------------------------------------------------------------------------------------------------------------- consume


async def test_a_batch_is_processed_then_announced_then_acknowledged(stop) -> None:
    order: list[str] = []
    consumer = FakeConsumer(batch(1, 2), batch(3))

    async def process(deliveries):
        order.append(f"process {[each.tag for each in deliveries]}")
        return "settled"

    consuming = asyncio.create_task(consumed(consumer, process, stop, done=lambda: order.append("done")))
    await asyncio.wait_for(consumer.waiting.wait(), PATIENCE_SECONDS)
    stop.set()
    await consuming

    assert order == ["process [1, 2]", "done", "process [3]", "done"]
    assert consumer.acknowledged == [batch(1, 2), batch(3)]
    assert consumer.asked == (7, 0.5)


async def test_a_batch_is_reported_when_the_relay_has_been_woken(stop) -> None:
    """What nobody waits for does not hold up what somebody does."""
    order: list[str] = []
    consumer = FakeConsumer(batch(1))
    woken = asyncio.Event()

    async def asks():
        await woken.wait()
        order.append("the relay asks")

    processor = FakeProcessor(settling("outcomes", stop=stop))
    processor.report = lambda settled: order.append(f"report {settled}")
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(asks())
        await loops.consume(consumer, processor, batch=7, wait_seconds=0.5, stop=stop, done=woken.set)
    assert order == ["the relay asks", "report outcomes"]
    assert consumer.acknowledged == [batch(1)]


@pytest.mark.parametrize("count", [1, loops.FEW - 1, loops.FEW])
async def test_after_few_the_relay_goes_first(stop, count) -> None:
    many = batch(*range(count))
    consumer = FakeConsumer(many, batch(2))
    found: list[int] = []

    async def after():
        found.append(len(consumer.batches))

    await consumed(consumer, settling(None, None, stop=stop), stop, after=after)
    assert found == ([1, 0] if count < loops.FEW else [0])


async def test_a_handover_is_over_when_what_was_put_last_is_on_its_way() -> None:
    handover = Handover()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await handover.wait(3600)  # for nothing
        handover.put()
        handover.wake.clear()  # by the relay, which looks what there is
        handover.put()
        handover.begun()
        await handover.wait(0.001)
        is_over = handover.is_over
        handover.wake.clear()
        handover.begun()
        await handover.wait(3600)
    assert not is_over, "what was put after the look is not on its way"
    assert handover.is_over


async def test_stop_ends_a_loop_that_waits_for_messages(stop) -> None:
    consumer = FakeConsumer()
    consuming = asyncio.create_task(consumed(consumer, Scripted(), stop))
    await asyncio.wait_for(consumer.waiting.wait(), PATIENCE_SECONDS)
    stop.set()
    await consuming
    assert consumer.cancelled


async def test_stop_before_the_beginning_takes_nothing(stop) -> None:
    stop.set()
    consumer = FakeConsumer(batch(1))
    await consumed(consumer, Scripted(), stop)
    assert consumer.batches == [batch(1)]


async def test_batches_in_hand_are_finished_after_stop(stop) -> None:
    """The one that is settled, and the one that was received meanwhile; no other is received."""
    consumer = FakeConsumer(batch(1), batch(2), batch(3))

    async def process(deliveries):
        stop.set()
        await asyncio.sleep(0)
        return "settled"

    await consumed(consumer, process, stop, few=1)
    assert consumer.acknowledged == [batch(1), batch(2)]
    assert consumer.batches == [batch(3)]


class SlowProcessor:
    """Notes what it does; settles only as it is let."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.taken = asyncio.Semaphore(0)
        self.begun = asyncio.Event()
        self.may_settle = asyncio.Event()

    async def take(self, deliveries):
        self.order.append(f"take {deliveries[0].tag}")
        self.taken.release()
        return deliveries

    async def settle(self, taken):
        self.order.append(f"begin {taken[0].tag}")
        self.begun.set()
        await self.may_settle.wait()
        self.order.append(f"end {taken[0].tag}")
        return taken

    def report(self, settled):
        self.order.append(f"report {settled[0].tag}")


async def test_the_next_batch_is_taken_in_while_one_is_settled_and_settled_after_it(stop) -> None:
    consumer, processor = FakeConsumer(batch(1), batch(2), batch(3)), SlowProcessor()
    consuming = asyncio.create_task(loops.consume(consumer, processor, batch=7, wait_seconds=0.5, stop=stop, few=1))
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(2):
            await processor.taken.acquire()
        assert processor.order == ["take 1", "begin 1", "take 2"]
        assert consumer.batches == [batch(3)], "no more than one waits for its turn"
        processor.may_settle.set()
        await consumer.waiting.wait()
        stop.set()
        await consuming
    settled = [each for each in processor.order if each.startswith(("begin", "end"))]
    assert settled == [f"{step} {tag}" for tag in (1, 2, 3) for step in ("begin", "end")]
    assert consumer.acknowledged == [batch(1), batch(2), batch(3)]


@pytest.mark.parametrize("count", [1, loops.FEW - 1, loops.FEW])
async def test_what_comes_while_few_are_settled_waits_and_joins_the_next_batch(stop, count) -> None:
    """Received at once, it would wait for this settlement and for the next one, too."""
    many = batch(*range(count))
    consumer, processor = FakeConsumer(many, batch(2)), SlowProcessor()
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(loops.consume(consumer, processor, batch=count, wait_seconds=0.5, stop=stop))
        await processor.begun.wait()
        for _ in range(50):  # turns of the loop, of which it would need a few
            await asyncio.sleep(0)
        is_received = not consumer.batches
        processor.may_settle.set()
        await consumer.waiting.wait()
        stop.set()
    assert is_received is (count == loops.FEW)
    assert consumer.acknowledged == [many, batch(2)]


@pytest.mark.parametrize("few", [1, loops.FEW])
async def test_a_loop_that_is_cancelled_cuts_short_what_it_settles(stop, few) -> None:
    consumer, processor = FakeConsumer(batch(1)), SlowProcessor()
    consuming = asyncio.create_task(loops.consume(consumer, processor, batch=7, wait_seconds=0.5, stop=stop, few=few))
    await asyncio.wait_for(processor.begun.wait(), PATIENCE_SECONDS)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert processor.order == ["take 1", "begin 1"]
    assert consumer.acknowledged == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_defect_that_comes_late_ends_a_loop_that_waits_for_messages(stop) -> None:
    consumer = FakeConsumer(batch(1))

    async def process(deliveries):
        await consumer.waiting.wait()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await consumed(consumer, process, stop, few=1)
    assert consumer.cancelled


async def test_a_defect_that_few_messages_meet_ends_a_loop(stop) -> None:
    consumer = FakeConsumer(batch(1), batch(2))
    with pytest.raises(ZeroDivisionError):
        await consumed(consumer, Scripted(ZeroDivisionError()), stop)
    assert consumer.batches == [batch(2)]


async def test_a_lost_connection_is_waited_for(stop) -> None:
    watcher = Watcher()
    consumer = FakeConsumer(Unavailable("gone"), Unavailable("still gone"), batch(1))
    await consumed(consumer, settling(None, stop=stop), stop, observer=watcher)
    assert consumer.acknowledged == [batch(1)]
    assert watcher.retries == ["receiving", "receiving"]


async def test_a_store_that_is_down_makes_no_message_a_poison(stop) -> None:
    watcher = Watcher()
    consumer = FakeConsumer(batch(1))
    process = settling(*[Unavailable("down")] * 50, None, stop=stop)
    await consumed(consumer, process, stop, observer=watcher)
    assert consumer.acknowledged == [batch(1)]
    assert process.calls == [(batch(1),)] * 51
    assert watcher.retries == ["processing"] * 50


async def test_what_cannot_be_processed_before_the_end_is_left_unacknowledged(stop) -> None:
    consumer = FakeConsumer(batch(1))
    await consumed(consumer, Scripted(Unavailable("down"), Unavailable("down"), stop=stop), stop)
    assert consumer.acknowledged == []


async def test_an_acknowledgement_that_is_lost_holds_up_nothing_and_does_not_process_again(stop) -> None:
    """What was received meanwhile may have come on a new connection: nobody would deliver it again."""
    watcher = Watcher()
    consumer = FakeConsumer(batch(1), batch(2), acknowledging=[Unavailable("gone"), None])
    process = settling(None, None, stop=stop)
    await consumed(consumer, process, stop, observer=watcher)
    assert process.calls == [(batch(1),), (batch(2),)]
    assert consumer.acknowledged == [batch(2)]
    assert watcher.retries == ["acknowledging"]


def long_batch(*lengths: int) -> list[Delivery]:
    return [Delivery(b"x" * length, tag) for tag, length in enumerate(lengths, start=1)]


async def test_long_messages_are_committed_and_acknowledged_apart(stop, monkeypatch) -> None:
    monkeypatch.setattr(loops, "PORTION_OCTETS", 10)
    one, two, three, four = received = long_batch(4, 6, 30, 1)
    consumer = FakeConsumer(received)
    process = settling(None, None, None, stop=stop)
    await consumed(consumer, process, stop)
    assert consumer.acknowledged == [[one, two], [three], [four]]


async def test_what_is_left_of_a_batch_is_processed_though_an_acknowledgement_is_lost(stop, monkeypatch) -> None:
    monkeypatch.setattr(loops, "PORTION_OCTETS", 10)
    one, two = received = long_batch(8, 8)
    consumer = FakeConsumer(received, acknowledging=[Unavailable("gone"), None])
    process = settling(None, None, stop=stop)
    await consumed(consumer, process, stop)
    assert process.calls == [([one],), ([two],)]
    assert consumer.acknowledged == [[two]]


async def test_preparation_comes_first_and_may_have_to_wait(stop) -> None:
    before = Scripted(Unavailable("down"), None)
    process = settling(None, stop=stop)
    consumer = FakeConsumer(batch(1))
    await consumed(consumer, process, stop, before=before)
    assert len(before.calls) == 2
    assert len(process.calls) == 1


async def test_a_defect_ends_the_loop_loudly_and_acknowledges_nothing(stop) -> None:
    consumer = FakeConsumer(batch(1))
    with pytest.raises(ZeroDivisionError):
        await consumed(consumer, Scripted(ZeroDivisionError()), stop)
    assert consumer.acknowledged == []


async def test_an_empty_batch_is_no_batch(stop) -> None:
    consumer = FakeConsumer([], batch(1))
    process = settling(None, stop=stop)
    await consumed(consumer, process, stop)
    assert process.calls == [(batch(1),)]


async def test_a_consumer_that_waits_is_not_stuck_and_one_that_works_is_watched(stop) -> None:
    watcher = Watcher()
    consumer = FakeConsumer(batch(1))
    await consumed(consumer, settling(None, stop=stop), stop, observer=watcher, few=1)
    assert watcher.waiting == [Loop.CONSUMER] * 2, "before it, and after"
    assert watcher.rounds == [Loop.CONSUMER]


async def test_a_consumer_that_has_settled_few_waits_again(stop) -> None:
    watcher = Watcher()
    consumer = FakeConsumer(batch(1))
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(consumed(consumer, settling(None), stop, observer=watcher))
        await consumer.waiting.wait()
        stop.set()
    assert watcher.waiting == [Loop.CONSUMER] * 2


async def test_a_loop_that_is_cancelled_leaves_nothing_behind(stop) -> None:
    consumer = FakeConsumer()
    consuming = asyncio.create_task(consumed(consumer, Scripted(), stop))
    await asyncio.wait_for(consumer.waiting.wait(), PATIENCE_SECONDS)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert consumer.cancelled
    assert asyncio.all_tasks() == {asyncio.current_task()}


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

    async def step(self, begun=lambda: None):
        answer = self.script.pop(0)
        begun()
        self.looked.set()
        if len(self.script) == self._last:
            self._stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def relayed(relay, stop, handover=None, idle_seconds=3600.0, **options) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await loops.relay(relay, handover=handover or Handover(), idle_seconds=idle_seconds, stop=stop, **options)


async def test_the_relay_goes_on_while_there_is_something(stop) -> None:
    relay = FakeRelay(10, 10, 3, 0, stop=stop, last=1)
    await relayed(relay, stop)
    assert relay.script == []


async def test_the_relay_is_woken_by_new_messages(stop) -> None:
    handover = Handover()
    relay = FakeRelay(0, 5, 0, stop=stop, last=1)
    relaying = asyncio.create_task(relayed(relay, stop, handover))
    await asyncio.wait_for(relay.looked.wait(), PATIENCE_SECONDS)
    handover.put()
    await relaying
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


async def test_stop_ends_a_pause(monkeypatch, stop) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_SECONDS", 3600.0)
    tried = asyncio.Event()

    class Listener(Unobserved):
        def retried(self, what: str) -> None:
            tried.set()

    consuming = asyncio.create_task(consumed(FakeConsumer(Unavailable("gone")), Scripted(), stop, observer=Listener()))
    await asyncio.wait_for(tried.wait(), PATIENCE_SECONDS)
    stop.set()
    await consuming
