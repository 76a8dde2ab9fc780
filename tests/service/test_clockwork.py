"""A campaign whose step meets a defect holds up no other."""

from datetime import timedelta

import pytest

from chfw_sr.messages import CampaignID, Stage
from chfw_sr.service import conduct
from chfw_sr.service.clockwork import REST, Clockwork
from chfw_sr.service.observer import Unobserved
from chfw_sr.service.ports import Unavailable

from .world import DAY, DCC, KEYS, OPERATOR, START, World, create, hub_eui, publish

DAMAGED, SOUND = CampaignID("A-DAMAGED"), CampaignID("B-SOUND")


class Watcher(Unobserved):
    """Notes which campaigns stalled."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def stalled(self, campaign_id: str) -> None:
        self.seen.append(campaign_id)


@pytest.fixture
async def world() -> World:
    """Two campaigns, both past their deadline."""
    world = await World().populate()
    for number, campaign_id in enumerate((DAMAGED, SOUND)):
        await world.send(OPERATOR, create(campaign_id))
        await world.send(OPERATOR, publish([hub_eui(number)], campaign_id))
    world.clock.set(START + 5 * DAY)
    return world


@pytest.fixture
def meets(monkeypatch):
    """Makes every step of the damaged campaign raise something, until told otherwise."""
    decide = conduct.decide_step

    def arrange(error: Exception | None) -> None:
        def faulty(facts, campaign_id, now, policy):
            if error is not None and campaign_id == DAMAGED:
                raise error
            return decide(facts, campaign_id, now, policy)

        monkeypatch.setattr(conduct, "decide_step", faulty)

    return arrange


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def clockwork(world: World, watcher: Watcher) -> Clockwork:
    return Clockwork(
        store=world.store,
        signer=KEYS.signers[DCC],
        dcc=DCC,
        policy=world.policy,
        clock=world.clock,
        observer=watcher,
    )


async def stages(world: World) -> list[Stage]:
    return [each.stage for each in await world.store.queries.campaigns()]


async def test_a_defect_is_loud_and_the_other_campaign_goes_on(world, clockwork, watcher, meets, caplog) -> None:
    meets(ZeroDivisionError())
    assert await clockwork.tick() == 1
    assert await stages(world) == [Stage.PILOT_CONSULTATION, Stage.PILOT_CONFIRMED]
    assert watcher.seen == [DAMAGED]
    (record,) = [each for each in caplog.records if each.exc_info]
    assert DAMAGED in record.getMessage()


async def test_the_campaign_is_left_alone_for_a_while(world, clockwork, watcher, meets) -> None:
    meets(ZeroDivisionError())
    await clockwork.tick()
    world.clock.set(world.clock.now() + REST - timedelta(seconds=1))
    await clockwork.tick()
    assert watcher.seen == [DAMAGED]
    world.clock.set(world.clock.now() + timedelta(seconds=1))
    await clockwork.tick()
    assert watcher.seen == [DAMAGED, DAMAGED]


async def test_once_the_defect_is_gone_it_goes_on_where_it_was(world, clockwork, meets) -> None:
    meets(ZeroDivisionError())
    await clockwork.tick()
    meets(None)
    world.clock.set(world.clock.now() + REST)
    assert await clockwork.tick() == 1
    assert await stages(world) == [Stage.PILOT_CONFIRMED, Stage.PILOT_CONFIRMED]


async def test_a_store_that_is_away_is_no_defect(clockwork, watcher, meets) -> None:
    meets(Unavailable("down"))
    with pytest.raises(Unavailable):
        await clockwork.tick()
    assert watcher.seen == []
