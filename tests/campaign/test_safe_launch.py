"""11.22: all that is left is allotted by rank, or the schedule is refused."""

from dataclasses import replace

import pytest

from chfw_sr.campaign.changes import (
    CampaignEvent,
    CampaignSaved,
    ParticipationSaved,
    PreferenceEvent,
    RankRange,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.decisions import decide, needs_of
from chfw_sr.campaign.model import Participation, PhaseTimes
from chfw_sr.messages import AlertCode, PublishSafeLaunchSchedule, Rejected, ResponseCode, Stage

from .examples import (
    CAMPAIGNS,
    CID,
    DAY,
    DCC,
    ELECTRIC,
    GAS,
    NOW,
    POLICY,
    SAFE_LAUNCH_PERIOD,
    SAFE_SCHEDULE,
    THIRD,
    VERSION,
    facts,
    request,
    window,
)

READY = CAMPAIGNS[Stage.PILOT_COMPLETE]
LATER = NOW + 30 * DAY
PILOTED = Participation(CID, ELECTRIC, default_devices=4, pilot_devices=4)
THIRDS = Participation(CID, THIRD, default_devices=1, pilot_devices=1)
LEFT = {THIRD: 0, GAS: 3, None: 1, ELECTRIC: 2}


def _publish(campaign=READY, left=LEFT, schedule=SAFE_SCHEDULE):
    sent = request(PublishSafeLaunchSchedule(campaign_id=CID, schedule=schedule), DCC)
    parts = {ELECTRIC: PILOTED, THIRD: THIRDS}
    return sent, decide(sent, facts(DCC, campaign, participations=parts, remaining=left), LATER, POLICY)


def _refused(**given):
    with pytest.raises(Rejected) as caught:
        _publish(**given)
    return caught.value


def test_needs():
    needs = needs_of(request(PublishSafeLaunchSchedule(campaign_id=CID, schedule=SAFE_SCHEDULE), DCC))
    assert (needs.user, needs.campaign, needs.remaining) == (DCC, CID, True)


def test_a_schedule_is_published():
    sent, decision = _publish()
    after = replace(
        READY,
        stage=Stage.SAFE_LAUNCH_SCHEDULED,
        safe_launch_schedule=SAFE_SCHEDULE,
        safe_launch=PhaseTimes(starts_at=SAFE_SCHEDULE[0].start, ends_at=SAFE_SCHEDULE[1].end),
    )
    assert decision.code is ResponseCode.I99
    assert decision.changes == (
        SafeLaunchAllotted(CID, (RankRange(SAFE_SCHEDULE[0], 0, 3), RankRange(SAFE_SCHEDULE[1], 3, 6))),
        ParticipationSaved(replace(PILOTED, safe_launch_devices=2), PreferenceEvent.SAFE_LAUNCH_PUBLISHED),
        ParticipationSaved(Participation(CID, GAS, safe_launch_devices=3), PreferenceEvent.SAFE_LAUNCH_PUBLISHED),
        CampaignSaved(after, CampaignEvent.STAGE_CHANGED, "The Safe Launch Schedule was published."),
    )
    assert [(each.code, each.recipient) for each in decision.alerts] == [
        (AlertCode.N907, ELECTRIC),
        (AlertCode.N907, GAS),
        (AlertCode.N906, ELECTRIC),
        (AlertCode.N906, GAS),
        (AlertCode.N906, THIRD),  # it took part in the pilot, and has no hub left
        (AlertCode.N906, DCC),
        (AlertCode.N911, DCC),
    ]
    body = decision.alerts[1].body
    assert (body.device_count, body.schedule, body.firmware_version) == (3, SAFE_SCHEDULE, VERSION)
    assert decision.alerts[-1].body.request_id == sent.request_id


def test_the_phase_runs_over_the_windows_that_have_hubs():
    _, decision = _publish(left={None: 3})
    times = decision.changes[-1].campaign.safe_launch
    assert (times.starts_at, times.ends_at) == (SAFE_SCHEDULE[0].start, SAFE_SCHEDULE[0].end)
    assert [each.code for each in decision.alerts] == [AlertCode.N906] * 3 + [AlertCode.N911]


def test_unknown_campaign():
    assert _refused(campaign=None).code is ResponseCode.E112201


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.PILOT_COMPLETE}))
def test_wrong_stage(stage):
    error = _refused(campaign=CAMPAIGNS[stage])
    assert error.code is ResponseCode.E112202
    assert stage in error.reason


@pytest.mark.parametrize("left", [{}, {ELECTRIC: 0, None: 0}])
def test_no_hub_left(left):
    assert _refused(left=left, schedule=(window(1, NOW),)).code is ResponseCode.E112203


@pytest.mark.parametrize(
    "schedule",
    [
        (window(5, SAFE_LAUNCH_PERIOD.start - DAY),),
        (window(5, SAFE_LAUNCH_PERIOD.end),),
        (window(5, SAFE_LAUNCH_PERIOD.start, 0 * DAY),),
        (window(5, SAFE_LAUNCH_PERIOD.start, 3 * DAY), window(6, SAFE_LAUNCH_PERIOD.start + DAY)),
        (window(5, SAFE_LAUNCH_PERIOD.start), window(5, SAFE_LAUNCH_PERIOD.start + 2 * DAY)),
    ],
)
def test_invalid_schedules(schedule):
    error = _refused(schedule=schedule)
    assert error.code is ResponseCode.E112205
    assert "indow 5" in error.reason


def test_without_a_period_only_the_notice_bounds_the_windows():
    campaign = replace(READY, safe_launch_period=None)
    assert _publish(campaign=campaign, schedule=(window(5, LATER + 7 * DAY),))[1].code is ResponseCode.I99
    error = _refused(campaign=campaign, schedule=(window(5, LATER + 6 * DAY),))
    assert error.code is ResponseCode.E112205


def test_capacity_counts_over_all_suppliers():
    start = SAFE_LAUNCH_PERIOD.start
    schedule = (window(1, start, holds=2), window(2, start + 2 * DAY, holds=3))
    error = _refused(schedule=schedule)
    assert error.code is ResponseCode.E112206
    assert error.reason == "The SafeLaunchSchedule holds 5 hubs, and 6 are left to activate."
    assert _publish(schedule=schedule, left={ELECTRIC: 5})[1].code is ResponseCode.I99
