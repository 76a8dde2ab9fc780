"""The contract of every store at the sizes of the wire contract: 50,000-hub lists, 10,000-result reports."""

import pytest

from chfw_sr.campaign.allotment import allot, allot_ranks
from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    DefaultListSet,
    NominationsReplaced,
    PilotAllotted,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import OwnLists, Tally
from chfw_sr.messages import MAX_DEVICE_LIST, Phase, Region
from chfw_sr.service.ports import Store

from .makers import (
    ALICE,
    AT,
    BOB,
    C1,
    CAUSE,
    FAILURE,
    HOUR,
    SUCCESS,
    chunks,
    create,
    hub,
    hub_eui,
    numbers,
    result,
    window,
)

pytestmark = pytest.mark.no_cover  # it would take twice as long, and the same lines run in other tests

LIST = MAX_DEVICE_LIST
REPORT = 10_000


async def test_a_campaign_of_full_lists(store: Store) -> None:
    """From 50,001 hubs to Safe Launch, each step as one transaction."""
    hubs = [hub(n, region=Region.SOUTH if n % 2 else Region.NORTH) for n in range(LIST + 1)]
    await store.register.import_hubs(chunks(*(hubs[at : at + 10_000] for at in range(0, len(hubs), 10_000))), AT)
    await create(store)
    every = numbers(range(LIST))
    backwards = every[::-1]

    async with store.begin() as work:
        known = await work.facts(Needs(campaign=C1, hubs=every, user=ALICE, responsible=True))
        assert len(known.hubs) == LIST
        assert known.responsible
        await work.apply([DefaultListSet(C1, {ALICE: every})], CAUSE)
        await work.apply([NominationsReplaced(C1, BOB, every), NominationsReplaced(C1, BOB, backwards)], CAUSE)
        await work.commit()

    async with store.begin() as work:
        known = await work.facts(Needs(campaign=C1, plan=True, user=BOB, own_lists=True))
        assert known.own_lists == OwnLists(preferred=backwards)
        assert len(known.plan) == LIST
        lots = allot(BOB, [window(1, max_devices=20_000), window(2)], backwards)
        await work.apply([PilotAllotted(C1, lots)], CAUSE)
        await work.commit()

    async with store.begin() as work:
        reported = numbers(range(REPORT))
        keys = tuple((eui, "2.0", AT + HOUR) for eui in reported)
        known = await work.facts(
            Needs(hubs=reported, hub_campaigns=True, activations=keys, user=BOB, campaign=C1, own_lists=True)
        )
        assert known.own_lists.confirmed == backwards
        assert known.recorded == frozenset()
        results = (result(n, FAILURE if n % 10 == 0 else SUCCESS, at=AT + HOUR) for n in range(REPORT))
        await work.apply([ActivationsRecorded(tuple(results))], CAUSE)
        assert (await work.facts(Needs(activations=keys))).recorded == frozenset(keys)
        await work.commit()

    async with store.begin() as work:
        known = await work.facts(Needs(campaign=C1, remaining=True))
        assert known.campaigns[C1].tallies == {Phase.PILOT: Tally(LIST, 9 * REPORT // 10, REPORT // 10)}
        left = LIST + 1 - 9 * REPORT // 10
        assert known.remaining == {ALICE: left}
        await work.apply([SafeLaunchAllotted(C1, allot_ranks([window(8, max_devices=17), window(9)], left))], CAUSE)
        await work.commit()

    async with store.begin() as work:
        known = await work.facts(Needs(campaign=C1, user=ALICE, own_safe_launch=True, hubs=(hub_eui(LIST),)))
        assert known.campaigns[C1].tallies[Phase.SAFE_LAUNCH] == Tally(left)
        assert known.own_safe_launch == tuple(
            eui for n, eui in enumerate(numbers(range(LIST + 1))) if n >= REPORT or n % 10 == 0
        )


async def test_own_safe_launch_hubs_that_no_list_can_hold_are_not_listed(store: Store) -> None:
    hubs = [hub(n) for n in range(LIST + 1)]
    await store.register.import_hubs(chunks(hubs), AT)
    await create(store)
    async with store.begin() as work:
        await work.apply([SafeLaunchAllotted(C1, allot_ranks([window(1)], LIST + 1))], CAUSE)
        assert (await work.facts(Needs(campaign=C1, user=ALICE, own_safe_launch=True))).own_safe_launch is None
