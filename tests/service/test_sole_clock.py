"""One active clock across processes."""

import pytest

from chfw_sr.messages import Stage
from chfw_sr.service.observer import Unobserved
from chfw_sr.service.ports import Unavailable
from chfw_sr.service.sole_clock import SoleClock

from .world import CAMPAIGN, DAY, OPERATOR, START, World, create, hub_eui, publish

LEASE_SECONDS = 15.0


class Watcher(Unobserved):
    def __init__(self) -> None:
        self.leading: bool | None = None

    def leads(self, leading: bool) -> None:
        self.leading = leading


class Machine:
    """A process: its clock's loop and its own sense of time."""

    def __init__(self, world: World, name: str) -> None:
        self.seconds = 0.0
        self.watcher = Watcher()
        self.clock = SoleClock(
            store=world.store,
            clockwork=world.clockwork,
            clock=world.clock,
            holder=name,
            lease_seconds=LEASE_SECONDS,
            observer=self.watcher,
            elapsed=lambda: self.seconds,
        )

    @property
    def leads(self) -> bool | None:
        return self.watcher.leading


@pytest.fixture
async def world() -> World:
    world = await World().populate()
    await world.send(OPERATOR, create())
    await world.send(OPERATOR, publish([hub_eui(1)]))
    return world


@pytest.fixture
def first(world) -> Machine:
    return Machine(world, "first")


@pytest.fixture
def second(world) -> Machine:
    return Machine(world, "second")


async def stage(world: World) -> Stage:
    return (await world.store.queries.campaign(CAMPAIGN)).campaign.stage


async def test_one_is_active_and_takes_the_steps(world, first, second) -> None:
    assert await first.clock.tick() == 0
    world.clock.set(START + 5 * DAY)
    first.seconds = second.seconds = 1.0
    first_steps = await first.clock.tick()
    assert (first_steps, await stage(world)) == (1, Stage.PILOT_CONFIRMED)
    assert first.leads


async def test_the_other_rests_while_the_lease_lasts(world, first, second) -> None:
    world.clock.set(START + 5 * DAY)
    assert await world.store.lease("clock", "somebody else", world.clock.now(), LEASE_SECONDS)
    assert await second.clock.tick() == 0
    assert second.leads is False
    assert await stage(world) is Stage.PILOT_CONSULTATION


async def test_the_other_takes_over_from_one_that_fell_silent_and_fences_it(world, first, second) -> None:
    await first.clock.tick()
    world.clock.set(START + 5 * DAY)
    assert await second.clock.tick() == 1
    assert second.leads
    world.clock.set(START + 10 * DAY)
    # The first still believes that it has the lease; its next transaction finds out.
    with pytest.raises(Unavailable, match="clock"):
        await first.clock.tick()
    assert first.leads is False
    assert await stage(world) is Stage.PILOT_CONFIRMED
    assert await second.clock.tick() == 1


async def test_after_it_was_fenced_it_contends_again(world, first, second) -> None:
    await first.clock.tick()
    world.clock.set(START + 5 * DAY)
    await second.clock.tick()
    world.clock.set(START + 10 * DAY)
    with pytest.raises(Unavailable):
        await first.clock.tick()
    assert await first.clock.tick() == 1, "the second's lease ran out five days ago"


async def test_the_lease_is_renewed_in_time_and_not_at_every_tick(world, first, monkeypatch) -> None:
    asked: list[str] = []
    real = world.store.lease

    async def lease(*arguments):
        asked.append(arguments[1])
        return await real(*arguments)

    monkeypatch.setattr(world.store, "lease", lease)
    for seconds in (0.0, 1.0, 4.9, 5.0, 9.9, 10.0):
        first.seconds = seconds
        await first.clock.tick()
    assert len(asked) == 3


async def test_one_that_ends_gives_the_lease_back(world, first, second) -> None:
    await first.clock.tick()
    await first.clock.close()
    assert first.leads is False
    await second.clock.tick()
    assert second.leads


async def test_one_that_never_had_the_lease_ends_quietly(first) -> None:
    await first.clock.close()
    assert not first.leads


async def test_a_store_that_is_down_makes_it_rest(world, first, monkeypatch) -> None:
    await first.clock.tick()
    assert first.leads

    async def down(*_):
        raise Unavailable("down")

    monkeypatch.setattr(world.store, "lease", down)
    first.seconds = LEASE_SECONDS
    with pytest.raises(Unavailable):
        await first.clock.tick()
    assert first.leads is False
