"""11.6 Update Pilot Preferences and 11.7 Delete Pilot Preferences (wire contract §3).

A hub of a Preferred Pilot List is refused for the first that holds of: named before in the list, unknown or not this
Supplier's, not commissioned, not fit for the firmware, in another live campaign, nominated by another Supplier.
Whatever is stored fits its schedule, so that the plan can be confirmed at the deadline without asking again.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chfw_sr.campaign.allotment import capacity, holds
from chfw_sr.campaign.changes import Change, NominationsReplaced, ParticipationSaved, PreferenceEvent
from chfw_sr.campaign.decision import Decision
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Campaign, CampaignFacts, Hub, Participation
from chfw_sr.campaign.schedules import in_text, schedule_fault
from chfw_sr.messages import (
    EUI,
    Alert,
    DeletePilotPreferences,
    HubStatus,
    PilotPreferencesAccepted,
    PilotPreferencesDeleted,
    PilotPreferencesPartlyAccepted,
    PilotPreferencesWarning,
    Rejected,
    ResponseCode,
    Stage,
    UpdatePilotPreferences,
    Window,
)

from .case import Case


def update_needs(user: EUI, body: UpdatePilotPreferences) -> Needs:
    """11.6 needs the hubs that its list names."""
    hubs = tuple(dict.fromkeys(body.preferred_list or ()))
    return Needs(user=user, campaign=body.campaign_id, hubs=hubs, responsible=True)


def update(case: Case[UpdatePilotPreferences]) -> Decision:
    """Replace a Supplier's Preferred Pilot List, its Preferred Pilot Schedule, or both.

    Raises:
        Rejected: `E110601` for a campaign unknown or not for this User, `E110602` past the deadline or in another
            stage, `E110603` if no hub is acceptable, `E110604` for a list outside the campaign's bounds, `E110605` for
            an invalid schedule, `E110606` if the schedule cannot hold the list.

    Source: wire contract §3, §4 (`PilotPreferencesWarning`) and §6.
    """
    body = case.body
    found = case.own_campaign(body.campaign_id, ResponseCode.E110601)
    campaign = found.campaign
    _check_open(campaign, case.now, ResponseCode.E110602)
    part = _participation(found, case.user.eui)
    accepted: tuple[EUI, ...] = ()
    warning = PilotPreferencesWarning()
    if body.preferred_list is not None:
        accepted, warning = _sort_out(body.preferred_list, case, campaign)
        _check_size(campaign, accepted)
        part = replace(part, nominated_devices=len(accepted))
    if body.preferred_schedule is not None:
        _check_schedule(body.preferred_schedule, case, campaign)
        part = replace(part, preferred_schedule=body.preferred_schedule)
    _check_fit(campaign, part)
    changes: list[Change] = [ParticipationSaved(part, PreferenceEvent.PREFERENCES_UPDATED)]
    if body.preferred_list is not None:
        changes.append(NominationsReplaced(campaign.campaign_id, case.user.eui, accepted))
    return _outcome(case, len(accepted), warning, tuple(changes))


def _check_open(campaign: Campaign, now: datetime, code: ResponseCode) -> None:
    if campaign.stage is not Stage.PILOT_CONSULTATION or campaign.response_deadline is None:
        raise Rejected(
            code, f"Campaign {campaign.campaign_id} is in stage {campaign.stage}, not {Stage.PILOT_CONSULTATION}."
        )
    if now >= campaign.response_deadline:
        raise Rejected(code, f"The response deadline was {in_text(campaign.response_deadline)}.")


def _participation(found: CampaignFacts, supplier: EUI) -> Participation:
    return found.participations.get(supplier) or Participation(found.campaign.campaign_id, supplier)


def _sort_out(
    hubs: Sequence[EUI], case: Case[UpdatePilotPreferences], campaign: Campaign
) -> tuple[tuple[EUI, ...], PilotPreferencesWarning]:
    """Part a list into the hubs accepted and those refused, each in list order."""
    accepted: list[EUI] = []
    refused: dict[str, list[EUI]] = {}
    seen: set[EUI] = set()
    known, supplier = case.facts.hubs, case.user.eui
    for eui in hubs:
        if eui in seen:
            refusal = "duplicate"
        else:
            seen.add(eui)
            refusal = _refusal(known.get(eui), supplier, campaign)
        (refused.setdefault(refusal, []) if refusal else accepted).append(eui)
    return tuple(accepted), PilotPreferencesWarning(**{name: tuple(each) for name, each in refused.items()})


def _refusal(hub: Hub | None, supplier: EUI, campaign: Campaign) -> str:
    """Name the list of the warning that a hub belongs to; empty if it is accepted."""
    if hub is None or not hub.is_supplied_by(supplier):
        return "invalid"
    if hub.status is not HubStatus.COMMISSIONED:
        return "not_commissioned"
    if not campaign.fits(hub):
        return "not_applicable_firmware"
    if hub.membership is None:
        return ""
    if hub.membership.campaign_id != campaign.campaign_id:
        return "other_request_in_progress"
    return "" if hub.membership.nominated_by in (None, supplier) else "already_nominated"


def _check_size(campaign: Campaign, accepted: Sequence[EUI]) -> None:
    if not accepted:
        raise Rejected(ResponseCode.E110603, "No hub of the PreferredPilotList is acceptable.")
    bounds = campaign.pilot_devices
    if bounds is not None and not bounds.minimum <= len(accepted) <= bounds.maximum:
        raise Rejected(
            ResponseCode.E110604,
            f"{len(accepted)} hubs of the PreferredPilotList are acceptable;"
            f" the campaign takes {bounds.minimum} to {bounds.maximum} of a Supplier.",
        )


def _check_schedule(schedule: Sequence[Window], case: Case[UpdatePilotPreferences], campaign: Campaign) -> None:
    fault = schedule_fault(
        schedule, campaign.pilot_period, case.now, campaign.minimum_notice_days, campaign.response_deadline
    )
    if fault is not None:
        raise Rejected(ResponseCode.E110605, fault)


def _check_fit(campaign: Campaign, part: Participation) -> None:
    """Check that the schedule that counts holds the list that counts, sent now or kept from before."""
    schedule = part.preferred_schedule or campaign.default_schedule or ()
    devices = part.default_devices if part.nominated_devices is None else part.nominated_devices
    if not holds(schedule, devices):
        raise Rejected(
            ResponseCode.E110606, f"The schedule holds {capacity(schedule)} hubs, and the list has {devices}."
        )


def _outcome(
    case: Case[UpdatePilotPreferences], accepted: int, warning: PilotPreferencesWarning, changes: tuple[Change, ...]
) -> Decision:
    campaign_id, request_id, refused = case.body.campaign_id, case.request_id, warning.refused
    if not refused:
        whole = PilotPreferencesAccepted(
            campaign_id=campaign_id, request_id=request_id, accepted=accepted, refused=refused
        )
        return Decision(ResponseCode.I99, None, changes, (Alert(recipient=case.user.eui, body=whole),))
    partly = PilotPreferencesPartlyAccepted(
        campaign_id=campaign_id, request_id=request_id, accepted=accepted, refused=refused, warning=warning
    )
    return Decision(ResponseCode.W110601, warning, changes, (Alert(recipient=case.user.eui, body=partly),))


def delete_needs(user: EUI, body: DeletePilotPreferences) -> Needs:
    """11.7 needs the campaign alone."""
    return Needs(user=user, campaign=body.campaign_id, responsible=True)


def delete(case: Case[DeletePilotPreferences]) -> Decision:
    """Return a Supplier to its part of the default list and to the default schedule; twice is as good as once.

    Raises:
        Rejected: `E110701` for a campaign unknown or not for this User, `E110702` past the deadline or in another
            stage.

    Source: wire contract §3.
    """
    found = case.own_campaign(case.body.campaign_id, ResponseCode.E110701)
    _check_open(found.campaign, case.now, ResponseCode.E110702)
    before = _participation(found, case.user.eui)
    after = replace(before, nominated_devices=None, preferred_schedule=None)
    changes: tuple[Change, ...] = ()
    if after != before:
        changes = (
            ParticipationSaved(after, PreferenceEvent.PREFERENCES_DELETED),
            NominationsReplaced(case.body.campaign_id, case.user.eui, ()),
        )
    body = PilotPreferencesDeleted(campaign_id=case.body.campaign_id, request_id=case.request_id)
    return Decision(ResponseCode.I99, None, changes, (Alert(recipient=case.user.eui, body=body),))
