"""Octets to Service Responses and DCC Alerts, for those who receive them (wire contract §4 and §5).

`received_response` and `received_alert` read what its signer is known of, as a client does. `read_response` and
`read_alert` read any document, without a look at its signature.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from chfw_sr.messages import (
    ALERTS,
    SRV,
    Alert,
    AnyAlertBody,
    CampaignStageChanged,
    CampaignStatusReport,
    CommsHubFirmwareActivation,
    CommsHubFirmwareActivationFailed,
    Fault,
    FirmwareActivationWarning,
    Payload,
    PilotPlan,
    PilotPlanConfirmed,
    PilotPlanPublished,
    PilotPreferencesAccepted,
    PilotPreferencesDeleted,
    PilotPreferencesPartlyAccepted,
    RequestID,
    ResponseCode,
    ResponseID,
    SafeLaunchPlan,
    SafeLaunchSchedulePublished,
    ServiceRequestCompleted,
    ServiceRequestRejected,
    ServiceResponse,
    Source,
    Stage,
    Throttled,
    parse_device_list,
    parse_eui,
)

from .fields import (
    Fields,
    campaign_id,
    device_list,
    fields,
    instant,
    invalid,
    number,
    optional_schedule,
    optional_text,
    schedule,
    status,
    text,
    token,
    warning,
)
from .namespaces import RESPONSE, SR, Element
from .parse import Limits, parse
from .schema import Schemas, Valid
from .signature import Verified

REPLY_LIMITS: Final = Limits(max_octets=16 * 1024 * 1024)  # a PilotPlan may hold three lists of 50,000
"""What a Service Response or an alert may cost."""

_SRVS: Final = frozenset(SRV)


def read_response(octets: bytes, schemas: Schemas | None = None, limits: Limits = REPLY_LIMITS) -> ServiceResponse:
    """Read a Service Response.

    Args:
        octets: the document.
        schemas: the schemas that came with the package if absent.
        limits: what the document may cost.

    Raises:
        Rejected: `E900` or `E901`, if it is none.

    Source: wire contract §4.
    """
    return _response((schemas or Schemas.load()).validate(parse(octets, limits)))


def received_response(verified: Verified) -> ServiceResponse:
    """Read a Service Response that its signer is known of.

    Args:
        verified: the document that the DCC signed.

    Raises:
        Rejected: `E901`, if it is none.

    Source: wire contract §4.
    """
    return _response(verified.valid)


def _response(valid: Valid) -> ServiceResponse:
    header, message = _opened(valid, "ResponseMessage")
    if "RequestID" not in header:
        raise invalid(message, "a Service Response's header has no RequestID")
    request_id = RequestID.parse(text(header["RequestID"]))
    if ResponseID.parse(text(header["ResponseID"])) != request_id.response_id():
        raise invalid(header["ResponseID"], f"the ResponseID is not {request_id.response_id()}, as the RequestID wants")
    found = fields(message)
    last = message[-1] if len(message) else None
    payload = None if last is None else _PAYLOADS.get(str(last.tag))
    return ServiceResponse(
        request_id=request_id,
        code=_code(header),
        at=instant(header["ResponseDateTime"]),
        srv=_srv(found),
        payload=None if payload is None or last is None else payload(last),
    )


def read_alert(
    octets: bytes, schemas: Schemas | None = None, limits: Limits = REPLY_LIMITS
) -> tuple[Alert, ResponseID, datetime]:
    """Read a DCC Alert.

    Args:
        octets: the document.
        schemas: the schemas that came with the package if absent.
        limits: what the document may cost.

    Returns:
        The alert for the User that its ResponseID names, its ResponseID and its ResponseDateTime.

    Raises:
        Rejected: `E900` or `E901`, if it is none.

    Source: wire contract §5.
    """
    return _alert((schemas or Schemas.load()).validate(parse(octets, limits)))


def received_alert(verified: Verified) -> tuple[Alert, ResponseID, datetime]:
    """Read a DCC Alert that its signer is known of.

    Args:
        verified: the document that the DCC signed.

    Returns:
        As `read_alert`.

    Raises:
        Rejected: `E901`, if it is none.

    Source: wire contract §5.
    """
    return _alert(verified.valid)


def _alert(valid: Valid) -> tuple[Alert, ResponseID, datetime]:
    header, message = _opened(valid, "DCCAlertMessage")
    if "RequestID" in header:
        raise invalid(header["RequestID"], "an alert's header has no RequestID")
    if _code(header) is not ResponseCode.I0:
        raise invalid(header["ResponseCode"], "an alert's ResponseCode is I0")
    body = _ALERTS[str(message[-1][0].tag)](message[-1][0])
    if token(message[0]) != body.code:
        raise invalid(message[0], f"the DCCAlertCode is {token(message[0])}; the alert is {body.code}'s")
    response_id = ResponseID.parse(text(header["ResponseID"]))
    alert = Alert(recipient=response_id.target, body=body, throttled=_throttled(message))
    return alert, response_id, instant(header["ResponseDateTime"])


def _throttled(message: Element) -> Throttled | None:
    found = fields(message)
    sequence_id, count = found.get("ThrottledAlertSequenceId"), found.get("ThrottledAlertCount")
    if sequence_id is None and count is None:
        return None
    if sequence_id is None or count is None:
        raise invalid(message, "ThrottledAlertSequenceId and ThrottledAlertCount go together")
    return Throttled(sequence_id=number(sequence_id), count=number(count))


def _opened(valid: Valid, kind: str) -> tuple[Fields, Element]:
    """Give the header's fields and the message of a reply of this kind."""
    root = valid.parsed.root
    if root.tag != RESPONSE:
        raise invalid(root, "the root is sr:Request; sr:Response is expected")
    message = root[1][0]
    if message.tag != f"{{{SR}}}{kind}":
        raise invalid(message, f"sr:{kind} is expected")
    return fields(root[0]), message


def _code(found: Fields) -> ResponseCode:
    try:
        return ResponseCode(token(found["ResponseCode"]))
    except ValueError:
        raise invalid(found["ResponseCode"], f"unknown response code {token(found['ResponseCode'])}") from None


def _srv(found: Fields) -> SRV | str | None:
    if "ServiceReferenceVariant" not in found:
        return None
    srv = token(found["ServiceReferenceVariant"])
    return SRV(srv) if srv in _SRVS else srv


def _offered(found: Fields) -> SRV:
    srv = _srv(found)
    if not isinstance(srv, SRV):
        raise invalid(found["ServiceReferenceVariant"], f"{srv} is not offered here")
    return srv


def _request_id(found: Fields) -> RequestID:
    return RequestID.parse(text(found["ServiceRequestID"]))


def _pilot_plan(element: Element) -> PilotPlan:
    found = fields(element)
    return PilotPlan(
        campaign_id=campaign_id(found),
        stage=Stage(token(found["Stage"])),
        firmware_version=text(found["FirmwareVersion"]),
        response_deadline=instant(found["ResponseDeadline"]),
        default_list=device_list(found, "DefaultPilotList"),
        default_schedule=schedule(found["DefaultPilotSchedule"]),
        preferred_list=device_list(found, "PreferredPilotList"),
        preferred_schedule=optional_schedule(found, "PreferredPilotSchedule"),
        confirmed_list=device_list(found, "ConfirmedPilotList"),
        confirmed_schedule=optional_schedule(found, "ConfirmedPilotSchedule"),
    )


def _safe_launch_plan(element: Element) -> SafeLaunchPlan:
    found = fields(element)
    return SafeLaunchPlan(
        campaign_id=campaign_id(found),
        schedule=schedule(found["SafeLaunchSchedule"]),
        devices=device_list(found, "DeviceIDList"),
    )


def _activation_warning(element: Element) -> FirmwareActivationWarning:
    return FirmwareActivationWarning(invalid=parse_device_list(text(element[0])))


def _fault(element: Element) -> Fault:
    found = fields(element)
    return Fault(
        reason=text(found["Reason"]),
        path=optional_text(found, "Path"),
        line=number(found["Line"]) if "Line" in found else None,
    )


_PAYLOADS: Final[dict[str, Callable[[Element], Payload]]] = {
    f"{{{SR}}}PilotPlan": _pilot_plan,
    f"{{{SR}}}SafeLaunchPlan": _safe_launch_plan,
    f"{{{SR}}}CampaignStatus": status,
    f"{{{SR}}}PilotPreferencesWarning": warning,
    f"{{{SR}}}FirmwareActivationWarning": _activation_warning,
    f"{{{SR}}}Fault": _fault,
}


def _activated(element: Element) -> AnyAlertBody:
    device, version = element
    return CommsHubFirmwareActivation(device_id=parse_eui(token(device)), firmware_version=text(version))


def _plan_published(element: Element) -> AnyAlertBody:
    found = fields(element)
    return PilotPlanPublished(
        campaign_id=campaign_id(found),
        firmware_version=text(found["FirmwareVersion"]),
        manufacturer=text(found["DeviceManufacturer"]),
        model=text(found["DeviceModel"]),
        response_deadline=instant(found["ResponseDeadline"]),
        default_list=parse_device_list(text(found["DefaultPilotList"])),
        default_schedule=schedule(found["DefaultPilotSchedule"]),
    )


def _accepted(element: Element) -> AnyAlertBody:
    found = fields(element)
    return PilotPreferencesAccepted(
        campaign_id=campaign_id(found),
        request_id=_request_id(found),
        accepted=number(found["AcceptedDevices"]),
        refused=number(found["RefusedDevices"]),
    )


def _partly_accepted(element: Element) -> AnyAlertBody:
    found = fields(element)
    return PilotPreferencesPartlyAccepted(
        campaign_id=campaign_id(found),
        request_id=_request_id(found),
        accepted=number(found["AcceptedDevices"]),
        refused=number(found["RefusedDevices"]),
        warning=warning(found["PilotPreferencesWarning"]),
    )


def _rejected(element: Element) -> AnyAlertBody:
    found = fields(element)
    return ServiceRequestRejected(
        request_id=_request_id(found), srv=_srv(found), response_code=_code(found), reason=text(found["Reason"])
    )


def _confirmed(element: Element) -> AnyAlertBody:
    found = fields(element)
    return PilotPlanConfirmed(
        campaign_id=campaign_id(found),
        pilot_list=parse_device_list(text(found["PilotList"])),
        schedule=schedule(found["PilotSchedule"]),
        list_source=Source(token(found["ListSource"])),
        schedule_source=Source(token(found["ScheduleSource"])),
    )


def _stage_changed(element: Element) -> AnyAlertBody:
    found = fields(element)
    return CampaignStageChanged(
        campaign_id=campaign_id(found),
        previous=Stage(token(found["PreviousStage"])),
        stage=Stage(token(found["Stage"])),
        reason=optional_text(found, "Reason"),
    )


def _safe_launch_published(element: Element) -> AnyAlertBody:
    found = fields(element)
    return SafeLaunchSchedulePublished(
        campaign_id=campaign_id(found),
        firmware_version=text(found["FirmwareVersion"]),
        schedule=schedule(found["SafeLaunchSchedule"]),
        device_count=number(found["DeviceCount"]),
    )


def _failed(element: Element) -> AnyAlertBody:
    found = fields(element)
    return CommsHubFirmwareActivationFailed(
        campaign_id=campaign_id(found) if "CampaignID" in found else None,
        device_id=parse_eui(token(found["DeviceID"])),
        firmware_version=text(found["FirmwareVersion"]),
        failure_reason=optional_text(found, "FailureReason"),
    )


def _status_report(element: Element) -> AnyAlertBody:
    return CampaignStatusReport(status=status(element))


def _deleted(element: Element) -> AnyAlertBody:
    found = fields(element)
    return PilotPreferencesDeleted(campaign_id=campaign_id(found), request_id=_request_id(found))


def _completed(element: Element) -> AnyAlertBody:
    found = fields(element)
    return ServiceRequestCompleted(request_id=_request_id(found), srv=_offered(found), response_code=_code(found))


_READERS: Final[dict[str, Callable[[Element], AnyAlertBody]]] = {
    "CommsHubFirmwareActivation": _activated,
    "PilotPlanPublished": _plan_published,
    "PilotPreferencesAccepted": _accepted,
    "PilotPreferencesPartlyAccepted": _partly_accepted,
    "ServiceRequestRejected": _rejected,
    "PilotPlanConfirmed": _confirmed,
    "CampaignStageChanged": _stage_changed,
    "SafeLaunchSchedulePublished": _safe_launch_published,
    "CommsHubFirmwareActivationFailed": _failed,
    "CampaignStatus": _status_report,
    "PilotPreferencesDeleted": _deleted,
    "ServiceRequestCompleted": _completed,
}
_ALERTS: Final = {f"{{{SR}}}{entry.element}": _READERS[entry.element] for entry in ALERTS.values()}
