"""A verified document to a typed Service Request (wire contract §3), and what XSD 1.0 cannot say of it.

Only the verified tree is read, never a second parse of the octets. For Service Responses and alerts see `replies`.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from chfw_sr.messages import (
    EUI,
    SERVICE_REFERENCES,
    SRV,
    Action,
    Activation,
    ActivationResult,
    Body,
    CreateFirmwareCampaign,
    DeletePilotPreferences,
    DeviceBounds,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReadSafeLaunchSchedule,
    Region,
    ReportFirmwareActivation,
    RequestID,
    ServiceRequest,
    UpdateCampaignState,
    UpdatePilotPreferences,
    unchecked,
)

from .fields import (
    Fields,
    campaign_id,
    device_list,
    euis,
    fields,
    instant,
    invalid,
    number,
    optional_schedule,
    parse_instant,
    period,
    schedule,
    text,
    token,
)
from .namespaces import REQUEST, SR, XML_BLANKS, Element
from .replies import read_alert, read_response
from .signature import Verified

__all__ = ["read_alert", "read_request", "read_response"]

_new_request = unchecked(ServiceRequest)
_new_read_plan = unchecked(ReadPilotPlan)
_new_preferences = unchecked(UpdatePilotPreferences)
_new_deletion = unchecked(DeletePilotPreferences)
_new_read_safe_launch = unchecked(ReadSafeLaunchSchedule)
_new_read_status = unchecked(ReadCampaignStatus)
_new_bounds = unchecked(DeviceBounds)
_new_plan = unchecked(PublishPilotPlan)
_new_safe_launch = unchecked(PublishSafeLaunchSchedule)
_new_state = unchecked(UpdateCampaignState)
_new_activation = unchecked(Activation)
_new_report = unchecked(ReportFirmwareActivation)

_SRV_OF: Final = {f"{{{SR}}}{entry.element}": srv for srv, entry in SERVICE_REFERENCES.items()}
_RESULTS: Final = {each.value: each for each in ActivationResult}
_REGION: Final = f"{{{SR}}}CSPRegion"


def read_request(verified: Verified) -> ServiceRequest:
    """Read a Service Request.

    Args:
        verified: the document that its originator signed.

    Raises:
        Rejected: `E901`, with path and line, if it is no request, its numbers do not fit its body, or a FailureReason
            stands with a success.

    Source: wire contract §3.
    """
    root = verified.valid.parsed.root
    if root.tag != REQUEST:
        raise invalid(root, "the root is sr:Response; a Service Request is expected")
    header_element, body_element = root[0], root[1][0]
    header = fields(header_element)
    srv = _SRV_OF[str(body_element.tag)]
    for name in ("ServiceReference", "ServiceReferenceVariant"):
        if token(header[name]) != srv:
            raise invalid(header[name], f"{name} is {token(header[name])}; the body is {srv}'s")
    preceding = header.get("PrecedingServiceRequestID")
    assert isinstance(verified.signed.name, RequestID)  # of a request
    return _new_request(
        request_id=verified.signed.name,
        body=_BODIES[srv](body_element),
        command_variant=number(header["CommandVariant"]),
        first_in_sequence=_flag(header["FirstInSequence"]) if "FirstInSequence" in header else None,
        preceding_request_id=None if preceding is None else RequestID.parse(text(preceding)),
    )


def _flag(element: Element) -> bool:
    return token(element) in {"true", "1"}


def _read_pilot_plan(element: Element) -> Body:
    return _new_read_plan(campaign_id=campaign_id(fields(element)))


def _update_preferences(element: Element) -> Body:
    found = fields(element)
    return _new_preferences(
        campaign_id=campaign_id(found),
        preferred_list=device_list(found, "PreferredPilotList"),
        preferred_schedule=optional_schedule(found, "PreferredPilotSchedule"),
    )


def _delete_preferences(element: Element) -> Body:
    return _new_deletion(campaign_id=campaign_id(fields(element)))


def _read_safe_launch(element: Element) -> Body:
    return _new_read_safe_launch(campaign_id=campaign_id(fields(element)))


def _read_status(element: Element) -> Body:
    return _new_read_status(campaign_id=campaign_id(fields(element)))


def _create_campaign(element: Element) -> Body:
    found = fields(element)
    given: dict[str, object] = {}  # what is absent takes the model's default
    if "MinimumNoticeDays" in found:
        given["minimum_notice_days"] = number(found["MinimumNoticeDays"])
    if "FailureThreshold" in found:
        given["failure_threshold"] = Decimal(token(found["FailureThreshold"]))
    return CreateFirmwareCampaign.model_validate(
        {
            "campaign_id": campaign_id(found),
            "manufacturer": text(found["DeviceManufacturer"]),
            "model": text(found["DeviceModel"]),
            "firmware_version": text(found["FirmwareVersion"]),
            "regions": tuple(Region(token(region)) for region in element.iterchildren(_REGION)),
            "pilot_period": period(found["PilotPeriod"]),
            "safe_launch_period": period(found["SafeLaunchPeriod"]) if "SafeLaunchPeriod" in found else None,
            "pilot_devices": _bounds(found),
            **given,
        }
    )


def _bounds(found: Fields) -> DeviceBounds | None:
    if "PilotDevicesPerSupplier" not in found:
        return None
    minimum, maximum = map(number, found["PilotDevicesPerSupplier"])
    return _new_bounds(minimum=minimum, maximum=maximum)


def _publish_plan(element: Element) -> Body:
    found = fields(element)
    return _new_plan(
        campaign_id=campaign_id(found),
        response_deadline=instant(found["ResponseDeadline"]),
        default_schedule=schedule(found["DefaultPilotSchedule"]),
        default_list=euis(found["DefaultPilotList"]),
    )


def _publish_safe_launch(element: Element) -> Body:
    found = fields(element)
    return _new_safe_launch(campaign_id=campaign_id(found), schedule=schedule(found["SafeLaunchSchedule"]))


def _update_state(element: Element) -> Body:
    found = fields(element)
    return _new_state(
        campaign_id=campaign_id(found), action=Action(token(found["Action"])), reason=text(found["Reason"])
    )


def _activation(element: Element) -> Activation:
    # A report may have 10,000 of these: their texts are taken in one go.
    device, version, at, result, *reasons = [child.text or "" for child in element]
    outcome = _RESULTS[result.strip(XML_BLANKS)]
    if reasons and outcome is not ActivationResult.FAILURE:
        raise invalid(element[-1], "a FailureReason stands with a Failure only")
    return _new_activation(
        device_id=EUI(device.strip(XML_BLANKS).upper()),
        firmware_version=version,
        at=parse_instant(at.strip(XML_BLANKS)),
        result=outcome,
        failure_reason=reasons[0] if reasons else None,
    )


def _report_activation(element: Element) -> Body:
    return _new_report(activations=tuple(map(_activation, element)))


_BODIES: Final[dict[SRV, Callable[[Element], Body]]] = {
    SRV.READ_PILOT_PLAN: _read_pilot_plan,
    SRV.UPDATE_PILOT_PREFERENCES: _update_preferences,
    SRV.DELETE_PILOT_PREFERENCES: _delete_preferences,
    SRV.READ_SAFE_LAUNCH_SCHEDULE: _read_safe_launch,
    SRV.READ_CAMPAIGN_STATUS: _read_status,
    SRV.CREATE_FIRMWARE_CAMPAIGN: _create_campaign,
    SRV.PUBLISH_PILOT_PLAN: _publish_plan,
    SRV.PUBLISH_SAFE_LAUNCH_SCHEDULE: _publish_safe_launch,
    SRV.UPDATE_CAMPAIGN_STATE: _update_state,
    SRV.REPORT_FIRMWARE_ACTIVATION: _report_activation,
}
