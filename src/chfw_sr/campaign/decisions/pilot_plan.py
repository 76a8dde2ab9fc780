"""11.21 Publish Pilot Plan (wire contract §3): the default list is divided among the lead Suppliers of its hubs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from chfw_sr.campaign.allotment import capacity, holds
from chfw_sr.campaign.changes import (
    CampaignEvent,
    CampaignSaved,
    DefaultListSet,
    ParticipationSaved,
    PreferenceEvent,
)
from chfw_sr.campaign.decision import Decision
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Campaign, Hub, Participation
from chfw_sr.campaign.notices import completed, stage_changed
from chfw_sr.campaign.schedules import in_text, schedule_fault
from chfw_sr.campaign.transitions import Event, advance
from chfw_sr.messages import (
    EUI,
    Alert,
    HubStatus,
    PilotPlanPublished,
    PublishPilotPlan,
    Rejected,
    ResponseCode,
)

from .case import Case, named, permit

_PUBLISHED = "The Pilot Plan was published."


def needs(user: EUI, body: PublishPilotPlan) -> Needs:
    """11.21 needs the hubs of the default list."""
    return Needs(user=user, campaign=body.campaign_id, hubs=tuple(dict.fromkeys(body.default_list)))


def decide(case: Case[PublishPilotPlan]) -> Decision:
    """Publish a plan: `Draft` to `PilotConsultation`.

    Raises:
        Rejected: `E112101` for an unknown campaign, `E112102` if it is not in `Draft`; for hubs of the list `E19`
            unknown, `E5` not commissioned, `E11` not fit for the firmware, `E112103` repeated, without a Supplier or in
            another live campaign; `E112104` for a part outside the campaign's bounds, `E112105` for an invalid
            schedule, `E112106` if it cannot hold a part, `E112107` for a deadline that does not fit.

    Source: wire contract §3 and §5 (N901).
    """
    body = case.body
    found = case.campaign(body.campaign_id, ResponseCode.E112101)
    before = found.campaign
    permit(before, Event.PUBLISH_PILOT_PLAN, ResponseCode.E112102)
    parts = _divide(_hubs(body.default_list, case.facts.hubs, before))
    _check_plan(case, before, parts)
    after = replace(
        advance(before, Event.PUBLISH_PILOT_PLAN, case.now, case.policy),
        response_deadline=body.response_deadline,
        default_schedule=body.default_schedule,
    )
    return Decision(
        code=ResponseCode.I99,
        changes=(
            CampaignSaved(after, CampaignEvent.STAGE_CHANGED, _PUBLISHED),
            *(
                ParticipationSaved(
                    Participation(after.campaign_id, supplier, default_devices=len(part)), PreferenceEvent.INVITED
                )
                for supplier, part in parts.items()
            ),
            DefaultListSet(after.campaign_id, parts),
        ),
        alerts=(
            *_invitations(case, after, parts),
            *stage_changed(before, after, _PUBLISHED, parts, case.facts.operators),
            completed(case.request_id, body.srv, ResponseCode.I99),
        ),
    )


def _hubs(listed: Sequence[EUI], known: Mapping[EUI, Hub], campaign: Campaign) -> list[Hub]:
    """Find the hubs of the list, or refuse it whole for the first kind of fault that any of them has."""
    unknown = [eui for eui in dict.fromkeys(listed) if eui not in known]
    _refuse(unknown, ResponseCode.E19, "not in the inventory")
    hubs = [known[eui] for eui in dict.fromkeys(listed)]
    for code, fault, faulty in _faults(hubs, campaign):
        _refuse(faulty, code, fault)
    repeated = [eui for eui, times in Counter(listed).items() if times > 1]
    _refuse(repeated, ResponseCode.E112103, "named more than once")
    return hubs


def _faults(hubs: Sequence[Hub], campaign: Campaign) -> Iterator[tuple[ResponseCode, str, list[EUI]]]:
    yield (
        ResponseCode.E5,
        "not commissioned",
        [hub.eui for hub in hubs if hub.status is not HubStatus.COMMISSIONED],
    )
    yield (
        ResponseCode.E11,
        "of another model or region, or running the version already",
        [hub.eui for hub in hubs if not campaign.fits(hub)],
    )
    yield ResponseCode.E112103, "without a Supplier", [hub.eui for hub in hubs if hub.lead_supplier is None]
    yield ResponseCode.E112103, "in another live campaign", [hub.eui for hub in hubs if hub.membership is not None]


def _refuse(faulty: Sequence[EUI], code: ResponseCode, fault: str) -> None:
    if faulty:
        raise Rejected(code, f"The DefaultPilotList names {named(faulty)}: {fault}.")


def _divide(hubs: Sequence[Hub]) -> dict[EUI, tuple[EUI, ...]]:
    """Give each lead Supplier its hubs, in list order; Suppliers in order of EUI."""
    parts: dict[EUI, list[EUI]] = {}
    for hub in hubs:
        assert hub.lead_supplier is not None  # such hubs were refused
        parts.setdefault(hub.lead_supplier, []).append(hub.eui)
    return {supplier: tuple(parts[supplier]) for supplier in sorted(parts)}


def _check_plan(case: Case[PublishPilotPlan], campaign: Campaign, parts: Mapping[EUI, Sequence[EUI]]) -> None:
    body, bounds = case.body, campaign.pilot_devices
    schedule, deadline = body.default_schedule, body.response_deadline
    for supplier, part in parts.items():
        if bounds is not None and not bounds.minimum <= len(part) <= bounds.maximum:
            raise Rejected(
                ResponseCode.E112104,
                f"The DefaultPilotList names {len(part)} hubs of Supplier {supplier};"
                f" the campaign takes {bounds.minimum} to {bounds.maximum} of a Supplier.",
            )
    fault = schedule_fault(schedule, campaign.pilot_period, case.now, campaign.minimum_notice_days)
    if fault is not None:
        raise Rejected(ResponseCode.E112105, fault)
    for supplier, part in parts.items():
        if not holds(schedule, len(part)):
            raise Rejected(
                ResponseCode.E112106,
                f"The DefaultPilotSchedule holds {capacity(schedule)} hubs,"
                f" and the list names {len(part)} of Supplier {supplier}.",
            )
    if deadline <= case.now:
        raise Rejected(ResponseCode.E112107, f"The ResponseDeadline, {in_text(deadline)}, is not in the future.")
    first = min(schedule, key=lambda each: each.start)
    if deadline > first.start:
        raise Rejected(
            ResponseCode.E112107,
            f"The ResponseDeadline, {in_text(deadline)}, lies after the start of window {first.window_id}.",
        )


def _invitations(
    case: Case[PublishPilotPlan], campaign: Campaign, parts: Mapping[EUI, tuple[EUI, ...]]
) -> Iterator[Alert]:
    for supplier, part in parts.items():
        body = PilotPlanPublished(
            campaign_id=campaign.campaign_id,
            firmware_version=campaign.firmware_version,
            manufacturer=campaign.manufacturer,
            model=campaign.model,
            response_deadline=case.body.response_deadline,
            default_list=part,
            default_schedule=case.body.default_schedule,
        )
        yield Alert(recipient=supplier, body=body)
