"""11.20 Create Firmware Campaign (wire contract §3)."""

from chfw_sr.campaign.changes import CampaignEvent, CampaignSaved
from chfw_sr.campaign.decision import Decision
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Campaign
from chfw_sr.campaign.notices import completed
from chfw_sr.messages import EUI, CreateFirmwareCampaign, Region, Rejected, ResponseCode

from .case import Case


def needs(user: EUI, body: CreateFirmwareCampaign) -> Needs:
    """11.20 needs to know whether the campaign exists."""
    return Needs(user=user, campaign=body.campaign_id)


def decide(case: Case[CreateFirmwareCampaign]) -> Decision:
    """Create a campaign in `Draft`.

    Raises:
        Rejected: `E112003` if it exists, `E112004` for a period that does not fit, `E112005` for bounds that
            contradict each other.

    Source: wire contract §3.
    """
    body = case.body
    if body.campaign_id in case.facts.campaigns:
        raise Rejected(ResponseCode.E112003, f"Campaign {body.campaign_id} exists.")
    fault = _period_fault(case)
    if fault is not None:
        raise Rejected(ResponseCode.E112004, fault)
    bounds = body.pilot_devices
    if bounds is not None and bounds.minimum > bounds.maximum:
        raise Rejected(
            ResponseCode.E112005,
            f"The minimum of PilotDevicesPerSupplier, {bounds.minimum}, is above its maximum, {bounds.maximum}.",
        )
    campaign = Campaign(
        campaign_id=body.campaign_id,
        operator=case.user.eui,
        manufacturer=body.manufacturer,
        model=body.model,
        firmware_version=body.firmware_version,
        regions=frozenset(body.regions or Region),
        pilot_period=body.pilot_period,
        safe_launch_period=body.safe_launch_period,
        minimum_notice_days=body.minimum_notice_days,
        pilot_devices=bounds,
        failure_threshold=body.failure_threshold,
        created_at=case.now,
    )
    return Decision(
        code=ResponseCode.I99,
        changes=(CampaignSaved(campaign, CampaignEvent.CREATED),),
        alerts=(completed(case.request_id, body.srv, ResponseCode.I99),),
    )


def _period_fault(case: Case[CreateFirmwareCampaign]) -> str | None:
    pilot, safe_launch = case.body.pilot_period, case.body.safe_launch_period
    if pilot.start >= pilot.end:
        return "The PilotPeriod does not end after it starts."
    if pilot.end <= case.now:
        return "The PilotPeriod is over."
    if safe_launch is None:
        return None
    if safe_launch.start >= safe_launch.end:
        return "The SafeLaunchPeriod does not end after it starts."
    if safe_launch.start < pilot.end:
        return "The SafeLaunchPeriod starts before the PilotPeriod ends."
    return None
