"""11.21: the default list is divided and published, or refused whole."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chfw_sr.campaign.changes import CampaignEvent, CampaignSaved, DefaultListSet, ParticipationSaved, PreferenceEvent
from chfw_sr.campaign.decisions import decide, needs_of
from chfw_sr.campaign.model import Membership, Participation
from chfw_sr.messages import (
    AlertCode,
    DeviceBounds,
    HubStatus,
    Phase,
    PublishPilotPlan,
    Region,
    Rejected,
    ResponseCode,
    Stage,
)

from .examples import (
    CAMPAIGNS,
    CID,
    DAY,
    DCC,
    DCC_TOO,
    DEADLINE,
    DRAFT,
    ELECTRIC,
    GAS,
    NOW,
    OTHER,
    POLICY,
    SCHEDULE,
    VERSION,
    eui,
    facts,
    hub,
    request,
    window,
)

HUBS = (hub(4), hub(2, import_supplier=None), hub(9), hub(1, import_supplier=None))
SECOND = timedelta(seconds=1)


def _publish(hubs=HUBS, campaign=DRAFT, listed=None, schedule=SCHEDULE, deadline=DEADLINE, **known):
    listed = tuple(each.eui for each in hubs) if listed is None else listed
    body = PublishPilotPlan(campaign_id=CID, response_deadline=deadline, default_schedule=schedule, default_list=listed)
    sent = request(body, DCC)
    return sent, decide(sent, facts(DCC, campaign, hubs={each.eui: each for each in hubs}, **known), NOW, POLICY)


def _refused(**given):
    with pytest.raises(Rejected) as caught:
        _publish(**given)
    return caught.value


def test_needs_are_the_hubs_named_once_each():
    body = PublishPilotPlan(
        campaign_id=CID, response_deadline=DEADLINE, default_schedule=SCHEDULE, default_list=(eui(2), eui(1), eui(2))
    )
    needs = needs_of(request(body, DCC))
    assert (needs.user, needs.campaign, needs.hubs) == (DCC, CID, (eui(2), eui(1)))


def test_the_list_is_divided_among_lead_suppliers_in_its_order():
    sent, decision = _publish(operators=(DCC, DCC_TOO))
    parts = {ELECTRIC: (HUBS[0].eui, HUBS[2].eui), GAS: (HUBS[1].eui, HUBS[3].eui)}
    after = replace(DRAFT, stage=Stage.PILOT_CONSULTATION, response_deadline=DEADLINE, default_schedule=SCHEDULE)
    assert decision.code is ResponseCode.I99
    assert decision.changes == (
        CampaignSaved(after, CampaignEvent.STAGE_CHANGED, "The Pilot Plan was published."),
        ParticipationSaved(Participation(CID, ELECTRIC, default_devices=2), PreferenceEvent.INVITED),
        ParticipationSaved(Participation(CID, GAS, default_devices=2), PreferenceEvent.INVITED),
        DefaultListSet(CID, parts),
    )
    assert [(each.code, each.recipient) for each in decision.alerts] == [
        (AlertCode.N901, ELECTRIC),
        (AlertCode.N901, GAS),
        (AlertCode.N906, ELECTRIC),
        (AlertCode.N906, GAS),
        (AlertCode.N906, DCC),
        (AlertCode.N906, DCC_TOO),
        (AlertCode.N911, DCC),
    ]
    invitation = decision.alerts[1].body
    assert invitation.default_list == parts[GAS]
    assert (invitation.manufacturer, invitation.model, invitation.firmware_version) == ("Acme", "CH-1", VERSION)
    assert (invitation.response_deadline, invitation.default_schedule) == (DEADLINE, SCHEDULE)
    moved = decision.alerts[2].body
    assert (moved.previous, moved.stage) == (Stage.DRAFT, Stage.PILOT_CONSULTATION)
    assert decision.alerts[-1].body.request_id == sent.request_id


def test_unknown_campaign():
    assert _refused(campaign=None).code is ResponseCode.E112101


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.DRAFT}))
def test_wrong_stage(stage):
    error = _refused(campaign=CAMPAIGNS[stage])
    assert error.code is ResponseCode.E112102
    assert stage in error.reason


@pytest.mark.parametrize(
    ("faulty", "code"),
    [
        ({"status": HubStatus.DECOMMISSIONED}, ResponseCode.E5),
        ({"model": "CH-2"}, ResponseCode.E11),
        ({"manufacturer": "Other"}, ResponseCode.E11),
        ({"firmware_version": VERSION}, ResponseCode.E11),
        ({"import_supplier": None, "gas_supplier": None}, ResponseCode.E112103),
        ({"membership": Membership(OTHER, Phase.PILOT)}, ResponseCode.E112103),
    ],
)
def test_a_faulty_hub_refuses_the_list(faulty, code):
    error = _refused(hubs=(*HUBS, hub(77, **faulty)))
    assert error.code is code
    assert f"1 hub: {hub(77).eui}" in error.reason


def test_a_hub_of_another_region():
    error = _refused(campaign=replace(DRAFT, regions=frozenset({Region.CENTRAL})))
    assert error.code is ResponseCode.E11
    assert "4 hubs" in error.reason


def test_unknown_hubs_are_named_up_to_five():
    error = _refused(listed=(HUBS[0].eui, *map(eui, range(1, 8)), eui(1)))
    assert error.code is ResponseCode.E19
    assert f"7 hubs: {', '.join(map(eui, range(1, 6)))}, …:" in error.reason
    assert eui(6) not in error.reason


def test_five_are_named_without_an_ellipsis():
    error = _refused(listed=tuple(map(eui, range(1, 6))))
    assert error.reason.startswith(f"The DefaultPilotList names 5 hubs: {', '.join(map(eui, range(1, 6)))}:")


def test_repeated_hubs():
    error = _refused(listed=(*(each.eui for each in HUBS), HUBS[0].eui, HUBS[0].eui))
    assert error.code is ResponseCode.E112103
    assert f"1 hub: {HUBS[0].eui}" in error.reason


def test_the_kinds_of_fault_come_in_order():
    worst = hub(5, status=HubStatus.PENDING, model="X", import_supplier=None, gas_supplier=None)
    assert _refused(hubs=(worst,), listed=(worst.eui, eui(1))).code is ResponseCode.E19
    assert _refused(hubs=(worst,), schedule=(window(1, NOW),)).code is ResponseCode.E5
    worst = replace(worst, status=HubStatus.COMMISSIONED)
    assert _refused(hubs=(worst,), schedule=(window(1, NOW),)).code is ResponseCode.E11
    worst = replace(worst, model="CH-1")
    assert _refused(hubs=(worst,), schedule=(window(1, NOW),)).code is ResponseCode.E112103
    bounds = replace(DRAFT, pilot_devices=DeviceBounds(minimum=2, maximum=3))
    late = {"schedule": (window(1, NOW),), "deadline": NOW}
    assert _refused(hubs=(hub(5),), campaign=bounds, **late).code is ResponseCode.E112104
    assert _refused(hubs=(hub(5),), **late).code is ResponseCode.E112105
    full = (window(1, NOW + 20 * DAY, holds=1),)
    assert _refused(hubs=(hub(5), hub(6)), schedule=full, deadline=NOW).code is ResponseCode.E112106
    assert _refused(hubs=(hub(5),), schedule=full, deadline=NOW).code is ResponseCode.E112107


@pytest.mark.parametrize(("minimum", "maximum", "fits"), [(2, 2, True), (3, 9, False), (0, 1, False)])
def test_bounds_on_each_part(minimum, maximum, fits):
    campaign = replace(DRAFT, pilot_devices=DeviceBounds(minimum=minimum, maximum=maximum))
    if fits:
        assert _publish(campaign=campaign)[1].code is ResponseCode.I99
    else:
        error = _refused(campaign=campaign)
        assert error.code is ResponseCode.E112104
        assert f"2 hubs of Supplier {ELECTRIC}" in error.reason


@pytest.mark.parametrize(
    "schedule",
    [
        (window(5, NOW + 17 * DAY),),
        (window(5, NOW + 20 * DAY, -DAY),),
        (window(5, NOW + 20 * DAY), window(5, NOW + 30 * DAY)),
        (window(5, NOW + 20 * DAY, 3 * DAY), window(6, NOW + 22 * DAY)),
    ],
)
def test_invalid_schedules(schedule):
    error = _refused(schedule=schedule)
    assert error.code is ResponseCode.E112105
    assert "indow 5" in error.reason


def test_too_little_notice():
    assert _refused(campaign=replace(DRAFT, minimum_notice_days=21)).code is ResponseCode.E112105


def test_capacity_counts_for_each_supplier_by_itself():
    one_each = (window(1, NOW + 20 * DAY, holds=1),)
    assert _publish(hubs=HUBS[:2], schedule=one_each)[1].code is ResponseCode.I99
    error = _refused(hubs=HUBS[:3], schedule=one_each)
    assert error.code is ResponseCode.E112106
    assert ELECTRIC in error.reason


@pytest.mark.parametrize("deadline", [NOW - SECOND, NOW, SCHEDULE[0].start + SECOND])
def test_deadlines_that_do_not_fit(deadline):
    assert _refused(deadline=deadline).code is ResponseCode.E112107


@pytest.mark.parametrize("deadline", [NOW + SECOND, SCHEDULE[0].start])
def test_deadlines_that_just_fit(deadline):
    assert _publish(deadline=deadline)[1].code is ResponseCode.I99


def test_the_first_window_is_the_earliest_not_the_first_written():
    error = _refused(schedule=SCHEDULE[::-1], deadline=SCHEDULE[1].start)
    assert error.code is ResponseCode.E112107
    assert "window 1" in error.reason
