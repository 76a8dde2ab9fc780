"""The relay and the clock."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from chfw_sr.service.ports import MessageKind, OutboxStatus, PublishResult, Unavailable
from chfw_sr.service.relay import REST_SECONDS, Relay

from .world import ALPHA, CAMPAIGN, DAY, GASCO, OPERATOR, START, World, create, hub_eui, publish


class StubbornPublisher:
    """Answers with what it was told to, and keeps what it was given."""

    def __init__(self, *results: PublishResult | Exception) -> None:
        self.results = list(results)
        self.given: list = []

    async def publish(self, messages):
        self.given.append(messages)
        result = self.results.pop(0) if self.results else PublishResult.CONFIRMED
        if isinstance(result, Exception):
            raise result
        return [result] * len(messages)


@pytest.fixture
async def world() -> World:
    world = await World().populate()
    await world.send(OPERATOR, create())
    return world


def relay_of(world: World, publisher: StubbornPublisher) -> Relay:
    return Relay(store=world.store, publisher=publisher, clock=world.clock, lease_seconds=60)


async def test_what_is_confirmed_is_published_once(world: World) -> None:
    publisher = StubbornPublisher()
    assert await relay_of(world, publisher).drain() == 2
    assert await relay_of(world, publisher).drain() == 0
    (messages,) = publisher.given
    assert sorted(message.kind for message in messages) == [MessageKind.ALERT, MessageKind.RESPONSE]
    entries = await world.store.queries.outbox(OutboxStatus.PUBLISHED, 10)
    assert [entry.published_at for entry in entries] == [START, START]


async def test_what_could_not_be_sent_is_given_back_at_once(world: World) -> None:
    publisher = StubbornPublisher(Unavailable("gone"))
    relay = relay_of(world, publisher)
    with pytest.raises(Unavailable):
        await relay.step()
    assert await relay.step() == 2
    first, second = publisher.given
    assert first == second


async def test_a_store_that_is_away_as_well_leaves_the_claim_to_run_out(world: World, monkeypatch) -> None:
    relay = relay_of(world, StubbornPublisher(Unavailable("the bus is gone")))

    async def away(*_):
        raise Unavailable("the store is gone")

    with monkeypatch.context() as patch:
        patch.setattr("chfw_sr.storage.memory.doors.MemoryOutbox.mark", away)
        with pytest.raises(Unavailable, match="the bus is gone"):
            await relay.step()
    assert await relay.step() == 0
    world.clock.set(START + timedelta(seconds=61))
    assert await relay.step() == 2


@pytest.mark.parametrize("trouble", [PublishResult.FAILED, PublishResult.UNROUTABLE])
async def test_what_is_not_confirmed_comes_again_with_the_same_octets_after_a_rest(world: World, trouble) -> None:
    publisher = StubbornPublisher(trouble)
    relay = relay_of(world, publisher)
    assert await relay.step() == 2
    assert await relay.step() == 0, "the lanes rest"
    world.clock.set(START + timedelta(seconds=REST_SECONDS))
    assert await relay.step() == 2
    first, second = publisher.given
    assert [(one.id, one.message_id, one.octets) for one in first] == [
        (one.id, one.message_id, one.octets) for one in second
    ]


class HeldPublisher(StubbornPublisher):
    """Waits before it answers, until it is let go."""

    def __init__(self, *results: PublishResult | Exception) -> None:
        super().__init__(*results)
        self.go_on = asyncio.Event()
        self.waiting = asyncio.Queue[int]()

    async def publish(self, messages):
        self.waiting.put_nowait(len(messages))
        await self.go_on.wait()
        return await super().publish(messages)


def pipelined(world: World, publisher: StubbornPublisher) -> Relay:
    return Relay(store=world.store, publisher=publisher, clock=world.clock, batch=1, claims=2)


async def test_the_next_claim_is_published_while_the_first_waits(world: World) -> None:
    publisher = HeldPublisher()
    relay = pipelined(world, publisher)
    assert await relay.step() == 1
    second = asyncio.create_task(relay.step())
    assert [await publisher.waiting.get() for _ in range(2)] == [1, 1]
    assert [e.status for e in await world.store.queries.outbox(None, 10)] == [OutboxStatus.CLAIMED] * 2
    assert not second.done(), "there is room for two claims, and no more"
    publisher.go_on.set()
    assert await second == 1
    assert await relay.drain() == 0
    assert [e.status for e in await world.store.queries.outbox(None, 10)] == [OutboxStatus.PUBLISHED] * 2


async def test_a_claim_under_way_fails_the_step_that_waits_for_it(world: World) -> None:
    publisher = HeldPublisher(Unavailable("gone"), KeyError("a defect"))
    relay = pipelined(world, publisher)
    assert await relay.step() == 1
    publisher.go_on.set()
    with pytest.raises(KeyError):  # a defect is not hidden by a server that was away
        await relay.drain()


async def test_a_relay_finishes_what_is_under_way(world: World) -> None:
    publisher = HeldPublisher(Unavailable("gone"))
    relay = pipelined(world, publisher)
    assert await relay.step() == 1
    publisher.go_on.set()
    await relay.finish()
    assert [e.status for e in await world.store.queries.outbox(None, 10)] == [OutboxStatus.READY] * 2


async def test_what_was_confirmed_of_a_lane_is_not_given_back_with_the_rest(world: World) -> None:
    class HalfPublisher(StubbornPublisher):
        async def publish(self, messages):
            self.given.append(messages)
            return [PublishResult.FAILED, *[PublishResult.CONFIRMED] * (len(messages) - 1)]

    await world.send(OPERATOR, create("CH-2"))
    publisher = HalfPublisher()
    relay = Relay(store=world.store, publisher=publisher, clock=world.clock)
    assert await relay.step() == 4
    statuses = Counter(entry.status for entry in await world.store.queries.outbox(None, 10))
    assert statuses == {OutboxStatus.READY: 1, OutboxStatus.PUBLISHED: 3}


async def test_a_reply_that_nobody_waits_for_is_given_up(world: World) -> None:
    from chfw_sr.service.ports import Delivery

    await world.published()
    await world.process(Delivery(world.octets(OPERATOR, create()), 0, reply_to="gone"))
    await world.published()
    (entry,) = await world.store.queries.outbox(OutboxStatus.UNROUTABLE, 10)
    assert entry.message.recipient == "gone"
    world.clock.set(START + DAY)
    assert await world.relay.drain() == 0


async def test_the_clock_takes_each_due_step_once(world: World) -> None:
    await world.send(OPERATOR, publish([hub_eui(0), hub_eui(7)]))
    await world.published()
    assert await world.clockwork.tick() == 0
    world.clock.set(START + 5 * DAY)
    assert await world.clockwork.tick() == 1
    assert await world.clockwork.tick() == 0
    assert Counter(await world.told()) == {
        (ALPHA, "N905"): 1,
        (GASCO, "N905"): 1,
        (ALPHA, "N906"): 1,
        (GASCO, "N906"): 1,
        (OPERATOR, "N906"): 1,
    }


async def test_the_clock_catches_up_after_any_standstill(world: World) -> None:
    await world.send(OPERATOR, publish([hub_eui(0)]))
    await world.published()
    world.clock.set(START + 40 * DAY)
    assert await world.clockwork.tick() == 3
    view = await world.store.queries.campaign(CAMPAIGN)
    assert view is not None
    assert view.campaign.stage == "PilotComplete"
    assert Counter(await world.told())[(OPERATOR, "N906")] == 3
