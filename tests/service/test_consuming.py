"""The loop that takes Service Requests, with fakes: what comes when, stopping, back-off, draining."""

import asyncio
from collections.abc import Sequence

import pytest

from chfw_sr.service import consuming, loops
from chfw_sr.service.batches import Batch
from chfw_sr.service.observer import Loop, Unobserved
from chfw_sr.service.ports import Delivery, Unavailable

from .fake_loops import PATIENCE_SECONDS, Scripted, Watcher

pytestmark = pytest.mark.usefixtures("no_pauses")


class FakeConsumer:
    """Hands out batches, then waits for ever."""

    def __init__(self, *batches: Sequence[Delivery] | Exception, acknowledging: Sequence[object] = ()) -> None:
        self.batches = list(batches)
        self.acknowledged: list[Sequence[Delivery]] = []
        self.waiting = asyncio.Event()
        self.cancelled = False
        self.asked: list[tuple[int, float]] = []
        self._acknowledging = list(acknowledging)

    async def receive(self, limit, wait_seconds):
        self.asked.append((limit, wait_seconds))
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
        self.process = process
        self.report = lambda settled: None

    async def take(self, deliveries):
        return Batch(deliveries, [], {}, None, 0.0)

    async def settle(self, taken, waits):
        waits(True)
        return await self.process(taken.deliveries)


def batch(*tags: int) -> list[Delivery]:
    return [Delivery(b"<a/>", tag) for tag in tags]


async def consumed(consumer, process, stop, **options) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await consuming.consume(consumer, FakeProcessor(process), batch=7, wait_seconds=0.5, stop=stop, **options)


def settling(*answers, stop: asyncio.Event | None = None) -> Scripted:
    """Settle batches; an answer is an exception, or whatever is to be reported."""
    return Scripted(*("settled" if answer is None else answer for answer in answers), stop=stop)


async def test_a_batch_is_processed_then_announced_then_acknowledged(stop) -> None:
    order: list[str] = []
    consumer = FakeConsumer(batch(1, 2), batch(3))

    async def process(deliveries):
        order.append(f"process {[each.tag for each in deliveries]}")
        return "settled"

    loop = asyncio.create_task(consumed(consumer, process, stop, done=lambda: order.append("done")))
    await asyncio.wait_for(consumer.waiting.wait(), PATIENCE_SECONDS)
    stop.set()
    await loop

    assert order == ["process [1, 2]", "done", "process [3]", "done"]
    assert consumer.acknowledged == [batch(1, 2), batch(3)]
    assert consumer.asked[0] == (7, 0.5)


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
        await consuming.consume(consumer, processor, batch=7, wait_seconds=0.5, stop=stop, done=woken.set)
    assert order == ["the relay asks", "report outcomes"]
    assert consumer.acknowledged == [batch(1)]


async def test_stop_ends_a_loop_that_waits_for_messages(stop) -> None:
    consumer = FakeConsumer()
    loop = asyncio.create_task(consumed(consumer, Scripted(), stop))
    await asyncio.wait_for(consumer.waiting.wait(), PATIENCE_SECONDS)
    stop.set()
    await loop
    assert consumer.cancelled


async def test_stop_before_the_beginning_takes_nothing(stop) -> None:
    stop.set()
    consumer = FakeConsumer(batch(1))
    await consumed(consumer, Scripted(), stop)
    assert consumer.batches == [batch(1)]


async def test_batches_in_hand_are_finished_after_stop(stop) -> None:
    """The one that is settled, and what was taken in meanwhile; nothing else is received."""
    consumer, processor = FakeConsumer(batch(1), batch(2), batch(3)), SlowProcessor()
    processor.may_decide.set()
    loop = asyncio.create_task(consumed_by(consumer, processor, stop, batch=1))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await processor.taken_in(2)
        stop.set()
        processor.may_settle.set()
        await loop
    assert consumer.acknowledged == [batch(1), batch(2)]
    assert consumer.batches == [batch(3)]


class SlowProcessor:
    """Notes what it does; decides and settles only as it is let."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.begun = asyncio.Event()
        self.may_decide = asyncio.Event()
        self.may_settle = asyncio.Event()
        self._taken = asyncio.Semaphore(0)

    async def taken_in(self, times: int) -> None:
        for _ in range(times):
            await self._taken.acquire()

    async def take(self, deliveries):
        self.order.append(f"take {tags(deliveries)}")
        self._taken.release()
        return Batch(deliveries, [], {}, None, 0.0)

    async def settle(self, taken, waits):
        self.order.append(f"begin {tags(taken.deliveries)}")
        self.begun.set()
        await self.may_decide.wait()
        waits(True)
        await self.may_settle.wait()
        self.order.append(f"end {tags(taken.deliveries)}")
        return taken

    def report(self, settled):
        self.order.append(f"report {tags(settled.deliveries)}")


def tags(deliveries: Sequence[Delivery]) -> str:
    return " ".join(str(each.tag) for each in deliveries)


async def consumed_by(consumer, processor, stop, **options) -> None:
    await consuming.consume(consumer, processor, **{"batch": 7, "wait_seconds": 0.5, "stop": stop, **options})


async def idle_turns() -> None:
    """Give the loops the turns that they could need."""
    for _ in range(50):
        await asyncio.sleep(0)


async def three_taken_in(consumer, processor, stop, **options) -> list[str]:
    """Let three portions be taken in while the first is settled, then the rest; give what was done until then."""
    processor.may_decide.set()
    loop = asyncio.create_task(consumed_by(consumer, processor, stop, **options))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await processor.taken_in(3)
        await idle_turns()
        done = list(processor.order)
        processor.may_settle.set()
        await consumer.waiting.wait()
        stop.set()
        await loop
    return done


@pytest.fixture
def one_by_one(monkeypatch) -> None:
    """Have no more than one message received at once, so that more may lie ready behind each."""
    monkeypatch.setattr(consuming, "TOGETHER", 1)


@pytest.mark.usefixtures("one_by_one")
async def test_what_comes_while_a_batch_is_settled_is_taken_in_and_is_the_next_batch(stop) -> None:
    consumer, processor = FakeConsumer(batch(1), batch(2), batch(3)), SlowProcessor()
    assert await three_taken_in(consumer, processor, stop) == ["take 1", "begin 1", "take 2", "take 3"]
    settled = [each for each in processor.order if each.startswith(("begin", "end"))]
    assert settled == ["begin 1", "end 1", "begin 2 3", "end 2 3"]
    assert consumer.acknowledged == [batch(1), batch(2, 3)]


@pytest.mark.usefixtures("one_by_one")
async def test_no_more_is_taken_in_ahead_than_one_transaction_may_have(stop) -> None:
    consumer, processor = FakeConsumer(*([each] for each in long_batch(1, 1, 1, 1))), SlowProcessor()
    assert await three_taken_in(consumer, processor, stop, batch=2) == ["take 1", "begin 1", "take 2", "take 3"]
    assert [tags(each) for each in consumer.acknowledged] == ["1", "2 3", "4"]


@pytest.mark.usefixtures("one_by_one")
async def test_octets_that_do_not_fit_wait_for_the_next_transaction(stop, monkeypatch) -> None:
    monkeypatch.setattr(consuming, "PORTION_OCTETS", 10)
    consumer, processor = FakeConsumer(*([each] for each in long_batch(1, 6, 5, 30))), SlowProcessor()
    await three_taken_in(consumer, processor, stop)
    assert [tags(each) for each in consumer.acknowledged] == ["1", "2", "3", "4"]


async def test_what_comes_when_all_was_taken_in_waits_for_the_next_time_that_is_left(stop) -> None:
    consumer, processor = FakeConsumer(batch(1), batch(2), batch(3)), SlowProcessor()
    processor.may_decide.set()
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(consumed_by(consumer, processor, stop))
        await processor.taken_in(2)
        await idle_turns()
        assert processor.order == ["take 1", "begin 1", "take 2"]
        processor.may_settle.set()
        await consumer.waiting.wait()
        stop.set()
    assert consumer.acknowledged == [batch(1), batch(2), batch(3)]


async def test_while_a_batch_is_decided_nothing_is_taken_in(stop) -> None:
    """Whoever waits for its locks would wait longer."""
    consumer, processor = FakeConsumer(batch(1), batch(2)), SlowProcessor()
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(consumed_by(consumer, processor, stop))
        await processor.begun.wait()
        await idle_turns()
        assert processor.order == ["take 1", "begin 1"]
        processor.may_decide.set()
        await processor.taken_in(2)
        processor.may_settle.set()
        await consumer.waiting.wait()
        stop.set()
    assert consumer.acknowledged == [batch(1), batch(2)]


async def test_a_batch_that_is_tried_again_is_decided_again_without_anything_beside_it(stop) -> None:
    consumer, processor = FakeConsumer(batch(1), batch(2), batch(3)), SlowProcessor()
    settle = processor.settle

    async def fails_first(taken, waits):
        processor.settle = settle
        waits(True)
        await processor.taken_in(2)
        raise Unavailable("down")

    processor.settle = fails_first
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(consumed_by(consumer, processor, stop, batch=1))
        await processor.begun.wait()
        await idle_turns()
        assert processor.order == ["take 1", "take 2", "begin 1"]
        processor.may_decide.set()
        processor.may_settle.set()
        await consumer.waiting.wait()
        stop.set()
    assert consumer.acknowledged == [batch(1), batch(2), batch(3)]


async def test_a_loop_that_is_cancelled_cuts_short_what_it_settles(stop) -> None:
    consumer, processor = FakeConsumer(batch(1)), SlowProcessor()
    loop = asyncio.create_task(consumed_by(consumer, processor, stop))
    await asyncio.wait_for(processor.begun.wait(), PATIENCE_SECONDS)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop
    assert processor.order == ["take 1", "begin 1"]
    assert consumer.acknowledged == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.usefixtures("one_by_one")
async def test_a_defect_that_comes_late_ends_a_loop_that_waits_for_messages(stop) -> None:
    consumer = FakeConsumer(batch(1))

    async def process(deliveries):
        await consumer.waiting.wait()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await consumed(consumer, process, stop)
    assert consumer.cancelled


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
    monkeypatch.setattr(consuming, "PORTION_OCTETS", 10)
    one, two, three, four = received = long_batch(4, 6, 30, 1)
    consumer = FakeConsumer(received)
    process = settling(None, None, None, stop=stop)
    await consumed(consumer, process, stop)
    assert consumer.acknowledged == [[one, two], [three], [four]]


async def test_what_is_left_of_a_batch_is_processed_though_an_acknowledgement_is_lost(stop, monkeypatch) -> None:
    monkeypatch.setattr(consuming, "PORTION_OCTETS", 10)
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
    await consumed(consumer, settling(None, stop=stop), stop, observer=watcher)
    assert watcher.waiting == [Loop.CONSUMER], "before it, and not after: it was told to stop"
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
    loop = asyncio.create_task(consumed(consumer, Scripted(), stop))
    await asyncio.wait_for(consumer.waiting.wait(), PATIENCE_SECONDS)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop
    assert consumer.cancelled
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_stop_ends_a_pause(monkeypatch, stop) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_SECONDS", 3600.0)
    tried = asyncio.Event()

    class Listener(Unobserved):
        def retried(self, what: str) -> None:
            tried.set()

    loop = asyncio.create_task(consumed(FakeConsumer(Unavailable("gone")), Scripted(), stop, observer=Listener()))
    await asyncio.wait_for(tried.wait(), PATIENCE_SECONDS)
    stop.set()
    await loop
