"""The contract of every store: an answer to each need of a decision (`campaign.facts`)."""

from dataclasses import replace

import pytest

from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignEvent,
    CampaignSaved,
    DefaultListSet,
    Lot,
    NominationsReplaced,
    ParticipationSaved,
    PilotAllotted,
    PreferenceEvent,
    RankRange,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.campaign.model import (
    CampaignFacts,
    Cell,
    Hub,
    Incomplete,
    Membership,
    OwnLists,
    Participation,
    PhaseTimes,
    PlanRow,
    Tally,
)
from chfw_sr.messages import (
    ActivationResult,
    DeviceBounds,
    HubStatus,
    Period,
    Phase,
    Region,
    Role,
    Stage,
    UserStatus,
)
from chfw_sr.service.ports import Store

from .makers import (
    ALICE,
    AT,
    BOB,
    C1,
    C2,
    CAROL,
    CAUSE,
    DAY,
    EDWIN,
    FAILURE,
    GINA,
    HOUR,
    NEW,
    OLD,
    OPERATOR,
    SUCCESS,
    apply,
    campaign,
    cid,
    create,
    enrol,
    facts,
    found,
    hub,
    hub_eui,
    numbers,
    result,
    stock,
    user,
    window,
)

EVERYTHING = campaign(
    cid("A.b_c-9"),
    regions=frozenset(Region),
    safe_launch_period=Period(start=AT + 31 * DAY, end=AT + 60 * DAY),
    pilot_devices=DeviceBounds(minimum=1, maximum=2**31 - 1),
    stage=Stage.PAUSED,
    paused_from=Stage.PILOT,
    paused_at=AT + HOUR,
    response_deadline=AT + DAY,
    default_schedule=(window(2, max_devices=3), window(1)),
    safe_launch_schedule=(window(7),),
    pilot=PhaseTimes(AT, AT + DAY, AT + HOUR, AT + 2 * HOUR, all_reported=True, cut_short=True),
    safe_launch=PhaseTimes(starts_at=AT + 40 * DAY),
    results_reported=2**40,
    results_failed=7,
    next_status_at=AT + 3 * DAY,
    ended_from=Stage.PILOT,
    ended_at=AT + 4 * DAY,
)


async def plan(store: Store) -> None:
    """Campaign C1: Alice's part of the default list is 3, 1, 2 and Bob's 4; Bob nominates 5, 2."""
    gas = {"import_supplier": None, "gas_supplier": BOB}
    await stock(
        store,
        hub(1),
        hub(2, gas_supplier=BOB),
        hub(3),
        hub(4, **gas),
        hub(5, **gas),
        hub(6, electricity_distributor=EDWIN),
    )
    await create(store)
    await apply(
        store,
        DefaultListSet(C1, {ALICE: numbers([3, 1, 2]), BOB: numbers([4])}),
        NominationsReplaced(C1, BOB, numbers([5, 2])),
    )


async def test_nothing_asked_for_is_empty(store: Store) -> None:
    await plan(store)
    await enrol(store, user(ALICE))
    assert await facts(store) == Facts()


# ---------------------------------------------------------------------------------------------------- users, operators


async def test_a_user_is_known_by_its_eui(store: Store) -> None:
    alice = user(ALICE, Role.CSP, Role.IS, status=UserStatus.SUSPENDED, regions=frozenset({Region.SOUTH, Region.NORTH}))
    await enrol(store, alice, user(BOB))
    assert (await facts(store, user=ALICE)).user == alice
    assert (await facts(store, user=CAROL)).user is None


async def test_operators_are_always_given_in_order(store: Store) -> None:
    await enrol(store, user(OPERATOR, Role.DCC), user(ALICE), user(EDWIN, Role.DCC, Role.ED))
    assert (await facts(store)).operators == (OPERATOR, EDWIN)


# ----------------------------------------------------------------------------------------------------------- campaigns


@pytest.mark.parametrize("each", [campaign(C1), EVERYTHING], ids=["bare", "full"])
async def test_a_campaign_comes_out_as_it_went_in(store: Store, each) -> None:
    await create(store, each)
    known = (await facts(store, campaign=each.campaign_id)).campaigns
    assert known == {each.campaign_id: CampaignFacts(each, complete=False)}
    assert known[each.campaign_id].campaign.failure_threshold.as_tuple() == each.failure_threshold.as_tuple()


async def test_an_unknown_campaign_is_absent(store: Store) -> None:
    await create(store)
    needs = {
        "responsible": True,
        "own_lists": True,
        "own_safe_launch": True,
        "plan": True,
        "remaining": True,
        "cells": True,
    }
    assert (await facts(store, campaign=C2, user=ALICE, **needs)) == Facts()


async def test_participations_come_by_supplier(store: Store) -> None:
    full = Participation(C1, BOB, 3, 2, (window(2, max_devices=1), window(1)), 4, 5)
    bare = Participation(C1, ALICE)
    await create(store, campaign(), campaign(C2))
    await apply(
        store,
        *(
            ParticipationSaved(each, PreferenceEvent.INVITED)
            for each in (full, bare, Participation(C2, CAROL), replace(full, campaign_id=C2, default_devices=9))
        ),
    )
    everybody = (await facts(store, campaign=C1, everybody=True)).campaigns[C1].everybody
    assert list(everybody.items()) == [(ALICE, bare), (BOB, full)]


@pytest.mark.parametrize("anticipated", [False, True])
async def test_only_what_is_asked_for_is_known_of_participations(store: Store, anticipated: bool) -> None:
    parts = {eui: Participation(C1, eui, 1) for eui in (ALICE, BOB, CAROL)}
    await create(store, campaign(), campaign(C2))
    await apply(store, *(ParticipationSaved(each, PreferenceEvent.INVITED) for each in parts.values()))
    await stock(store, hub(1))
    await apply(store, DefaultListSet(C1, {ALICE: numbers([1])}))
    asked = {
        Needs(campaign=C1): {},
        Needs(campaign=C1, user=BOB): {BOB: parts[BOB]},
        Needs(campaign=C1, user=EDWIN): {},
        Needs(campaign=C2, user=BOB): {},
        Needs(user=BOB, hubs=numbers([1]), hub_campaigns=True): {},
        Needs(user=BOB, campaign=C1, hubs=numbers([1]), hub_campaigns=True): {BOB: parts[BOB]},
        Needs(campaign=C1, everybody=True): parts,
        Needs(user=BOB, hubs=numbers([1]), hub_campaigns=True, everybody=True): parts,
        Needs(campaign=C1, user=CAROL): {CAROL: parts[CAROL]},
    }
    for order in (list(asked), list(reversed(asked))):
        async with store.begin() as work:
            if anticipated:
                await work.anticipate(order)
            for needs in order:
                known = (await work.facts(needs)).campaigns[needs.campaign or C1]
                assert (known.participations, known.complete) == (asked[needs], needs.everybody), needs
                if not needs.everybody:
                    with pytest.raises(Incomplete):
                        known.everybody  # noqa: B018 - it raises


async def test_a_participation_that_was_saved_is_part_of_what_is_asked_for_then(store: Store) -> None:
    before = {eui: Participation(C1, eui, 1) for eui in (ALICE, CAROL)}
    after = {eui: Participation(C1, eui, 2) for eui in (ALICE, BOB)}
    await create(store)
    await apply(store, *(ParticipationSaved(each, PreferenceEvent.INVITED) for each in before.values()))
    async with store.begin() as work:
        await work.facts(Needs(campaign=C1, user=ALICE))
        await work.apply([ParticipationSaved(each, PreferenceEvent.INVITED) for each in after.values()], CAUSE)
        assert (await work.facts(Needs(campaign=C1, user=BOB))).campaigns[C1].participations == {BOB: after[BOB]}
        known = (await work.facts(Needs(campaign=C1, everybody=True))).campaigns[C1]
    assert list(known.everybody.items()) == [(ALICE, after[ALICE]), (BOB, after[BOB]), (CAROL, before[CAROL])]


async def test_tallies_are_the_sums_over_all_cells(store: Store) -> None:
    await stock(store, *(hub(number, region=[Region.NORTH, Region.SOUTH][number % 2]) for number in range(6)))
    await create(store)
    await apply(
        store,
        DefaultListSet(C1, {ALICE: numbers(range(5))}),
        PilotAllotted(C1, (Lot(ALICE, window(1), numbers(range(2))), Lot(ALICE, window(2), numbers(range(2, 5))))),
        ActivationsRecorded((result(0), result(1, FAILURE), result(2))),
        SafeLaunchAllotted(C1, (RankRange(window(9), 0, 4),)),
    )
    tallies = (await facts(store, campaign=C1)).campaigns[C1].tallies
    assert tallies[Phase.PILOT] == Tally(5, 2, 1)
    assert tallies[Phase.SAFE_LAUNCH] == Tally(4, 0, 0)


# ---------------------------------------------------------------------------------------------------------------- hubs


async def test_a_hub_comes_out_as_the_inventory_has_it(store: Store) -> None:
    full = Hub(
        hub_eui(1), "Ä & <Co>", "M'1", "v1", Region.CENTRAL, HubStatus.SUSPENDED, ALICE, BOB, EDWIN, GINA, None, None
    )
    bare = hub(2, import_supplier=None)
    await stock(store, full, bare)
    assert await found(store, 1, 2) == [full, bare]


async def test_an_unknown_hub_is_absent(store: Store) -> None:
    await stock(store, hub(1), hub(2))
    assert set((await facts(store, hubs=numbers([1, 9]))).hubs) == set(numbers([1]))


async def test_a_hub_named_twice_is_given_once(store: Store) -> None:
    await stock(store, hub(1))
    assert (await facts(store, hubs=numbers([1, 1]))).hubs == {hub_eui(1): hub(1)}


async def test_membership_tells_the_place_in_the_plan(store: Store) -> None:
    await plan(store)
    places = [each.membership for each in await found(store, 1, 2, 5, 6)]
    assert places == [
        Membership(C1, Phase.PILOT, default_supplier=ALICE),
        Membership(C1, Phase.PILOT, default_supplier=ALICE, nominated_by=BOB),
        Membership(C1, Phase.PILOT, nominated_by=BOB),
        None,
    ]


async def test_membership_tells_window_and_outcome(store: Store) -> None:
    await plan(store)
    await apply(
        store,
        ActivationsRecorded((result(1), result(4, FAILURE))),
        PilotAllotted(C1, (Lot(ALICE, window(1), numbers([3, 1])), Lot(BOB, window(1), numbers([5, 2])))),
    )
    one, four, five = (each.membership for each in await found(store, 1, 4, 5))
    assert one == Membership(C1, Phase.PILOT, ALICE, None, allotted=True, outcome=SUCCESS)
    assert four is None
    assert five == Membership(C1, Phase.PILOT, None, BOB, allotted=True)


async def test_the_later_phase_holds_the_hub(store: Store) -> None:
    await plan(store)
    await apply(
        store,
        PilotAllotted(C1, (Lot(ALICE, window(1), numbers([1])),)),
        ActivationsRecorded((result(1, FAILURE),)),
        SafeLaunchAllotted(C1, (RankRange(window(9), 0, 6),)),
    )
    one, six = (each.membership for each in await found(store, 1, 6))
    assert one is not None
    assert (one.campaign_id, one.phase, one.allotted, one.outcome) == (C1, Phase.SAFE_LAUNCH, True, None)
    assert six == Membership(C1, Phase.SAFE_LAUNCH, allotted=True)


@pytest.mark.parametrize("stage", [Stage.COMPLETE, Stage.ABORTED])
async def test_only_a_live_campaign_holds_hubs(store: Store, stage: Stage) -> None:
    await plan(store)
    ended = campaign(stage=stage, ended_at=AT)
    await apply(store, CampaignSaved(ended, CampaignEvent.STAGE_CHANGED))
    assert [each.membership for each in await found(store, 1, 2, 5)] == [None] * 3

    await create(store, campaign(C2))
    await apply(store, DefaultListSet(C2, {ALICE: numbers([1])}))
    (one,) = await found(store, 1)
    assert one.membership == Membership(C2, Phase.PILOT, default_supplier=ALICE)


@pytest.mark.parametrize("stage", [Stage.PAUSED, Stage.PILOT_COMPLETE])
async def test_a_live_campaign_holds_hubs_in_every_stage(store: Store, stage: Stage) -> None:
    await plan(store)
    await apply(store, CampaignSaved(campaign(stage=stage), CampaignEvent.STAGE_CHANGED))
    assert all(each.membership for each in await found(store, 1, 2, 5))


async def test_campaigns_of_hubs_are_loaded_if_asked_for(store: Store) -> None:
    await plan(store)
    await stock(store, hub(7), hub(8))
    await create(store, campaign(C2), campaign(cid("C3")))
    await apply(store, DefaultListSet(C2, {ALICE: numbers([7])}), DefaultListSet(cid("C3"), {ALICE: numbers([8])}))
    await apply(store, ParticipationSaved(Participation(C2, ALICE, 1), PreferenceEvent.INVITED))
    await apply(store, CampaignSaved(campaign(cid("C3"), stage=Stage.COMPLETE), CampaignEvent.STAGE_CHANGED))

    asked = await facts(store, hubs=numbers([1, 7, 8]), hub_campaigns=True, everybody=True)
    not_asked = await facts(store, hubs=numbers([1, 7, 8]))

    assert set(asked.campaigns) == {C1, C2}
    assert asked.campaigns[C2].participations == {ALICE: Participation(C2, ALICE, 1)}
    assert not_asked.campaigns == {}


# --------------------------------------------------------------------------------------------------------- activations


async def test_recorded_results_are_told_by_hub_version_and_time(store: Store) -> None:
    await stock(store, hub(1), hub(2))
    await create(store)
    await apply(
        store,
        ActivationsRecorded(
            (
                result(1, campaign_id=None, phase=None),
                result(2, FAILURE, at=AT - DAY, campaign_id=None, phase=None, effective=False),
            )
        ),
    )
    keys = [
        (hub_eui(1), NEW, AT),
        (hub_eui(2), NEW, AT - DAY),
        (hub_eui(1), OLD, AT),
        (hub_eui(1), NEW, AT + HOUR),
        (hub_eui(2), NEW, AT),
        (hub_eui(3), NEW, AT),
    ]
    assert (await facts(store, activations=tuple(keys))).recorded == frozenset(keys[:2])


# --------------------------------------------------------------------------------------------------------- responsible


@pytest.mark.parametrize("role", ["import_supplier", "gas_supplier", "electricity_distributor", "gas_transporter"])
async def test_a_user_is_responsible_in_any_role(store: Store, role: str) -> None:
    await stock(store, hub(1, import_supplier=None), hub(2, **{"import_supplier": None, role: CAROL}))
    await create(store)
    assert (await facts(store, campaign=C1, user=CAROL, responsible=True)).responsible
    assert not (await facts(store, campaign=C1, user=CAROL)).responsible
    assert not (await facts(store, campaign=C1, user=ALICE, responsible=True)).responsible


@pytest.mark.parametrize(("import_supplier", "gas_supplier"), [(BOB, BOB), (CAROL, BOB), (BOB, CAROL), (None, BOB)])
async def test_a_user_is_responsible_whichever_supplies_what(store: Store, import_supplier, gas_supplier) -> None:
    await stock(store, hub(1, import_supplier=import_supplier, gas_supplier=gas_supplier))
    await create(store)
    assert (await facts(store, campaign=C1, user=BOB, responsible=True)).responsible


@pytest.mark.parametrize(
    "fields", [{"manufacturer": "Other"}, {"model": "CH-2"}, {"region": Region.CENTRAL}, {"firmware_version": NEW}]
)
async def test_only_target_hubs_make_responsible(store: Store, fields) -> None:
    await stock(store, hub(1, **fields))
    await create(store)
    assert not (await facts(store, campaign=C1, user=ALICE, responsible=True)).responsible


@pytest.mark.parametrize("version", ["0", "1.9", "2", "2.00", "zz"])
async def test_any_other_version_makes_a_target(store: Store, version: str) -> None:
    await stock(store, hub(1, firmware_version=version, status=HubStatus.PENDING))
    await create(store)
    assert (await facts(store, campaign=C1, user=ALICE, responsible=True)).responsible


async def test_a_hub_that_took_the_version_in_the_campaign_still_makes_responsible(store: Store) -> None:
    await plan(store)
    every = {"at": AT, "campaign_id": C1, "phase": Phase.PILOT}
    await apply(store, ActivationsRecorded((result(4, **every), result(5, **every), result(2, **every))))
    assert (await facts(store, campaign=C1, user=BOB, responsible=True)).responsible
    # Outside the campaign, hub 6 is one that runs the version already.
    await apply(store, ActivationsRecorded((result(6, campaign_id=None, phase=None),)))
    assert not (await facts(store, campaign=C1, user=EDWIN, responsible=True)).responsible


async def test_a_place_in_another_campaign_does_not_make_responsible_however_many_are_asked_about(store: Store) -> None:
    await plan(store)
    await create(store, campaign(C2))
    await apply(store, *(ActivationsRecorded((result(n, campaign_id=C1, phase=Phase.PILOT),)) for n in (4, 5, 2)))
    asked = [Needs(campaign=each, user=BOB, responsible=True) for each in (C1, C2)]
    async with store.begin() as work:
        await work.anticipate(asked)
        assert [(await work.facts(each)).responsible for each in asked] == [True, False]


@pytest.mark.parametrize(
    "fields",
    [
        {"import_supplier": BOB},
        {"manufacturer": "Other"},
        {"model": "CH-2"},
        {"region": Region.CENTRAL},
        {"firmware_version": NEW},
    ],
)
async def test_who_was_responsible_is_not_when_the_inventory_says_otherwise(store: Store, fields) -> None:
    await stock(store, hub(1))
    await create(store)
    for _ in range(2):
        assert (await facts(store, campaign=C1, user=ALICE, responsible=True)).responsible
    await stock(store, hub(1, **fields))
    assert not (await facts(store, campaign=C1, user=ALICE, responsible=True)).responsible
    await stock(store, hub(1, **fields), hub(2))
    for _ in range(2):
        assert (await facts(store, campaign=C1, user=ALICE, responsible=True)).responsible


async def test_who_was_responsible_for_one_hub_still_is_for_another(store: Store) -> None:
    await stock(store, hub(1), hub(2, gas_supplier=ALICE, import_supplier=None))
    await create(store)
    assert (await facts(store, campaign=C1, user=ALICE, responsible=True)).responsible
    for left in (1, 2):
        await stock(store, hub(left), hub(3 - left, import_supplier=BOB))
        assert (await facts(store, campaign=C1, user=ALICE, responsible=True)).responsible


async def test_hubs_that_are_known_are_asked_about_their_campaigns_too(store: Store) -> None:
    await plan(store)
    async with store.begin() as work:
        await work.facts(Needs(hubs=numbers([1, 2])))
        assert C1 in (await work.facts(Needs(hubs=numbers([1, 2]), hub_campaigns=True))).campaigns


# --------------------------------------------------------------------------------------------------------------- lists


async def test_own_lists_are_in_list_order(store: Store) -> None:
    await plan(store)
    alice = (await facts(store, campaign=C1, user=ALICE, own_lists=True)).own_lists
    bob = (await facts(store, campaign=C1, user=BOB, own_lists=True)).own_lists
    assert alice == OwnLists(default=numbers([3, 1, 2]))
    assert bob == OwnLists(default=numbers([4]), preferred=numbers([5, 2]))
    assert (await facts(store, campaign=C1, user=CAROL, own_lists=True)).own_lists == OwnLists()


async def test_confirmed_lists_are_in_list_order_and_the_others_stay(store: Store) -> None:
    await plan(store)
    await apply(
        store,
        PilotAllotted(
            C1,
            (
                Lot(ALICE, window(1), numbers([3])),
                Lot(ALICE, window(2), numbers([1])),
                Lot(BOB, window(4), numbers([5, 2])),
            ),
        ),
    )
    alice = (await facts(store, campaign=C1, user=ALICE, own_lists=True)).own_lists
    bob = (await facts(store, campaign=C1, user=BOB, own_lists=True)).own_lists
    assert alice == OwnLists(numbers([3, 1, 2]), None, numbers([3, 1]))
    assert bob == OwnLists(numbers([4]), numbers([5, 2]), numbers([5, 2]))


async def test_the_plan_is_every_hub_of_both_lists(store: Store) -> None:
    await plan(store)
    await apply(store, ActivationsRecorded((result(2, FAILURE),)))
    rows = {row.hub: row for row in (await facts(store, campaign=C1, plan=True)).plan}

    assert set(rows) == set(numbers([1, 2, 3, 4, 5]))
    in_default = sorted((row for row in rows.values() if row.default_supplier == ALICE), key=_default_position)
    preferred = sorted((row for row in rows.values() if row.nominated_by == BOB), key=_nominated_position)
    assert [row.hub for row in in_default] == list(numbers([3, 1, 2]))
    assert [row.hub for row in preferred] == list(numbers([5, 2]))
    two, five = rows[hub_eui(2)], rows[hub_eui(5)]
    assert (two.default_supplier, two.nominated_by, two.outcome) == (ALICE, BOB, ActivationResult.FAILURE)
    assert (five.default_supplier, five.default_position, five.nominated_by, five.outcome) == (None, None, BOB, None)


def _default_position(row: PlanRow) -> int:
    assert row.default_position is not None
    return row.default_position


def _nominated_position(row: PlanRow) -> int:
    assert row.nominated_position is not None
    return row.nominated_position


async def test_own_safe_launch_hubs_are_those_of_the_lead_supplier_in_order(store: Store) -> None:
    await stock(
        store,
        hub(3),
        hub(1, gas_supplier=BOB),
        hub(2, import_supplier=None, gas_supplier=BOB),
        hub(4, import_supplier=None),
    )
    await create(store)
    await apply(store, SafeLaunchAllotted(C1, (RankRange(window(1), 0, 3), RankRange(window(2), 3, 4))))

    async def own(eui):
        return (await facts(store, campaign=C1, user=eui, own_safe_launch=True)).own_safe_launch

    assert await own(ALICE) == numbers([1, 3])
    assert await own(BOB) == numbers([2])
    assert await own(CAROL) == ()


# ----------------------------------------------------------------------------------------------------------- remaining


async def test_remaining_counts_targets_by_lead_supplier(store: Store) -> None:
    gas = {"import_supplier": None, "gas_supplier": BOB}
    await stock(
        store,
        hub(1),
        hub(2, gas_supplier=BOB, region=Region.SOUTH),
        hub(3, **gas),
        hub(4, import_supplier=None),
        hub(11, region=Region.CENTRAL),
        hub(12, manufacturer="Other"),
        hub(13, model="Other"),
        hub(14, firmware_version=NEW),
        *(
            hub(20 + place, status=status)
            for place, status in enumerate(HubStatus)
            if status is not HubStatus.COMMISSIONED
        ),
    )
    await create(store)
    assert (await facts(store, campaign=C1, remaining=True)).remaining == {ALICE: 2, BOB: 1, None: 1}


async def test_what_another_live_campaign_holds_does_not_remain(store: Store) -> None:
    await plan(store)
    await create(store, campaign(C2))
    assert sum((await facts(store, campaign=C1, remaining=True)).remaining.values()) == 6
    assert (await facts(store, campaign=C2, remaining=True)).remaining == {ALICE: 1}

    await apply(store, CampaignSaved(campaign(stage=Stage.ABORTED), CampaignEvent.STAGE_CHANGED))
    assert (await facts(store, campaign=C2, remaining=True)).remaining == {ALICE: 4, BOB: 2}


async def test_what_was_let_go_remains_for_others(store: Store) -> None:
    await plan(store)
    await create(store, campaign(C2))
    await apply(store, PilotAllotted(C1, (Lot(ALICE, window(1), numbers([1, 2, 3])),)))
    assert (await facts(store, campaign=C2, remaining=True)).remaining == {ALICE: 1, BOB: 2}


async def test_what_has_activated_does_not_remain(store: Store) -> None:
    await plan(store)
    await apply(store, ActivationsRecorded((result(1), result(2, FAILURE))))
    assert (await facts(store, campaign=C1, remaining=True)).remaining == {ALICE: 3, BOB: 2}


async def test_nothing_remaining_is_empty(store: Store) -> None:
    await create(store)
    assert (await facts(store, campaign=C1, remaining=True)).remaining == {}


# --------------------------------------------------------------------------------------------------------------- cells


async def test_cells_part_by_everything_that_counts(store: Store) -> None:
    parties = {"electricity_distributor": EDWIN, "gas_transporter": GINA}
    await stock(
        store,
        hub(1),
        hub(2),
        hub(3, electricity_distributor=EDWIN),
        hub(4, gas_transporter=GINA),
        hub(5, region=Region.SOUTH),
        hub(6, **parties),
        hub(7, **parties),
    )
    await create(store)
    await apply(
        store,
        DefaultListSet(C1, {ALICE: numbers(range(1, 8))}),
        ActivationsRecorded((result(6), result(7, FAILURE))),
        PilotAllotted(
            C1,
            (
                Lot(ALICE, window(1), numbers(range(1, 6))),
                Lot(ALICE, window(2), numbers([6])),
                Lot(BOB, window(2), numbers([7])),
            ),
        ),
    )
    first = (1, window(1).start, window(1).end)
    second = (2, window(2).start, window(2).end)
    expected = {
        Cell(Phase.PILOT, ALICE, None, None, Region.NORTH, *first, 2),
        Cell(Phase.PILOT, ALICE, EDWIN, None, Region.NORTH, *first, 1),
        Cell(Phase.PILOT, ALICE, None, GINA, Region.NORTH, *first, 1),
        Cell(Phase.PILOT, ALICE, None, None, Region.SOUTH, *first, 1),
        Cell(Phase.PILOT, ALICE, EDWIN, GINA, Region.NORTH, *second, 1, activated=1),
        Cell(Phase.PILOT, BOB, EDWIN, GINA, Region.NORTH, *second, 1, failed=1),
    }
    cells = (await facts(store, campaign=C1, cells=True)).cells
    assert len(cells) == len(expected)
    assert set(cells) == expected


async def test_the_cells_of_the_safe_launch_are_those_of_the_lead_supplier_or_none(store: Store) -> None:
    await stock(store, hub(1), hub(2, import_supplier=None), hub(3, import_supplier=None, gas_supplier=BOB))
    await create(store)
    await apply(store, SafeLaunchAllotted(C1, (RankRange(window(1), 0, 3),)))
    times = (1, window(1).start, window(1).end)
    assert set((await facts(store, campaign=C1, cells=True)).cells) == {
        Cell(Phase.SAFE_LAUNCH, supplier, None, None, Region.NORTH, *times, 1) for supplier in (ALICE, None, BOB)
    }


async def test_facts_see_what_the_transaction_changed_before(store: Store) -> None:
    await plan(store)
    async with store.begin() as work:
        await work.apply([NominationsReplaced(C1, CAROL, numbers([6]))], CAUSE)
        seen = await work.facts(Needs(hubs=numbers([6]), user=CAROL, campaign=C1, own_lists=True, hub_campaigns=True))
    assert seen.hubs[hub_eui(6)].membership == Membership(C1, Phase.PILOT, nominated_by=CAROL)
    assert seen.own_lists == OwnLists(preferred=numbers([6]))
    assert (await found(store, 6))[0].membership is None
