"""What a downtime does to a response deadline."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from chfw_sr.campaign.changes import CampaignEvent, CampaignSaved
from chfw_sr.campaign.decision import Decision
from chfw_sr.campaign.downtime import Downtime, downtime_of, make_good
from chfw_sr.campaign.model import Campaign, CampaignFacts, Participation
from chfw_sr.messages import EUI, CampaignID, Period, Region, Stage

BEGAN = datetime(2027, 1, 4, 9, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
DOWN = Downtime(BEGAN, BEGAN + 6 * HOUR)
OPERATOR = EUI("90-B3-D5-1F-30-00-00-10")
ALPHA, BETA = EUI("90-B3-D5-1F-30-01-00-00"), EUI("90-B3-D5-1F-30-02-00-00")
CAMPAIGN = Campaign(
    CampaignID("C1"),
    operator=OPERATOR,
    manufacturer="Acme",
    model="CH-1",
    firmware_version="2",
    regions=frozenset(Region),
    pilot_period=Period(start=BEGAN, end=BEGAN + 1000 * HOUR),
    safe_launch_period=None,
    minimum_notice_days=7,
    pilot_devices=None,
    failure_threshold=Decimal(5),
    created_at=BEGAN - 1000 * HOUR,
    stage=Stage.PILOT_CONSULTATION,
)


def made_good(stage: Stage = Stage.PILOT_CONSULTATION, deadline: datetime | None = BEGAN + HOUR) -> Decision:
    campaign = replace(CAMPAIGN, stage=stage, response_deadline=deadline)
    parts = {each: Participation(CAMPAIGN.campaign_id, each) for each in (BETA, ALPHA)}
    return make_good(CampaignFacts(campaign, parts), (OPERATOR,), DOWN)


@pytest.mark.parametrize("deadline", [BEGAN + SECOND, BEGAN + HOUR, DOWN.ended])
def test_a_deadline_within_moves_by_the_whole_length(deadline) -> None:
    (change,) = made_good(deadline=deadline).changes
    assert isinstance(change, CampaignSaved)
    assert change.event is CampaignEvent.DEADLINE_MOVED
    assert change.campaign == replace(CAMPAIGN, response_deadline=deadline + 6 * HOUR)


@pytest.mark.parametrize("deadline", [BEGAN - HOUR, BEGAN, DOWN.ended + SECOND, None])
def test_a_deadline_outside_stays(deadline) -> None:
    assert made_good(deadline=deadline) == Decision()


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.PILOT_CONSULTATION])
def test_only_a_consultation_is_extended(stage) -> None:
    assert made_good(stage) == Decision()


def test_suppliers_and_operator_are_told_the_new_deadline_and_the_stage_stays() -> None:
    alerts = made_good().alerts
    assert [each.recipient for each in alerts] == [ALPHA, BETA, OPERATOR]
    (body,) = {each.body for each in alerts}
    assert (body.previous, body.stage) == (Stage.PILOT_CONSULTATION, Stage.PILOT_CONSULTATION)
    assert body.reason == (
        "The service was down from 2027-01-04T09:00:00Z to 2027-01-04T15:00:00Z; "
        "the response deadline moved to 2027-01-04T16:00:00Z."
    )


def test_the_history_has_the_same_reason() -> None:
    decision = made_good()
    assert decision.changes[0].reason == decision.alerts[0].body.reason


@pytest.mark.parametrize(
    ("last", "found"),
    [
        (None, None),
        (BEGAN, None),
        (BEGAN + HOUR, None),
        (BEGAN - 30 * SECOND, None),
        (BEGAN - 31 * SECOND, Downtime(BEGAN - 31 * SECOND, BEGAN)),
    ],
    ids=["never up", "just now", "ahead of us", "as long as is tolerated", "longer"],
)
def test_a_silence_is_a_downtime_when_it_is_longer_than_is_tolerated(last, found) -> None:
    assert downtime_of(last, BEGAN, timedelta(seconds=30)) == found


def test_its_length() -> None:
    assert DOWN.length == 6 * HOUR
