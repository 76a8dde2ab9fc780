"""Downtimes are noticed, and made good once."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chfw_sr.campaign.changes import CampaignEvent, CampaignSaved
from chfw_sr.messages import CampaignID, Stage, UpdatePilotPreferences
from chfw_sr.service.heartbeat import MISSED_BEATS, Heartbeat, elapsed
from chfw_sr.service.ports import Cause, Unavailable
from chfw_sr.storage import migrations
from chfw_sr.storage.memory import MemoryStore
from chfw_sr.storage.store import create_store
from chfw_sr.wire import read_alert

from .world import ALPHA, CAMPAIGN, DAY, DCC, GASCO, KEYS, OPERATOR, START, World, create, hub_eui, publish

SECOND = timedelta(seconds=1)
BEAT_SECONDS = 5.0
DEADLINE = START + 5 * DAY


class Stopwatch:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def heart_of(world: World, watch: Stopwatch | None = None) -> Heartbeat:
    return Heartbeat(
        store=world.store,
        signer=KEYS.signers[DCC],
        dcc=DCC,
        clock=world.clock,
        every_seconds=BEAT_SECONDS,
        elapsed=watch or Stopwatch(),
    )


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    url = f"sqlite+aiosqlite:///{tmp_path / 'heartbeat.sqlite3'}"
    store = MemoryStore() if request.param == "memory" else create_store(url)
    if request.param == "sqlite":
        await migrations.upgrade(url)
    yield store
    await store.close()


@pytest.fixture
async def world(store) -> World:
    """A campaign in consultation, of which everyone has been told."""
    world = await World(store).populate()
    await world.send(OPERATOR, create())
    await world.send(OPERATOR, publish([hub_eui(number) for number in range(10)]))
    await world.published()
    return world


async def up(world: World, at) -> None:
    """Let a process be up at a moment, and die right after it."""
    world.clock.set(at)
    await heart_of(world).beat()


async def deadline(world: World):
    return (await world.store.queries.campaign(CAMPAIGN)).campaign.response_deadline


async def test_the_first_beat_ever_is_no_downtime(world) -> None:
    world.clock.set(DEADLINE + DAY)
    assert await heart_of(world).beat() == ()
    assert await deadline(world) == DEADLINE


async def test_a_deadline_that_passed_in_a_downtime_moves_by_its_length(world) -> None:
    await up(world, DEADLINE - 2 * SECOND)
    world.clock.set(DEADLINE + DAY)
    assert await heart_of(world).beat() == [CAMPAIGN]
    assert await deadline(world) == DEADLINE + DAY + 2 * SECOND
    assert await world.clockwork.tick() == 0, "it is not due any more"


async def test_the_suppliers_and_the_operator_are_told(world) -> None:
    await up(world, DEADLINE - 2 * SECOND)
    world.clock.set(DEADLINE + DAY)
    await heart_of(world).beat()
    messages = await world.published()
    assert [(each.recipient, each.type) for each in messages] == [
        (ALPHA, "N906"),
        (GASCO, "N906"),
        (OPERATOR, "N906"),
    ]
    body = read_alert(messages[0].octets)[0].body
    assert (body.previous, body.stage) == (Stage.PILOT_CONSULTATION, Stage.PILOT_CONSULTATION)
    assert "2027-01-10T09:00:02Z" in body.reason


async def test_the_history_says_why_the_deadline_moved(world) -> None:
    await up(world, DEADLINE - SECOND)
    world.clock.set(DEADLINE + DAY)
    await heart_of(world).beat()
    newest = (await world.store.queries.campaign_history(CAMPAIGN, 1))[0]
    assert newest.kind == CampaignEvent.DEADLINE_MOVED
    assert newest.request_id is None
    assert newest.at == DEADLINE + DAY


async def test_a_supplier_can_still_answer_after_the_downtime(world) -> None:
    await up(world, DEADLINE - SECOND)
    world.clock.set(DEADLINE + DAY)
    await heart_of(world).beat()
    outcome = await world.send(ALPHA, UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=(hub_eui(1),)))
    assert outcome.code == "I99"


async def test_of_several_processes_that_start_together_one_extends(world) -> None:
    await up(world, DEADLINE - SECOND)
    world.clock.set(DEADLINE + DAY)
    extended = await asyncio.gather(*(heart_of(world).beat() for _ in range(4)))
    assert sorted(map(len, extended)) == [0, 0, 0, 1]
    assert len(await world.told()) == 3


async def test_a_short_silence_is_none(world) -> None:
    await up(world, DEADLINE - SECOND)
    world.clock.set(DEADLINE - SECOND + timedelta(seconds=MISSED_BEATS * BEAT_SECONDS))
    assert await heart_of(world).beat() == ()
    assert await deadline(world) == DEADLINE


async def test_a_deadline_that_had_passed_before_or_lies_ahead_stays(world) -> None:
    await up(world, DEADLINE)
    world.clock.set(DEADLINE + DAY)
    assert await heart_of(world).beat() == []
    assert await deadline(world) == DEADLINE


async def test_a_step_of_another_kind_that_fell_due_is_left_to_the_clock(world) -> None:
    world.clock.set(DEADLINE)
    await world.clockwork.tick()
    await up(world, DEADLINE)
    world.clock.set(START + 10 * DAY)
    assert await heart_of(world).beat() == []
    assert (await world.store.queries.campaign(CAMPAIGN)).campaign.stage is Stage.PILOT_CONFIRMED


async def test_a_clock_that_jumps_is_no_downtime(world) -> None:
    watch = Stopwatch()
    heart = heart_of(world, watch)
    world.clock.set(DEADLINE - SECOND)
    await heart.beat()
    watch.seconds += BEAT_SECONDS
    world.clock.set(DEADLINE + DAY)
    assert await heart.beat() == ()
    assert await deadline(world) == DEADLINE


async def test_a_database_that_was_away_for_long_was_a_downtime_too(world) -> None:
    watch = Stopwatch()
    heart = heart_of(world, watch)
    world.clock.set(DEADLINE - SECOND)
    await heart.beat()
    watch.seconds += DAY.total_seconds()
    world.clock.set(DEADLINE + DAY)
    assert await heart.beat() == [CAMPAIGN]


async def test_ensure_beats_only_when_the_last_beat_is_old(world) -> None:
    watch = Stopwatch()
    heart = heart_of(world, watch)

    async def last():
        async with world.store.begin() as work:
            return await work.beat(START - DAY)

    await heart.ensure()
    assert await last() == START
    watch.seconds += BEAT_SECONDS - 1
    world.clock.set(START + SECOND)
    await heart.ensure()
    assert await last() == START, "too early"
    watch.seconds += 1
    await heart.ensure()
    assert await last() == START + SECOND


async def test_a_store_that_is_down_leaves_everything_as_it_was(world, monkeypatch) -> None:
    await up(world, DEADLINE - SECOND)
    world.clock.set(DEADLINE + DAY)
    heart = heart_of(world)

    async def down(*_, **__):
        raise Unavailable("down")

    with monkeypatch.context() as patched:
        patched.setattr("chfw_sr.service.heartbeat.dispatch", down)
        with pytest.raises(Unavailable):
            await heart.beat()
    assert await deadline(world) == DEADLINE
    assert await heart.beat() == [CAMPAIGN], "found again"


async def test_several_campaigns_are_made_good_together(world) -> None:
    found = await world.store.queries.campaign(CAMPAIGN)
    other = replace(found.campaign, campaign_id=CampaignID("CH-2027-02"))
    async with world.store.begin() as work:
        await work.apply([CampaignSaved(other, CampaignEvent.CREATED)], Cause(START))
        await work.commit()
    await up(world, DEADLINE - SECOND)
    world.clock.set(DEADLINE + DAY)
    assert await heart_of(world).beat() == [CAMPAIGN, "CH-2027-02"]
    assert [code for _, code in await world.told()] == ["N906"] * 4, "the other has no Suppliers yet"


def test_time_that_has_passed_grows() -> None:
    first = elapsed()
    assert elapsed() >= first


def test_time_that_has_passed_is_known_where_there_is_no_such_clock(monkeypatch) -> None:
    monkeypatch.delattr("time.CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr("time.monotonic", lambda: 42.0)
    assert elapsed() == 42.0
