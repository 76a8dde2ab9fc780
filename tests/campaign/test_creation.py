"""11.20: a campaign comes to be, or its request contradicts itself."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from chfw_sr.campaign.changes import CampaignEvent, CampaignSaved
from chfw_sr.campaign.decisions import decide, needs_of
from chfw_sr.campaign.model import Campaign, User
from chfw_sr.messages import (
    AlertCode,
    CreateFirmwareCampaign,
    DeviceBounds,
    Period,
    Region,
    Rejected,
    ResponseCode,
    Role,
    Stage,
)

from .examples import CAMPAIGNS, CID, DAY, DCC, DCC_TOO, NOW, PILOT_PERIOD, POLICY, SAFE_LAUNCH_PERIOD, facts, request

SECOND = timedelta(seconds=1)


def _body(**changes):
    plain = {
        "campaign_id": CID,
        "manufacturer": "Acme",
        "model": "CH-1",
        "firmware_version": "02.00.01",
        "pilot_period": PILOT_PERIOD,
    }
    return CreateFirmwareCampaign(**plain | changes)


def _create(existing=None, **changes):
    sent = request(_body(**changes), DCC)
    return sent, decide(sent, facts(DCC, existing), NOW, POLICY)


def test_needs():
    needs = needs_of(request(_body(), DCC))
    assert (needs.user, needs.campaign, needs.remaining, needs.plan) == (DCC, CID, False, False)


def test_a_campaign_with_all_defaults():
    sent, decision = _create()
    campaign = Campaign(
        campaign_id=CID,
        operator=DCC,
        manufacturer="Acme",
        model="CH-1",
        firmware_version="02.00.01",
        regions=frozenset(Region),
        pilot_period=PILOT_PERIOD,
        safe_launch_period=None,
        minimum_notice_days=7,
        pilot_devices=None,
        failure_threshold=Decimal(5),
        created_at=NOW,
    )
    assert campaign.stage is Stage.DRAFT
    assert (decision.code, decision.payload) == (ResponseCode.I99, None)
    assert decision.changes == (CampaignSaved(campaign, CampaignEvent.CREATED),)
    (alert,) = decision.alerts
    assert (alert.code, alert.recipient) == (AlertCode.N911, DCC)
    body = alert.body
    assert (body.request_id, body.srv, body.response_code) == (sent.request_id, "11.20", ResponseCode.I99)


def test_a_campaign_with_everything_said():
    bounds = DeviceBounds(minimum=3, maximum=3)
    _, decision = _create(
        regions=(Region.SOUTH, Region.NORTH),
        safe_launch_period=SAFE_LAUNCH_PERIOD,
        minimum_notice_days=0,
        pilot_devices=bounds,
        failure_threshold=Decimal("2.5"),
    )
    made = decision.changes[0].campaign
    assert made.regions == {Region.SOUTH, Region.NORTH}
    assert (made.safe_launch_period, made.minimum_notice_days) == (SAFE_LAUNCH_PERIOD, 0)
    assert (made.pilot_devices, made.failure_threshold) == (bounds, Decimal("2.5"))


def test_the_outcome_goes_to_the_originator_and_not_to_other_operators():
    sent = request(_body(), DCC_TOO)
    known = replace(facts(DCC), user=User(DCC_TOO, "Other", frozenset({Role.DCC})), operators=(DCC, DCC_TOO))
    assert [each.recipient for each in decide(sent, known, NOW, POLICY).alerts] == [DCC_TOO]


@pytest.mark.parametrize("stage", Stage)
def test_a_campaign_that_exists_in_any_stage(stage):
    with pytest.raises(Rejected) as caught:
        _create(CAMPAIGNS[stage])
    assert caught.value.code is ResponseCode.E112003


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pilot_period": Period(start=NOW + DAY, end=NOW + DAY)}, "PilotPeriod does not end"),
        ({"pilot_period": Period(start=NOW + 2 * DAY, end=NOW + DAY)}, "PilotPeriod does not end"),
        ({"pilot_period": Period(start=NOW - DAY, end=NOW)}, "PilotPeriod is over"),
        ({"safe_launch_period": Period(start=NOW + 90 * DAY, end=NOW + 90 * DAY)}, "SafeLaunchPeriod does not end"),
        (
            {"safe_launch_period": Period(start=PILOT_PERIOD.end - SECOND, end=NOW + 90 * DAY)},
            "SafeLaunchPeriod starts before the PilotPeriod ends",
        ),
    ],
)
def test_periods_that_do_not_fit(changes, said):
    with pytest.raises(Rejected, match=said) as caught:
        _create(**changes)
    assert caught.value.code is ResponseCode.E112004


@pytest.mark.parametrize(
    "changes",
    [
        {"pilot_period": Period(start=NOW - DAY, end=NOW + SECOND)},
        {"safe_launch_period": Period(start=PILOT_PERIOD.end, end=PILOT_PERIOD.end + SECOND)},
    ],
)
def test_periods_that_just_fit(changes):
    assert _create(**changes)[1].code is ResponseCode.I99


def test_bounds_that_contradict_each_other():
    with pytest.raises(Rejected) as caught:
        _create(pilot_devices=DeviceBounds(minimum=4, maximum=3))
    assert caught.value.code is ResponseCode.E112005
