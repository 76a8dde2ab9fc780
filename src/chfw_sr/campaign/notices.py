"""The alerts that more than one decision sends (wire contract §5)."""

from collections.abc import Iterable

from chfw_sr.messages import (
    EUI,
    SRV,
    Alert,
    CampaignStageChanged,
    Phase,
    RequestID,
    ResponseCode,
    ServiceRequestCompleted,
    unchecked,
)

from .model import Campaign

_new_alert = unchecked(Alert)
_new_completion = unchecked(ServiceRequestCompleted)

PHASE_NAMES = {Phase.PILOT: "Pilot", Phase.SAFE_LAUNCH: "Safe Launch"}
"""The phases as they are called in sentences."""


def all_reported(phase: Phase) -> str:
    """Say that no hub of a phase is silent any more."""
    return f"Every hub of the {PHASE_NAMES[phase]} has reported."


def recipients(suppliers: Iterable[EUI], operators: Iterable[EUI]) -> tuple[EUI, ...]:
    """Put Suppliers in order of EUI, then operators in theirs; nobody twice."""
    return tuple(dict.fromkeys((*sorted(suppliers), *operators)))


def stage_changed(
    before: Campaign, after: Campaign, reason: str, suppliers: Iterable[EUI], operators: Iterable[EUI]
) -> tuple[Alert, ...]:
    """Tell each Supplier with a part in the campaign, then each operator, that its stage changed (N906)."""
    body = CampaignStageChanged(campaign_id=after.campaign_id, previous=before.stage, stage=after.stage, reason=reason)
    return tuple(Alert(recipient=each, body=body) for each in recipients(suppliers, operators))


def completed(request_id: RequestID, srv: SRV, code: ResponseCode) -> Alert:
    """Tell the originator that its Service Request was done (N911)."""
    return _new_alert(
        recipient=request_id.originator, body=_new_completion(request_id=request_id, srv=srv, response_code=code)
    )
