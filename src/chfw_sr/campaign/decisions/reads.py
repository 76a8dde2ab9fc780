"""The reads: 11.5, 11.8 and 11.9 (wire contract §3 and §4). They change nothing and alert nobody."""

from chfw_sr.campaign.decision import Decision
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.status import status_for, visible_cells
from chfw_sr.messages import (
    EUI,
    PilotPlan,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReadSafeLaunchSchedule,
    Rejected,
    ResponseCode,
    Role,
    SafeLaunchPlan,
    unchecked,
)

from .case import Case, hidden

# The lists and schedules were checked when they came in; looking at 50,000 hubs once more costs milliseconds.
_new_pilot_plan = unchecked(PilotPlan)
_new_safe_launch_plan = unchecked(SafeLaunchPlan)


def pilot_plan_needs(user: EUI, body: ReadPilotPlan) -> Needs:
    """11.5 needs the Supplier's own lists."""
    return Needs(user=user, campaign=body.campaign_id, responsible=True, own_lists=True)


def pilot_plan(case: Case[ReadPilotPlan]) -> Decision:
    """Answer 11.5: the Supplier's own plan.

    Raises:
        Rejected: `E110501` for a campaign unknown or not for this User, `E110502` before a plan is published.

    Source: wire contract §4 (`PilotPlan`).
    """
    found = case.own_campaign(case.body.campaign_id, ResponseCode.E110501)
    campaign = found.campaign
    if campaign.default_schedule is None or campaign.response_deadline is None:
        raise Rejected(ResponseCode.E110502, f"No Pilot Plan of campaign {campaign.campaign_id} is published.")
    part = found.participations.get(case.user.eui)
    preferred_schedule = part.preferred_schedule if part else None
    lists = case.facts.own_lists
    payload = _new_pilot_plan(
        campaign_id=campaign.campaign_id,
        stage=campaign.stage,
        firmware_version=campaign.firmware_version,
        response_deadline=campaign.response_deadline,
        default_list=lists.default or None,
        default_schedule=campaign.default_schedule,
        preferred_list=lists.preferred or None,
        preferred_schedule=preferred_schedule,
        confirmed_list=lists.confirmed or None,
        confirmed_schedule=(preferred_schedule or campaign.default_schedule) if lists.confirmed else None,
    )
    return Decision(code=ResponseCode.I0, payload=payload)


def safe_launch_needs(user: EUI, body: ReadSafeLaunchSchedule) -> Needs:
    """11.8 needs the Supplier's own hubs in the Safe Launch."""
    return Needs(user=user, campaign=body.campaign_id, responsible=True, own_safe_launch=True)


def safe_launch(case: Case[ReadSafeLaunchSchedule]) -> Decision:
    """Answer 11.8: the schedule and the Supplier's own hubs in it.

    Raises:
        Rejected: `E110801` for a campaign unknown or not for this User, `E110802` before a schedule is published.

    Source: wire contract §4 (`SafeLaunchPlan`).
    """
    campaign = case.own_campaign(case.body.campaign_id, ResponseCode.E110801).campaign
    if campaign.safe_launch_schedule is None:
        raise Rejected(
            ResponseCode.E110802, f"No Safe Launch Schedule of campaign {campaign.campaign_id} is published."
        )
    payload = _new_safe_launch_plan(
        campaign_id=campaign.campaign_id,
        schedule=campaign.safe_launch_schedule,
        devices=case.facts.own_safe_launch or None,
    )
    return Decision(code=ResponseCode.I0, payload=payload)


def status_needs(user: EUI, body: ReadCampaignStatus) -> Needs:
    """11.9 needs the campaign's cells."""
    return Needs(user=user, campaign=body.campaign_id, responsible=True, cells=True)


def status(case: Case[ReadCampaignStatus]) -> Decision:
    """Answer 11.9: the status as this User may see it.

    Raises:
        Rejected: `E110901` for a campaign unknown or not for this User.

    Source: wire contract §4 and §5 (N909).
    """
    campaign_id = case.body.campaign_id
    if Role.DCC in case.user.roles or visible_cells(case.facts.cells, case.user):
        found = case.facts.campaigns.get(campaign_id)
        if found is None:
            raise hidden(campaign_id, ResponseCode.E110901)
    else:
        found = case.own_campaign(campaign_id, ResponseCode.E110901)
    payload = status_for(found.campaign, case.facts.cells, case.user, case.now)
    return Decision(code=ResponseCode.I0, payload=payload)
