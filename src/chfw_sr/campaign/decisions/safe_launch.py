"""11.22 Publish Safe Launch Schedule (wire contract §3): all targets not activated, over all Suppliers, by EUI."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from chfw_sr.campaign.allotment import allot_ranks, capacity, holds
from chfw_sr.campaign.changes import (
    CampaignEvent,
    CampaignSaved,
    ParticipationSaved,
    PreferenceEvent,
    RankRange,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.decision import Decision
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Campaign, CampaignFacts, Participation, PhaseTimes
from chfw_sr.campaign.notices import completed, stage_changed
from chfw_sr.campaign.schedules import schedule_fault
from chfw_sr.campaign.transitions import Event, advance
from chfw_sr.messages import (
    EUI,
    Alert,
    PublishSafeLaunchSchedule,
    Rejected,
    ResponseCode,
    SafeLaunchSchedulePublished,
)

from .case import Case, permit

_PUBLISHED = "The Safe Launch Schedule was published."


def needs(user: EUI, body: PublishSafeLaunchSchedule) -> Needs:
    """11.22 needs the number of hubs that are left, and whom to tell."""
    return Needs(user=user, campaign=body.campaign_id, everybody=True, remaining=True)


def decide(case: Case[PublishSafeLaunchSchedule]) -> Decision:
    """Publish a schedule: `PilotComplete` to `SafeLaunchScheduled`.

    Raises:
        Rejected: `E112201` for an unknown campaign, `E112202` if it is not in `PilotComplete`, `E112203` if no hub is
            left, `E112205` for an invalid schedule, `E112206` if it cannot hold the hubs.

    Source: wire contract §3 and §5 (N907).
    """
    body = case.body
    found = case.campaign(body.campaign_id, ResponseCode.E112201)
    before = found.campaign
    permit(before, Event.PUBLISH_SAFE_LAUNCH_SCHEDULE, ResponseCode.E112202)
    ranges = _allot(case, before)
    after = replace(
        advance(before, Event.PUBLISH_SAFE_LAUNCH_SCHEDULE, case.now, case.policy),
        safe_launch_schedule=body.schedule,
        safe_launch=PhaseTimes(starts_at=ranges[0].window.start, ends_at=ranges[-1].window.end),
    )
    parts = {eui: count for eui, count in sorted(_with_supplier(case.facts.remaining).items()) if count}
    return Decision(
        code=ResponseCode.I99,
        changes=(
            SafeLaunchAllotted(after.campaign_id, ranges),
            *_participations(found, parts),
            CampaignSaved(after, CampaignEvent.STAGE_CHANGED, _PUBLISHED),
        ),
        alerts=(
            *_announcements(case, after, parts),
            *stage_changed(before, after, _PUBLISHED, {*found.everybody, *parts}, case.facts.operators),
            completed(case.request_id, body.srv, ResponseCode.I99),
        ),
    )


def _allot(case: Case[PublishSafeLaunchSchedule], campaign: Campaign) -> tuple[RankRange, ...]:
    schedule = case.body.schedule
    left = sum(case.facts.remaining.values())
    if not left:
        raise Rejected(ResponseCode.E112203, f"No target hub of campaign {campaign.campaign_id} is left to activate.")
    fault = schedule_fault(schedule, campaign.safe_launch_period, case.now, campaign.minimum_notice_days)
    if fault is not None:
        raise Rejected(ResponseCode.E112205, fault)
    if not holds(schedule, left):
        raise Rejected(
            ResponseCode.E112206,
            f"The SafeLaunchSchedule holds {capacity(schedule)} hubs, and {left} are left to activate.",
        )
    return allot_ranks(schedule, left)


def _with_supplier(remaining: Mapping[EUI | None, int]) -> dict[EUI, int]:
    return {eui: count for eui, count in remaining.items() if eui is not None}


def _participations(found: CampaignFacts, parts: Mapping[EUI, int]) -> Iterator[ParticipationSaved]:
    for supplier, devices in parts.items():
        part = found.everybody.get(supplier) or Participation(found.campaign.campaign_id, supplier)
        yield ParticipationSaved(replace(part, safe_launch_devices=devices), PreferenceEvent.SAFE_LAUNCH_PUBLISHED)


def _announcements(
    case: Case[PublishSafeLaunchSchedule], campaign: Campaign, parts: Mapping[EUI, int]
) -> Iterator[Alert]:
    for supplier, devices in parts.items():
        body = SafeLaunchSchedulePublished(
            campaign_id=campaign.campaign_id,
            firmware_version=campaign.firmware_version,
            schedule=case.body.schedule,
            device_count=devices,
        )
        yield Alert(recipient=supplier, body=body)
