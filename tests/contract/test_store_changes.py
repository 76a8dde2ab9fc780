"""The contract of every store: each change is carried out and stands in the history with its cause."""

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
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Cell, Membership, OwnLists, Participation, Tally
from chfw_sr.messages import Phase, Stage
from chfw_sr.service.ports import ActivationRow, Cause, Store, Unavailable

from .makers import (
    ALICE,
    AT,
    BOB,
    C1,
    C2,
    CAROL,
    CAUSE,
    DAY,
    FAILURE,
    HOUR,
    NEW,
    OLD,
    SUCCESS,
    apply,
    campaign,
    create,
    facts,
    found,
    hub,
    hub_eui,
    kinds,
    numbers,
    request_id,
    result,
    stock,
    timeline,
    window,
)


async def tally(store: Store, phase: Phase = Phase.PILOT) -> Tally:
    return (await facts(store, campaign=C1)).campaigns[C1].tallies.get(phase, Tally())


async def cells(store: Store) -> tuple[Cell, ...]:
    return (await facts(store, campaign=C1, cells=True)).cells


async def allotted(store: Store, count: int = 3) -> None:
    """Campaign C1 with `count` hubs of Alice, all with a window."""
    await stock(store, *(hub(number) for number in range(count)))
    await create(store)
    every = numbers(range(count))
    await apply(store, DefaultListSet(C1, {ALICE: every}), PilotAllotted(C1, (Lot(ALICE, window(1), every),)))


# ----------------------------------------------------------------------------------------------------------- campaigns


async def test_a_saved_campaign_replaces_the_one_before(store: Store) -> None:
    await create(store, campaign(response_deadline=AT))
    after = campaign(stage=Stage.PILOT, default_schedule=(window(1),), next_status_at=AT + DAY)
    await apply(store, CampaignSaved(after, CampaignEvent.STAGE_CHANGED, "for a reason"))
    assert (await facts(store, campaign=C1)).campaigns[C1].campaign == after


async def test_every_saving_of_a_campaign_stands_in_its_history(store: Store) -> None:
    await apply(store, CampaignSaved(campaign(), CampaignEvent.CREATED), cause=Cause(AT, request_id(1)))
    await apply(
        store,
        CampaignSaved(campaign(stage=Stage.ABORTED), CampaignEvent.STAGE_CHANGED, "Grund: ß"),
        ParticipationSaved(Participation(C1, ALICE), PreferenceEvent.PREFERENCES_UPDATED),
        CampaignSaved(campaign(stage=Stage.ABORTED), CampaignEvent.RESULTS_COUNTED),
        cause=Cause(AT + HOUR),
    )
    await create(store, campaign(C2))

    rows = await store.queries.campaign_history(C1, 10)

    assert [(row.kind, row.at, row.user, row.request_id) for row in rows] == [
        ("CampaignCreated", AT, None, str(request_id(1))),
        ("StageChanged", AT + HOUR, None, None),
        ("PreferencesUpdated", AT + HOUR, ALICE, None),
        ("ResultsCounted", AT + HOUR, None, None),
    ]
    assert {row.campaign_id for row in rows} == {C1}
    assert rows[1].detail["reason"] == "Grund: ß"
    assert [row.id for row in rows] == sorted(row.id for row in rows)


async def test_a_campaign_is_created_once(store: Store) -> None:
    await create(store)
    with pytest.raises(Unavailable):
        await create(store, campaign(model="Other"))
    assert (await facts(store, campaign=C1)).campaigns[C1].campaign == campaign()


async def test_a_participation_is_saved_whole(store: Store) -> None:
    await create(store)
    before = Participation(C1, ALICE, 5, 3, (window(1),), 2, 1)
    after = Participation(C1, ALICE, 5)
    for each in (before, after):
        await apply(store, ParticipationSaved(each, PreferenceEvent.PREFERENCES_DELETED))
    assert (await facts(store, campaign=C1, everybody=True)).campaigns[C1].everybody == {ALICE: after}


# -------------------------------------------------------------------------------------------------------- nominations


async def test_listing_and_nominating_stand_in_the_timeline(store: Store) -> None:
    await stock(store, hub(1))
    await create(store)
    await apply(store, DefaultListSet(C1, {ALICE: numbers([1])}), cause=Cause(AT, request_id(1)))
    await apply(store, NominationsReplaced(C1, BOB, numbers([1])), cause=Cause(AT + HOUR, request_id(2, BOB)))

    rows = await timeline(store, 1)

    assert [(row.kind, row.at, row.campaign_id, row.user, row.hub, row.request_id) for row in rows] == [
        ("DefaultListed", AT, C1, ALICE, hub_eui(1), str(request_id(1))),
        ("Nominated", AT + HOUR, C1, BOB, hub_eui(1), str(request_id(2, BOB))),
    ]


async def test_a_new_list_replaces_the_old_one(store: Store) -> None:
    await stock(store, *(hub(number) for number in range(1, 5)))
    await create(store)
    await apply(store, DefaultListSet(C1, {BOB: numbers([1, 4])}), NominationsReplaced(C1, ALICE, numbers([1, 2, 3])))

    await apply(store, NominationsReplaced(C1, ALICE, numbers([4, 3])))

    assert (await facts(store, campaign=C1, user=ALICE, own_lists=True)).own_lists == OwnLists(
        preferred=numbers([4, 3])
    )
    one, two, three, four = (each.membership for each in await found(store, 1, 2, 3, 4))
    assert one == Membership(C1, Phase.PILOT, default_supplier=BOB)
    assert two is None
    assert three == Membership(C1, Phase.PILOT, nominated_by=ALICE)
    assert four == Membership(C1, Phase.PILOT, default_supplier=BOB, nominated_by=ALICE)
    assert {row.hub for row in (await facts(store, campaign=C1, plan=True)).plan} == set(numbers([1, 3, 4]))
    assert await kinds(store, 1) == ["DefaultListed", "Nominated", "NominationWithdrawn"]
    assert await kinds(store, 2) == ["Nominated", "NominationWithdrawn"]
    assert await kinds(store, 3) == ["Nominated"]
    assert await kinds(store, 4) == ["DefaultListed", "Nominated"]


async def test_withdrawing_a_list_leaves_those_of_others(store: Store) -> None:
    await stock(store, hub(1), hub(2), hub(3))
    await create(store)
    await apply(
        store,
        DefaultListSet(C1, {CAROL: numbers([3])}),
        NominationsReplaced(C1, ALICE, numbers([1])),
        NominationsReplaced(C1, BOB, numbers([2])),
        NominationsReplaced(C1, ALICE, ()),
    )
    assert [each.membership and each.membership.nominated_by for each in await found(store, 1, 2, 3)] == [
        None,
        BOB,
        None,
    ]
    assert (await facts(store, campaign=C1, user=ALICE, own_lists=True)).own_lists == OwnLists()
    # Free now: another Supplier, or another campaign, may have it.
    await create(store, campaign(C2))
    await apply(store, NominationsReplaced(C2, BOB, numbers([1])))
    assert (await found(store, 1))[0].membership == Membership(C2, Phase.PILOT, nominated_by=BOB)


async def test_withdrawing_nothing_changes_nothing(store: Store) -> None:
    await stock(store, hub(1))
    await create(store)
    await apply(store, NominationsReplaced(C1, ALICE, ()))
    assert await kinds(store, 1) == []


# ----------------------------------------------------------------------------------------------------------- allotment


async def test_allotment_gives_windows_and_lets_the_rest_go(store: Store) -> None:
    await stock(store, hub(1), hub(2), hub(3))
    await create(store)
    await apply(store, DefaultListSet(C1, {ALICE: numbers([1, 2])}), NominationsReplaced(C1, BOB, numbers([3])))

    await apply(store, PilotAllotted(C1, (Lot(ALICE, window(4), numbers([1])),)), cause=Cause(AT + HOUR))

    one, two, three = await found(store, 1, 2, 3)
    assert one.membership == Membership(C1, Phase.PILOT, ALICE, allotted=True)
    assert two.membership is None
    assert three.membership is None
    assert await kinds(store, 1) == ["DefaultListed", "Allotted"]
    assert await kinds(store, 2) == ["DefaultListed", "LetGo"]
    assert await kinds(store, 3) == ["Nominated", "LetGo"]
    for number in (1, 2):
        last = (await timeline(store, number))[-1]
        assert (last.at, last.campaign_id, last.request_id) == (AT + HOUR, C1, None)


async def test_an_empty_allotment_lets_all_go(store: Store) -> None:
    await stock(store, hub(1))
    await create(store)
    await apply(store, DefaultListSet(C1, {ALICE: numbers([1])}), PilotAllotted(C1, ()))
    assert (await found(store, 1))[0].membership is None
    assert await tally(store) == Tally()


async def test_results_reported_before_allotment_count(store: Store) -> None:
    await stock(store, hub(1), hub(2), hub(3))
    await create(store)
    await apply(store, DefaultListSet(C1, {ALICE: numbers([1, 2, 3])}))
    await apply(store, ActivationsRecorded((result(1), result(2, FAILURE))))
    assert await tally(store) == Tally()
    await apply(store, PilotAllotted(C1, (Lot(ALICE, window(1), numbers([1, 2, 3])),)))
    assert await tally(store) == Tally(3, 1, 1)


async def test_the_safe_launch_takes_ranks_in_order_of_eui(store: Store) -> None:
    await stock(store, hub(30), hub(10), hub(20, firmware_version=NEW), hub(25), hub(5))
    await create(store)
    await apply(store, SafeLaunchAllotted(C1, (RankRange(window(1), 0, 1), RankRange(window(2), 1, 4))))

    by_window = {cell.window_id: cell.devices for cell in await cells(store)}
    assert by_window == {1: 1, 2: 3}
    await apply(store, ActivationsRecorded((result(5, phase=Phase.SAFE_LAUNCH),)))
    assert {cell.window_id: cell.activated for cell in await cells(store)} == {1: 1, 2: 0}
    assert [each.membership is not None for each in await found(store, 5, 10, 20, 25, 30)] == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert await kinds(store, 10) == ["Allotted"]
    assert await kinds(store, 20) == []


async def test_the_safe_launch_takes_in_exactly_what_was_counted(store: Store) -> None:
    await stock(store, *(hub(number) for number in range(6)))
    await create(store, campaign(), campaign(C2))
    await apply(store, DefaultListSet(C2, {ALICE: numbers([0])}), DefaultListSet(C1, {ALICE: numbers([1, 2])}))
    await apply(store, PilotAllotted(C1, (Lot(ALICE, window(1), numbers([1, 2])),)), ActivationsRecorded((result(1),)))

    async with store.begin() as work:
        remaining = (await work.facts(Needs(campaign=C1, remaining=True))).remaining
        assert remaining == {ALICE: 4}
        await work.apply([SafeLaunchAllotted(C1, (RankRange(window(9), 0, 4),))], CAUSE)
        await work.commit()

    assert (await facts(store, campaign=C1, user=ALICE, own_safe_launch=True)).own_safe_launch == numbers(range(2, 6))
    assert await tally(store, Phase.SAFE_LAUNCH) == Tally(4)
    assert await tally(store) == Tally(2, 1)


async def test_an_empty_safe_launch(store: Store) -> None:
    await create(store)
    await apply(store, SafeLaunchAllotted(C1, ()))
    assert await cells(store) == ()


# --------------------------------------------------------------------------------------------------------- activations


async def test_a_success_moves_inventory_membership_and_cell(store: Store) -> None:
    await allotted(store)
    await apply(store, ActivationsRecorded((result(1, at=AT + HOUR),)))

    (one,) = await found(store, 1)
    assert (one.firmware_version, one.last_activation_at) == (NEW, AT + HOUR)
    assert one.membership is not None
    assert one.membership.outcome is SUCCESS
    assert await tally(store) == Tally(3, 1, 0)


async def test_a_failure_keeps_the_version(store: Store) -> None:
    await allotted(store)
    await apply(store, ActivationsRecorded((result(1, FAILURE, at=AT + HOUR),)))

    (one,) = await found(store, 1)
    assert (one.firmware_version, one.last_activation_at) == (OLD, AT + HOUR)
    assert one.membership is not None
    assert one.membership.outcome is FAILURE
    assert await tally(store) == Tally(3, 0, 1)


async def test_a_result_replaces_the_one_before(store: Store) -> None:
    await allotted(store)
    for hours, (outcome, expected) in enumerate(
        [
            (FAILURE, Tally(3, 0, 1)),
            (FAILURE, Tally(3, 0, 1)),
            (SUCCESS, Tally(3, 1, 0)),
            (SUCCESS, Tally(3, 1, 0)),
            (FAILURE, Tally(3, 0, 1)),
        ]
    ):
        await apply(store, ActivationsRecorded((result(1, outcome, at=AT + hours * HOUR),)))
        assert await tally(store) == expected


async def test_results_of_one_hub_in_one_report_count_in_order(store: Store) -> None:
    await allotted(store)
    await apply(
        store,
        ActivationsRecorded(
            (
                result(1, FAILURE),
                result(2),
                result(1, SUCCESS, at=AT + HOUR),
                result(2, FAILURE, at=AT + HOUR, version="2.1"),
            )
        ),
    )
    one, two = await found(store, 1, 2)
    assert (one.firmware_version, one.last_activation_at) == (NEW, AT + HOUR)
    assert (two.firmware_version, two.last_activation_at) == (NEW, AT + HOUR)
    assert await tally(store) == Tally(3, 1, 1)
    assert await kinds(store, 1) == ["DefaultListed", "Allotted", "ActivationFailed", "Activated"]


async def test_an_older_result_goes_into_the_history_alone(store: Store) -> None:
    await allotted(store)
    await apply(store, ActivationsRecorded((result(1, at=AT + HOUR),)))
    before = await found(store, 1)
    await apply(store, ActivationsRecorded((result(1, FAILURE, at=AT, version=OLD, effective=False),)))

    assert await found(store, 1) == before
    assert await tally(store) == Tally(3, 1, 0)
    assert (await kinds(store, 1))[-1] == "ActivationFailed"
    assert (await facts(store, activations=((hub_eui(1), OLD, AT),))).recorded


async def test_a_result_outside_a_campaign_moves_the_inventory_alone(store: Store) -> None:
    await allotted(store)
    await apply(store, ActivationsRecorded((result(1, version="9", campaign_id=None, phase=None),)))
    (one,) = await found(store, 1)
    assert one.firmware_version == "9"
    assert one.membership is not None
    assert one.membership.outcome is None
    assert await tally(store) == Tally(3)


async def test_a_result_of_the_safe_launch_leaves_the_pilot_alone(store: Store) -> None:
    await allotted(store)
    await apply(store, ActivationsRecorded((result(1, FAILURE),)))
    await apply(store, SafeLaunchAllotted(C1, (RankRange(window(9), 0, 3),)))
    await apply(store, ActivationsRecorded((result(1, at=AT + DAY, phase=Phase.SAFE_LAUNCH),)))
    assert await tally(store) == Tally(3, 0, 1)
    assert await tally(store, Phase.SAFE_LAUNCH) == Tally(3, 1, 0)


async def test_results_are_kept_with_their_cause(store: Store) -> None:
    await allotted(store)
    await apply(store, ActivationsRecorded((result(1, FAILURE),)), cause=Cause(AT + DAY, request_id(5)))
    await apply(
        store,
        ActivationsRecorded((result(1, at=AT + HOUR, campaign_id=None, phase=None),)),
        cause=Cause(AT + DAY),
    )
    view = await store.queries.hub(hub_eui(1))
    assert view is not None
    assert view.activations == (
        ActivationRow(hub_eui(1), NEW, AT, FAILURE, "no power", C1, True, str(request_id(5)), Phase.PILOT),
        ActivationRow(hub_eui(1), NEW, AT + HOUR, SUCCESS, None, None, True, None),
    )
    assert [(row.kind, row.at, row.campaign_id, row.request_id) for row in view.history[-2:]] == [
        ("ActivationFailed", AT + DAY, C1, str(request_id(5))),
        ("Activated", AT + DAY, None, None),
    ]


# ----------------------------------------------------------------------------------------------------------------- all


async def test_no_change_is_fine(store: Store) -> None:
    await apply(store)
    await apply(store, ActivationsRecorded(()))


async def test_the_order_of_changes_counts(store: Store) -> None:
    await create(store)
    one, two = (replace(campaign(), results_reported=number) for number in (1, 2))
    await apply(
        store,
        CampaignSaved(two, CampaignEvent.RESULTS_COUNTED),
        CampaignSaved(one, CampaignEvent.RESULTS_COUNTED),
    )
    assert (await facts(store, campaign=C1)).campaigns[C1].campaign == one
