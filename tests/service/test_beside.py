"""What goes on while something else is done, and the messages of a large batch, which are written meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from chfw_sr.messages import EUI, Alert, ReadPilotPlan, RequestID, ResponseCode, ServiceRequestRejected
from chfw_sr.service import dispatch, processor
from chfw_sr.service.beside import MUCH, Meanwhile
from chfw_sr.service.dispatch import Letter
from chfw_sr.service.ports import Channels, Delivery, MessageKind, OutboxMessage, Unavailable
from chfw_sr.wire import write_request

from .world import ALPHA, CAMPAIGN, DCC, GASCO, KEYS, OPERATOR, World, create, hub_eui, publish

NOW = datetime(2027, 1, 4, tzinfo=UTC)
PATIENCE_SECONDS = 20


async def fail() -> None:
    raise Unavailable("away")


async def test_what_stopped_it_is_told_to_whoever_waits() -> None:
    async with Meanwhile(fail()) as doing:
        with pytest.raises(Unavailable):
            await doing.over()
        assert doing.is_over
        later = asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await doing.then(later)
        with pytest.raises(RuntimeError, match="already awaited"):
            await later


async def test_nothing_goes_on_after_the_end() -> None:
    ended = asyncio.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async def something_else() -> None:
        async with Meanwhile(for_ever()):
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await something_else()
    assert ended.is_set()


class Store:
    """A unit of work that is told only when it may be, and notes what it got, and whether anything was asked amid."""

    def __init__(self) -> None:
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.fails = False
        self.calls: list[Sequence[OutboxMessage]] = []
        self.times_told = 0
        self._busy = False

    async def reserve(self, count: int) -> int:
        assert not self._busy
        self.reserved = range(1000, 1000 + count)
        return 1000

    async def enqueue(self, messages: Sequence[OutboxMessage]) -> None:
        assert not self._busy
        self.calls.append(list(messages))

    async def tell(self) -> None:
        assert not self._busy
        self._busy = True
        await self.may_go.wait()
        self._busy = False
        if self.fails:
            raise Unavailable("away")
        self.times_told += 1

    @property
    def messages(self) -> list[OutboxMessage]:
        return [message for call in self.calls for message in call]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "TOGETHER", MUCH)


def alerts(count: int) -> list[Alert]:
    recipients = (ALPHA, GASCO)
    return [
        Alert(
            recipient=recipients[number % 2],
            body=ServiceRequestRejected(
                request_id=RequestID(originator=ALPHA, target=DCC, counter=number + 1),
                response_code=ResponseCode.E903,
                reason=f"number {number}",
            ),
        )
        for number in range(count)
    ]


async def send(store: Store, count: int, mailed: Mapping[EUI, Channels] = {}) -> None:
    letter = Letter(MessageKind.RESPONSE, ALPHA, "name", "11.6", b"octets")
    outgoing = [letter, *alerts(count)]
    await dispatch.dispatch(store, outgoing, now=NOW, dcc=DCC, signer=KEYS.signers[DCC], mailed=mailed)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [MUCH - 2, MUCH - 1, 3 * MUCH])
@pytest.mark.parametrize("channels", [None, *Channels])
async def test_each_message_is_put_in_once_in_order_with_an_id_of_its_own(
    store: Store, count: int, channels: Channels | None
) -> None:
    await send(store, count, {} if channels is None else {GASCO: channels})
    assert sorted(each.id for each in store.messages) == list(store.reserved)
    to_alpha = [each for each in store.messages if each.recipient == ALPHA]
    assert [each.kind for each in to_alpha] == [MessageKind.RESPONSE] + [MessageKind.ALERT] * ((count + 1) // 2)
    kinds = {MessageKind.ALERT} if channels is None else set[MessageKind]()
    if channels is not None:
        kinds |= {MessageKind.ALERT} if channels.by_bus else set()
        kinds |= {MessageKind.EMAIL} if channels.by_email else set()
    lanes = [[each for each in store.messages if (each.recipient, each.kind) == (GASCO, kind)] for kind in kinds]
    assert sum(map(len, lanes)) == len(kinds) * (count // 2) == len(store.messages) - len(to_alpha)
    for lane in (to_alpha, *lanes):
        assert all(before.id < after.id for before, after in pairwise(lane))
        octets = b"".join(each.octets for each in lane)
        places = [octets.find(f">number {n}<".encode()) for n in range(lane is not to_alpha, count, 2)]
        assert places[0] > -1
        assert places == sorted(places)


async def test_few_messages_need_no_telling(store: Store) -> None:
    await send(store, MUCH - 2)
    assert store.times_told == 0


async def test_messages_are_written_while_the_store_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told of the changes until all messages are written; then of all of them."""
    store.may_go.clear()
    written: list[int] = []
    write_alerts = dispatch.write_alerts

    def noted(numbered, *others):
        written.append(len(numbered))
        if sum(written) == 3 * MUCH:
            loop.call_soon_threadsafe(store.may_go.set)
        return write_alerts(numbered, *others)

    monkeypatch.setattr(dispatch, "write_alerts", noted)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await send(store, 3 * MUCH)
    assert len(written) > 1
    assert len(store.messages) == 3 * MUCH + 1


async def test_the_store_is_told_of_the_first_messages_before_the_last_are_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_alerts = dispatch.write_alerts
    known: list[int] = []

    def noted(numbered, *others):
        known.append(len(store.messages))
        return write_alerts(numbered, *others)

    monkeypatch.setattr(dispatch, "write_alerts", noted)
    await send(store, 10 * MUCH)
    assert known[0] == 0 < known[-1]


async def test_what_stops_the_telling_stops_the_sending(store: Store) -> None:
    store.fails = True
    with pytest.raises(Unavailable):
        await send(store, 3 * MUCH)
    assert not store.messages


async def test_what_stops_the_writing_leaves_nothing_going_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.may_go.clear()

    def defect(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(dispatch, "write_alerts", defect)
    with pytest.raises(ZeroDivisionError):
        await send(store, MUCH)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
async def consulting() -> World:
    world = await World().populate()
    await world.send(OPERATOR, create())
    await world.send(OPERATOR, publish([hub_eui(0), hub_eui(1)]))
    await world.published()
    return world


def reads(world: World, count: int) -> list[Delivery]:
    return [
        Delivery(write_request(world.request(ALPHA, ReadPilotPlan(campaign_id=CAMPAIGN)), KEYS.signers[ALPHA]), tag)
        for tag in range(count)
    ]


@pytest.mark.parametrize("most", [1, 40, 10**6])
async def test_responses_of_a_large_batch_are_written_at_latest_when_there_are_many(
    consulting: World, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(processor, "MOST_KEPT", most)
    written: list[int] = []
    write = processor.write

    def noted(answers, signer):
        written.append(sum(answer.size for answer in answers))
        write(answers, signer)

    monkeypatch.setattr(processor, "write", noted)
    outcomes = await consulting.processor.process(reads(consulting, MUCH + 2))
    assert {outcome.code for outcome in outcomes} == {ResponseCode.I0}
    size = sum(written) // len(outcomes)
    assert size > 2, "the lists count"
    assert all(most <= each < most + size for each in written[:-1])
    assert (most > sum(written)) == (len(written) == 1)
    responses = [each for each in await consulting.published() if each.kind is MessageKind.RESPONSE]
    assert len({each.octets for each in responses}) == MUCH + 2


async def test_a_large_batch_of_which_the_store_cannot_be_told_has_no_effect(
    consulting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with consulting.store.begin() as work:
        unit = type(work)
    batch = reads(consulting, MUCH)
    with monkeypatch.context() as away:
        away.setattr(unit, "tell", lambda _: fail())
        with pytest.raises(Unavailable):
            await consulting.processor.process(batch)
    assert not await consulting.published()
    outcomes = await consulting.processor.process(batch)
    assert {outcome.code for outcome in outcomes} == {ResponseCode.I0}
