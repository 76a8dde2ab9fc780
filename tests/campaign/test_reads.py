"""11.5, 11.8 and 11.9: each reader sees its own and nothing else."""

from dataclasses import replace

import pytest

from chfw_sr.campaign.decisions import decide, needs_of
from chfw_sr.campaign.model import Cell, OwnLists, Participation
from chfw_sr.messages import (
    CampaignStatus,
    Phase,
    PhaseCounts,
    PilotPlan,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReadSafeLaunchSchedule,
    Region,
    Rejected,
    ResponseCode,
    SafeLaunchPlan,
    Stage,
)

from .examples import (
    CAMPAIGNS,
    CID,
    DAY,
    DCC,
    DEADLINE,
    ELECTRIC,
    GAS,
    GRID,
    NOW,
    PIPES,
    POLICY,
    SAFE_SCHEDULE,
    SCHEDULE,
    VERSION,
    eui,
    facts,
    request,
    window,
)

PART = {ELECTRIC: Participation(CID, ELECTRIC, default_devices=2)}
MINE = (window(9, NOW + 21 * DAY),)


def _read(body, user=ELECTRIC, campaign=None, **known):
    decision = decide(request(body(campaign_id=CID), user), facts(user, campaign, **known), NOW, POLICY)
    assert (decision.changes, decision.alerts) == ((), ())
    assert decision.code is ResponseCode.I0
    return decision.payload


def _refused(body, **given):
    with pytest.raises(Rejected) as caught:
        _read(body, **given)
    return caught.value


READS = {
    ReadPilotPlan: (ResponseCode.E110501, ResponseCode.E110502),
    ReadSafeLaunchSchedule: (ResponseCode.E110801, ResponseCode.E110802),
    ReadCampaignStatus: (ResponseCode.E110901, None),
}


def test_needs():
    plan = needs_of(request(ReadPilotPlan(campaign_id=CID), ELECTRIC))
    assert (plan.user, plan.campaign, plan.responsible, plan.own_lists) == (ELECTRIC, CID, True, True)
    launch = needs_of(request(ReadSafeLaunchSchedule(campaign_id=CID), ELECTRIC))
    assert (launch.responsible, launch.own_safe_launch, launch.own_lists) == (True, True, False)
    status = needs_of(request(ReadCampaignStatus(campaign_id=CID), ELECTRIC))
    assert (status.responsible, status.cells, status.own_safe_launch) == (True, True, False)


@pytest.mark.parametrize("body", READS)
def test_unknown_and_not_for_this_user_are_told_alike(body):
    unknown = _refused(body)
    hidden = _refused(body, campaign=CAMPAIGNS[Stage.PILOT], participations={GAS: Participation(CID, GAS)})
    assert unknown.code is hidden.code is READS[body][0]
    assert unknown.reason == hidden.reason


@pytest.mark.parametrize("body", [ReadPilotPlan, ReadSafeLaunchSchedule])
@pytest.mark.parametrize("stage", Stage)
def test_every_stage(body, stage):
    campaign = CAMPAIGNS[stage]
    published = campaign.default_schedule if body is ReadPilotPlan else campaign.safe_launch_schedule
    if published is None:
        assert _refused(body, campaign=campaign, participations=PART).code is READS[body][1]
    else:
        assert _read(body, campaign=campaign, participations=PART).campaign_id == CID


def test_the_plan_of_a_supplier_with_everything():
    lists = OwnLists((eui(1), eui(2)), (eui(2), eui(3)), (eui(2),))
    part = {ELECTRIC: replace(PART[ELECTRIC], preferred_schedule=MINE)}
    campaign = CAMPAIGNS[Stage.PILOT]
    assert _read(ReadPilotPlan, campaign=campaign, participations=part, own_lists=lists) == PilotPlan(
        campaign_id=CID,
        stage=Stage.PILOT,
        firmware_version=VERSION,
        response_deadline=DEADLINE,
        default_list=lists.default,
        default_schedule=SCHEDULE,
        preferred_list=lists.preferred,
        preferred_schedule=MINE,
        confirmed_list=lists.confirmed,
        confirmed_schedule=MINE,
    )


def test_the_plan_of_a_supplier_that_kept_the_default():
    lists = OwnLists((eui(1),), None, (eui(1),))
    plan = _read(ReadPilotPlan, campaign=CAMPAIGNS[Stage.PILOT], participations=PART, own_lists=lists)
    assert (plan.preferred_list, plan.preferred_schedule, plan.confirmed_schedule) == (None, None, SCHEDULE)


@pytest.mark.parametrize("lists", [OwnLists(), OwnLists((), (), ())])
def test_the_plan_of_a_supplier_that_is_only_responsible(lists):
    plan = _read(ReadPilotPlan, campaign=CAMPAIGNS[Stage.PILOT_CONSULTATION], responsible=True, own_lists=lists)
    assert (plan.default_list, plan.default_schedule) == (None, SCHEDULE)
    assert (plan.confirmed_list, plan.confirmed_schedule) == (None, None)


@pytest.mark.parametrize(("own", "devices"), [((eui(1), eui(2)), (eui(1), eui(2))), ((), None), (None, None)])
def test_the_safe_launch_of_a_supplier(own, devices):
    plan = _read(
        ReadSafeLaunchSchedule, campaign=CAMPAIGNS[Stage.SAFE_LAUNCH], participations=PART, own_safe_launch=own
    )
    assert plan == SafeLaunchPlan(campaign_id=CID, schedule=SAFE_SCHEDULE, devices=devices)


def _cell(supplier, devices, ed=None, gt=None):
    return Cell(Phase.PILOT, supplier, ed, gt, Region.NORTH, 1, NOW + DAY, NOW + 2 * DAY, devices)


CELLS = (_cell(ELECTRIC, 1, GRID), _cell(ELECTRIC, 2, GRID, PIPES), _cell(GAS, 4, None, PIPES))


@pytest.mark.parametrize(("user", "devices"), [(ELECTRIC, 3), (GAS, 4), (GRID, 3), (PIPES, 6), (DCC, 7)])
def test_everyone_with_hubs_reads_its_own_status(user, devices):
    status = _read(ReadCampaignStatus, user, CAMPAIGNS[Stage.PILOT], cells=CELLS)
    assert status.pilot == PhaseCounts(devices=devices, scheduled=devices, activated=0, failed=0, pending=0)
    assert (status.stage, status.as_of, status.safe_launch) == (Stage.PILOT, NOW, None)


@pytest.mark.parametrize("stage", Stage)
def test_the_status_can_be_read_in_every_stage(stage):
    status = _read(ReadCampaignStatus, GRID, CAMPAIGNS[stage], responsible=True)
    nothing = PhaseCounts(devices=0, scheduled=0, activated=0, failed=0, pending=0)
    launched = CAMPAIGNS[stage].safe_launch_schedule is not None
    assert status == CampaignStatus(
        campaign_id=CID,
        stage=stage,
        firmware_version=VERSION,
        as_of=NOW,
        pilot=nothing,
        safe_launch=nothing if launched else None,
    )


def test_a_network_party_in_no_cell_does_not_see_the_campaign():
    error = _refused(ReadCampaignStatus, user=PIPES, campaign=CAMPAIGNS[Stage.PILOT], cells=CELLS[:1])
    assert error.code is ResponseCode.E110901


def test_an_operator_reads_an_unknown_campaign():
    assert _refused(ReadCampaignStatus, user=DCC).code is ResponseCode.E110901
