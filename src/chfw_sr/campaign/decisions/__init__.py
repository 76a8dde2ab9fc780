"""What a Service Request changes: first what must be known (`needs_of`), then the outcome (`decide`).

Both dispatch on the type of the request's body; each kind of request, or group of kinds, has its module.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from chfw_sr.campaign.authorise import authorise
from chfw_sr.campaign.decision import Decision, Policy
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.messages import (
    Body,
    CreateFirmwareCampaign,
    DeletePilotPreferences,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReadSafeLaunchSchedule,
    ReportFirmwareActivation,
    ServiceRequest,
    UpdateCampaignState,
    UpdatePilotPreferences,
)

from . import activations, creation, pilot_plan, preferences, reads, safe_launch, state
from .case import Case

_NEEDS: dict[type[Body], Callable[[Any, Any], Needs]] = {
    ReadPilotPlan: reads.pilot_plan_needs,
    ReadSafeLaunchSchedule: reads.safe_launch_needs,
    ReadCampaignStatus: reads.status_needs,
    UpdatePilotPreferences: preferences.update_needs,
    DeletePilotPreferences: preferences.delete_needs,
    CreateFirmwareCampaign: creation.needs,
    PublishPilotPlan: pilot_plan.needs,
    PublishSafeLaunchSchedule: safe_launch.needs,
    UpdateCampaignState: state.needs,
    ReportFirmwareActivation: activations.needs,
}

_DECIDE: dict[type[Body], Callable[[Case[Any]], Decision]] = {
    ReadPilotPlan: reads.pilot_plan,
    ReadSafeLaunchSchedule: reads.safe_launch,
    ReadCampaignStatus: reads.status,
    UpdatePilotPreferences: preferences.update,
    DeletePilotPreferences: preferences.delete,
    CreateFirmwareCampaign: creation.decide,
    PublishPilotPlan: pilot_plan.decide,
    PublishSafeLaunchSchedule: safe_launch.decide,
    UpdateCampaignState: state.decide,
    ReportFirmwareActivation: activations.decide,
}


def needs_of(request: ServiceRequest) -> Needs:
    """Tell what must be known to decide a Service Request.

    Args:
        request: read from a verified document.

    Returns:
        What the store looks up and locks; `decide` takes the answers.
    """
    return _NEEDS[type(request.body)](request.request_id.originator, request.body)


def decide(request: ServiceRequest, facts: Facts, now: datetime, policy: Policy) -> Decision:
    """Decide a Service Request.

    Args:
        request: read from a verified document.
        facts: the answers to `needs_of(request)`.
        now: when the request was received, aware and in UTC.
        policy: the settings that decisions depend on.

    Returns:
        The outcome. For a request that changes something the last alert is its outcome alert, to its originator.

    Raises:
        Rejected: with the response code and a sentence for the sender, if its originator may not send it or a rule
            of business is broken; nothing changes then.

    Source: wire contract §3, §5 and §6.
    """
    authorise(request, facts.user)
    assert facts.user is not None  # authorise refused that
    return _DECIDE[type(request.body)](Case(request.request_id, request.body, facts.user, facts, now, policy))


__all__ = ["decide", "needs_of"]
