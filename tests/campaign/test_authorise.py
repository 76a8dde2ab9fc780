"""Who may send what, and the order of the refusals."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from chfw_sr.campaign.authorise import authorise
from chfw_sr.campaign.decisions import decide
from chfw_sr.campaign.model import User
from chfw_sr.messages import (
    SERVICE_REFERENCES,
    Action,
    CreateFirmwareCampaign,
    DeletePilotPreferences,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReadSafeLaunchSchedule,
    Rejected,
    ReportFirmwareActivation,
    ResponseCode,
    Role,
    UpdateCampaignState,
    UpdatePilotPreferences,
    UserStatus,
)

from .examples import CID, DEADLINE, ELECTRIC, NOW, PILOT_PERIOD, POLICY, SCHEDULE, activation, eui, facts, request

BODIES = (
    ReadPilotPlan(campaign_id=CID),
    UpdatePilotPreferences(campaign_id=CID, preferred_schedule=SCHEDULE),
    DeletePilotPreferences(campaign_id=CID),
    ReadSafeLaunchSchedule(campaign_id=CID),
    ReadCampaignStatus(campaign_id=CID),
    CreateFirmwareCampaign(
        campaign_id=CID,
        manufacturer="Acme",
        model="CH-1",
        firmware_version="2",
        pilot_period=PILOT_PERIOD,
        failure_threshold=Decimal(5),
    ),
    PublishPilotPlan(
        campaign_id=CID, response_deadline=DEADLINE, default_schedule=SCHEDULE, default_list=(eui(0x1001),)
    ),
    PublishSafeLaunchSchedule(campaign_id=CID, schedule=SCHEDULE),
    UpdateCampaignState(campaign_id=CID, action=Action.PAUSE, reason="Look closer"),
    ReportFirmwareActivation(activations=(activation(eui(0x1001), NOW - timedelta(hours=1)),)),
)
_SUPPLIERS = {Role.IS, Role.GS}
_MAY = {
    "11.5": _SUPPLIERS,
    "11.6": _SUPPLIERS,
    "11.7": _SUPPLIERS,
    "11.8": _SUPPLIERS,
    "11.9": {*_SUPPLIERS, Role.ED, Role.GT, Role.DCC},
    "11.20": {Role.DCC},
    "11.21": {Role.DCC},
    "11.22": {Role.DCC},
    "11.23": {Role.DCC},
    "11.30": {Role.CSP},
}
_USER = User(ELECTRIC, "Someone", frozenset({Role.IS}))


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.srv)
@pytest.mark.parametrize("role", Role)
def test_every_role_and_request(body, role):
    sent = request(body, ELECTRIC)
    user = replace(_USER, roles=frozenset({role}))
    if role in _MAY[body.srv]:
        authorise(sent, user)
    else:
        with pytest.raises(Rejected) as caught:
            authorise(sent, user)
        assert caught.value.code is ResponseCode.E2


def test_one_role_of_several_is_enough():
    authorise(request(BODIES[0], ELECTRIC), replace(_USER, roles=frozenset({Role.OU, Role.GS})))


def test_the_refusals_come_in_the_order_of_the_contract():
    wrong_variant = request(BODIES[5], ELECTRIC, command_variant=4)
    faulty = replace(_USER, roles=frozenset(), status=UserStatus.SUSPENDED)
    cases = [
        (None, ResponseCode.E1),
        (faulty, ResponseCode.E1),
        (replace(faulty, roles=frozenset({Role.IS})), ResponseCode.E3),
        (_USER, ResponseCode.E2),
        (replace(_USER, roles=frozenset({Role.DCC})), ResponseCode.E12),
    ]
    for user, code in cases:
        with pytest.raises(Rejected) as caught:
            authorise(wrong_variant, user)
        assert caught.value.code is code


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.srv)
def test_no_decision_is_made_for_a_user_that_is_not_known(body):
    with pytest.raises(Rejected) as caught:
        decide(request(body, eui(0xDEAD)), facts(eui(0xDEAD)), NOW, POLICY)
    assert caught.value.code is ResponseCode.E1


def test_the_examples_here_are_all_the_requests_there_are():
    assert {body.srv for body in BODIES} == set(SERVICE_REFERENCES)
