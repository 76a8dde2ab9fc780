"""Floods: one User's does not take the others' turn, and one of nobody costs a bounded share; each SR is answered."""

import logging
from collections import Counter
from datetime import timedelta

import pytest

from chfw_sr.messages import ReadCampaignStatus, ResponseCode
from chfw_sr.service.clockwork import Clockwork
from chfw_sr.service.outcome import Ending
from chfw_sr.service.ports import Delivery, MessageKind, Unavailable
from chfw_sr.service.processor import Processor
from chfw_sr.service.quota import Fairness
from chfw_sr.wire import Intake, Limits, Schemas, read_alert, read_response
from tests.service.world import ALPHA, CAMPAIGN, DCC, GASCO, KEYS, OPERATOR, World, create

INTERVAL = timedelta(minutes=1)
FAIRNESS = Fairness(60, 5, 60, 3, INTERVAL)


def processor(world: World) -> Processor:
    return Processor(
        store=world.store,
        intake=Intake(Schemas.load(), Limits()),
        signer=KEYS.signers[DCC],
        dcc=DCC,
        policy=world.policy,
        clock=world.clock,
        fairness=FAIRNESS,
    )


@pytest.fixture
async def world(store) -> World:
    world = await World(store=store).populate()
    world.processor = processor(world)
    world.clockwork = Clockwork(
        store=store, signer=KEYS.signers[DCC], dcc=DCC, policy=world.policy, clock=world.clock, alert_interval=INTERVAL
    )
    return world


def reads(world: World, count: int, sender=ALPHA) -> list[bytes]:
    return [world.octets(sender, ReadCampaignStatus(campaign_id=CAMPAIGN)) for _ in range(count)]


async def flood(world: World, count: int) -> Counter[str]:
    return Counter(str(outcome.code) for outcome in await world.process(*reads(world, count)))


async def throttled_alerts(world: World) -> list[tuple[int | None, int | None]]:
    """Relay everything; give sequence and count of each N904 for `E906`."""
    alerts = [read_alert(each.octets)[0] for each in await world.published() if each.kind is MessageKind.ALERT]
    return [
        (each.throttled.sequence_id, each.throttled.count) if each.throttled else (None, None)
        for each in alerts
        if each.body.response_code is ResponseCode.E906
    ]


async def test_beyond_its_quota_a_user_is_refused_and_the_others_are_not(world) -> None:
    documents = [*reads(world, 20), *reads(world, 3, GASCO), world.octets(OPERATOR, create())]
    outcomes = await world.process(*documents)
    assert Counter(str(each.code) for each in outcomes[:20]) == {"E110901": 5, "E906": 15}
    assert [str(each.code) for each in outcomes[20:]] == ["E110901"] * 3 + ["I99"]


async def test_every_refused_request_is_answered_and_its_repeat_too(world) -> None:
    documents = reads(world, 8)
    await world.process(*documents)
    first = [each for each in await world.published() if each.kind is MessageKind.RESPONSE]
    assert [read_response(each.octets).code for each in first][5:] == [ResponseCode.E906] * 3
    world.clock.set(world.clock.now() + 10 * INTERVAL)
    again = await world.process(*documents)
    assert {each.ending for each in again} == {Ending.REPEATED}
    repeated = [each for each in await world.published() if each.kind is MessageKind.RESPONSE]
    assert [each.octets for each in repeated] == [each.octets for each in first]


async def test_repeats_are_answered_beyond_the_quota_and_take_none_of_it(world) -> None:
    (document,) = reads(world, 1)
    outcomes = await world.process(document, *[document] * 30)
    assert [each.ending for each in outcomes] == [Ending.REFUSED] + [Ending.REPEATED] * 30
    assert await flood(world, 4) == {"E110901": 4}


async def test_the_first_refusal_is_told_and_the_others_once_an_interval_with_their_count(world) -> None:
    """Each refusal is told alone or counted once: 1 + 9 + 12 + 4 = 26."""
    assert (await flood(world, 15))["E906"] == 10
    assert await throttled_alerts(world) == [(None, None)]
    world.clock.set(world.clock.now() + INTERVAL)
    assert (await flood(world, 17))["E906"] == 12
    assert await throttled_alerts(world) == [(1, 9 + 12)]
    assert (await flood(world, 4))["E906"] == 4
    assert await world.clockwork.tick() == 0
    assert await throttled_alerts(world) == []
    world.clock.set(world.clock.now() + INTERVAL)
    assert await world.clockwork.tick() == 1
    assert await throttled_alerts(world) == [(2, 4)]
    world.clock.set(world.clock.now() + INTERVAL)
    assert await world.clockwork.tick() == 0
    assert (await flood(world, 6))["E906"] == 1
    assert await throttled_alerts(world) == [(None, None)], "after a silence the first is told as ever"


async def test_two_processes_withhold_together(world) -> None:
    await flood(world, 10)
    world.processor = processor(world)  # counts for itself, but tells with the other
    assert (await flood(world, 10))["E906"] == 5
    world.clock.set(world.clock.now() + INTERVAL)
    await world.clockwork.tick()
    assert await throttled_alerts(world) == [(None, None), (1, 4 + 5)]


async def test_a_transaction_that_is_tried_again_counts_once(world, monkeypatch) -> None:
    documents = reads(world, 5)
    begin = world.store.begin

    def away():
        raise Unavailable("away")

    for _ in range(3):
        monkeypatch.setattr(world.store, "begin", away)
        with pytest.raises(Unavailable):
            await world.process(*documents)
    monkeypatch.setattr(world.store, "begin", begin)
    assert {str(each.code) for each in await world.process(*documents)} == {"E110901"}


async def test_of_what_nobody_can_be_held_to_only_so_much_is_kept(world, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        junk = [Delivery(b"<junk>%d" % number, number, reply_to="mine") for number in range(50)]
        outcomes = await world.process(*junk, *reads(world, 2))
    assert [each.ending for each in outcomes] == [Ending.QUARANTINED] * 3 + [Ending.DROPPED] * 47 + [Ending.REFUSED] * 2
    assert "47 of 52 messages were dropped" in caplog.text
    assert len(await world.store.queries.quarantined(99)) == 3
    assert sum(each.kind is MessageKind.QUARANTINE for each in await world.published()) == 3
    world.clock.set(world.clock.now() + timedelta(seconds=2))
    assert [each.ending for each in await world.process(*junk[:3])] == [Ending.QUARANTINED] * 2 + [Ending.DROPPED]


async def test_a_flood_of_forgeries_under_a_users_name_takes_none_of_its_quota(world) -> None:
    (genuine,) = reads(world, 1)
    forged = [genuine.replace(b">11.9<", b">11.8<") for _ in range(60)]
    outcomes = await world.process(*forged, *reads(world, 5))
    assert {each.ending for each in outcomes[:60]} == {Ending.QUARANTINED, Ending.DROPPED}
    assert {str(each.code) for each in outcomes[60:]} == {"E110901"}
