"""Messages to octets: requests, responses and alerts in canonical form, signed (wire contract §3 to §5)."""

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from chfw_sr.messages import (
    ALERTS,
    EUI,
    SERVICE_REFERENCES,
    Activation,
    Alert,
    AlertBody,
    CampaignRequest,
    CampaignStageChanged,
    CampaignStatus,
    CampaignStatusReport,
    CommsHubFirmwareActivation,
    CommsHubFirmwareActivationFailed,
    CreateFirmwareCampaign,
    Fault,
    FirmwareActivationWarning,
    Payload,
    PilotPlan,
    PilotPlanConfirmed,
    PilotPlanPublished,
    PilotPreferencesAccepted,
    PilotPreferencesDeleted,
    PilotPreferencesPartlyAccepted,
    PilotPreferencesWarning,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReportFirmwareActivation,
    ResponseID,
    SafeLaunchPlan,
    SafeLaunchSchedulePublished,
    ServiceRequest,
    ServiceRequestCompleted,
    ServiceRequestRejected,
    ServiceResponse,
    Throttled,
    UpdateCampaignState,
    UpdatePilotPreferences,
    instant_text,
)

from .namespaces import SCHEMA_VERSION, SR
from .render import devices, element, optional, period, schedule, status, text, warning
from .signer import Signer

_ROOT: Final = f' xmlns:sr="{SR}" schemaVersion="{SCHEMA_VERSION}"><sr:Header>'
_REQUEST: Final = f"<sr:Request{_ROOT}"
_RESPONSE: Final = f"<sr:Response{_ROOT}"
_TOGETHER: Final = 128  # alerts that are signed in a row: enough to gain by it, few enough to stay in the caches


def write_alert(alert: Alert, response_id: ResponseID, at: datetime, signer: Signer) -> bytes:
    """Write and sign a DCC Alert.

    Args:
        alert: what it says.
        response_id: its name.
        at: its ResponseDateTime; aware.
        signer: the DCC's key.

    Returns:
        The document in canonical form.

    Source: wire contract §5.
    """
    return signer.envelop(_unsigned_alert(alert, str(response_id), instant_text(at)))


def write_alerts(
    numbered: Sequence[tuple[int, Alert]], originator: EUI, at: datetime, signer: Signer
) -> list[tuple[str, bytes]]:
    """Write and sign many DCC Alerts of one moment, as `write_alert` does each, in three quarters of the time.

    Args:
        numbered: what they say, each with the counter of its ResponseID.
        originator: the DCC's EUI.
        at: their ResponseDateTime; aware.
        signer: the DCC's key.

    Returns:
        The ResponseID and the document in canonical form of each, in their order.

    Source: wire contract §1 (ResponseID) and §5.
    """
    moment = instant_text(at)
    written: list[tuple[str, bytes]] = []
    for first in range(0, len(numbered), _TOGETHER):
        some = numbered[first : first + _TOGETHER]
        names = [f"{originator}:{alert.recipient}:{counter}" for counter, alert in some]
        unsigned = [_unsigned_alert(alert, name, moment) for (_, alert), name in zip(some, names, strict=True)]
        written += zip(names, signer.envelop_all(unsigned), strict=True)
    return written


def _unsigned_alert(alert: Alert, response_id: str, moment: str) -> bytes:
    body, throttled = alert.body, alert.throttled
    return (
        f"{_RESPONSE}<sr:ResponseID>{response_id}</sr:ResponseID><sr:ResponseCode>I0</sr:ResponseCode>"
        f"<sr:ResponseDateTime>{moment}</sr:ResponseDateTime></sr:Header><sr:Body><sr:DCCAlertMessage>"
        f"<sr:DCCAlertCode>{body.code}</sr:DCCAlertCode>{'' if throttled is None else _throttled(throttled)}"
        f"<sr:DCCAlert>{_ALERTS[type(body)](body)}</sr:DCCAlert>"
        "</sr:DCCAlertMessage></sr:Body></sr:Response>".encode()
    )


def _throttled(throttled: Throttled) -> str:
    return element("ThrottledAlertSequenceId", str(throttled.sequence_id)) + element(
        "ThrottledAlertCount", str(throttled.count)
    )


def write_response(response: ServiceResponse, signer: Signer) -> bytes:
    """Write and sign a Service Response.

    Args:
        response: what it says.
        signer: the DCC's key.

    Returns:
        The document in canonical form.

    Source: wire contract §4.
    """
    return signer.envelop(_unsigned_response(response))


def write_responses(responses: Sequence[ServiceResponse], signer: Signer) -> list[bytes]:
    """Write and sign many Service Responses, as `write_response` does each, in three quarters of the time.

    Args:
        responses: what they say.
        signer: the DCC's key.

    Returns:
        The documents in canonical form, in their order.

    Source: wire contract §4.
    """
    return signer.envelop_all(list(map(_unsigned_response, responses)))


def _unsigned_response(response: ServiceResponse) -> bytes:
    request_id, payload = response.request_id, response.payload
    return (
        f"{_RESPONSE}<sr:RequestID>{request_id}</sr:RequestID>"
        f"<sr:ResponseID>{request_id.target}:{request_id.originator}:{request_id.counter}</sr:ResponseID>"
        f"<sr:ResponseCode>{response.code}</sr:ResponseCode>"
        f"<sr:ResponseDateTime>{instant_text(response.at)}</sr:ResponseDateTime></sr:Header><sr:Body><sr:ResponseMessage>"
        f"{_references(response.srv)}{'' if payload is None else _PAYLOADS[type(payload)](payload)}"
        "</sr:ResponseMessage></sr:Body></sr:Response>".encode()
    )


def write_request(request: ServiceRequest, signer: Signer | None) -> bytes:
    """Write a Service Request, and sign it unless the signer is None.

    Args:
        request: what it says.
        signer: the originator's key.

    Returns:
        The document in canonical form.

    Source: wire contract §3.
    """
    first, preceding, body = request.first_in_sequence, request.preceding_request_id, request.body
    name = SERVICE_REFERENCES[request.srv].element
    campaign = element("CampaignID", body.campaign_id) if isinstance(body, CampaignRequest) else ""
    rest = _REQUESTS[type(body)](body) if type(body) in _REQUESTS else ""
    unsigned = (
        f"{_REQUEST}<sr:RequestID>{request.request_id}</sr:RequestID>"
        f"{'' if first is None else element('FirstInSequence', 'true' if first else 'false')}"
        f"{'' if preceding is None else element('PrecedingServiceRequestID', str(preceding))}"
        f"<sr:CommandVariant>{request.command_variant}</sr:CommandVariant>{_references(request.srv)}</sr:Header>"
        f"<sr:Body>{element(name, campaign + rest)}</sr:Body></sr:Request>".encode()
    )
    return unsigned if signer is None else signer.envelop(unsigned)


@functools.lru_cache(maxsize=64)
def _references(srv: str | None) -> str:
    """Write ServiceReference and ServiceReferenceVariant: 8.14 and 8.14.3, or for ours 11.6 twice."""
    if srv is None:
        return ""
    return element("ServiceReference", text(".".join(srv.split(".")[:2]))) + element(
        "ServiceReferenceVariant", text(srv)
    )


def _created(body: CreateFirmwareCampaign) -> str:
    bounds = body.pilot_devices
    return (
        element("DeviceManufacturer", text(body.manufacturer))
        + element("DeviceModel", text(body.model))
        + element("FirmwareVersion", text(body.firmware_version))
        + "".join(element("CSPRegion", region) for region in body.regions)
        + period("PilotPeriod", body.pilot_period)
        + period("SafeLaunchPeriod", body.safe_launch_period)
        + element("MinimumNoticeDays", str(body.minimum_notice_days))
        + (
            ""
            if bounds is None
            else element(
                "PilotDevicesPerSupplier",
                element("Minimum", str(bounds.minimum)) + element("Maximum", str(bounds.maximum)),
            )
        )
        + element("FailureThreshold", f"{body.failure_threshold:f}")
    )


def _activation(activation: Activation) -> str:
    return element(
        "Activation",
        element("DeviceID", activation.device_id)
        + element("FirmwareVersion", text(activation.firmware_version))
        + element("ActivationDateTime", instant_text(activation.at))
        + element("Result", activation.result)
        + optional("FailureReason", activation.failure_reason),
    )


def _reported(body: ReportFirmwareActivation) -> str:
    return "".join(map(_activation, body.activations))


def _preferences(body: UpdatePilotPreferences) -> str:
    return devices("PreferredPilotList", body.preferred_list) + schedule(
        "PreferredPilotSchedule", body.preferred_schedule
    )


def _published_plan(body: PublishPilotPlan) -> str:
    return (
        element("ResponseDeadline", instant_text(body.response_deadline))
        + schedule("DefaultPilotSchedule", body.default_schedule)
        + devices("DefaultPilotList", body.default_list)
    )


def _published_safe_launch(body: PublishSafeLaunchSchedule) -> str:
    return schedule("SafeLaunchSchedule", body.schedule)


def _updated_state(body: UpdateCampaignState) -> str:
    return element("Action", body.action) + element("Reason", text(body.reason))


# What stands in each body after its CampaignID; the bodies that are not here hold nothing else.
_REQUESTS: Final[dict[type, Callable[..., str]]] = {
    UpdatePilotPreferences: _preferences,
    CreateFirmwareCampaign: _created,
    PublishPilotPlan: _published_plan,
    PublishSafeLaunchSchedule: _published_safe_launch,
    UpdateCampaignState: _updated_state,
    ReportFirmwareActivation: _reported,
}


def _pilot_plan(plan: PilotPlan) -> str:
    return element(
        "PilotPlan",
        element("CampaignID", plan.campaign_id)
        + element("Stage", plan.stage)
        + element("FirmwareVersion", text(plan.firmware_version))
        + element("ResponseDeadline", instant_text(plan.response_deadline))
        + devices("DefaultPilotList", plan.default_list)
        + schedule("DefaultPilotSchedule", plan.default_schedule)
        + devices("PreferredPilotList", plan.preferred_list)
        + schedule("PreferredPilotSchedule", plan.preferred_schedule)
        + devices("ConfirmedPilotList", plan.confirmed_list)
        + schedule("ConfirmedPilotSchedule", plan.confirmed_schedule),
    )


def _safe_launch_plan(plan: SafeLaunchPlan) -> str:
    return element(
        "SafeLaunchPlan",
        element("CampaignID", plan.campaign_id)
        + schedule("SafeLaunchSchedule", plan.schedule)
        + devices("DeviceIDList", plan.devices),
    )


def _activation_warning(value: FirmwareActivationWarning) -> str:
    return element("FirmwareActivationWarning", devices("InvalidDeviceIDList", value.invalid))


def _fault(fault: Fault) -> str:
    line = None if fault.line is None else str(fault.line)
    return element(
        "Fault", element("Reason", text(fault.reason)) + optional("Path", fault.path) + optional("Line", line)
    )


_PAYLOADS: Final[dict[type[Payload], Callable[..., str]]] = {
    PilotPlan: _pilot_plan,
    SafeLaunchPlan: _safe_launch_plan,
    CampaignStatus: status,
    PilotPreferencesWarning: warning,
    FirmwareActivationWarning: _activation_warning,
    Fault: _fault,
}


def _alert(body: AlertBody, content: str) -> str:
    return element(ALERTS[body.code].element, content)


def _activated(body: CommsHubFirmwareActivation) -> str:
    return _alert(body, element("DeviceID", body.device_id) + element("FirmwareVersion", text(body.firmware_version)))


def _failed(body: CommsHubFirmwareActivationFailed) -> str:
    return _alert(
        body,
        optional("CampaignID", body.campaign_id)
        + element("DeviceID", body.device_id)
        + element("FirmwareVersion", text(body.firmware_version))
        + optional("FailureReason", body.failure_reason),
    )


def _plan_published(body: PilotPlanPublished) -> str:
    return _alert(
        body,
        element("CampaignID", body.campaign_id)
        + element("FirmwareVersion", text(body.firmware_version))
        + element("DeviceManufacturer", text(body.manufacturer))
        + element("DeviceModel", text(body.model))
        + element("ResponseDeadline", instant_text(body.response_deadline))
        + devices("DefaultPilotList", body.default_list)
        + schedule("DefaultPilotSchedule", body.default_schedule),
    )


def _outcome(body: PilotPreferencesAccepted | PilotPreferencesPartlyAccepted) -> str:
    return (
        element("CampaignID", body.campaign_id)
        + element("ServiceRequestID", str(body.request_id))
        + element("AcceptedDevices", str(body.accepted))
        + element("RefusedDevices", str(body.refused))
    )


def _accepted(body: PilotPreferencesAccepted) -> str:
    return _alert(body, _outcome(body))


def _partly_accepted(body: PilotPreferencesPartlyAccepted) -> str:
    return _alert(body, _outcome(body) + warning(body.warning))


def _rejected(body: ServiceRequestRejected) -> str:
    return _alert(
        body,
        element("ServiceRequestID", str(body.request_id))
        + optional("ServiceReferenceVariant", body.srv)
        + element("ResponseCode", body.response_code)
        + element("Reason", text(body.reason)),
    )


def _confirmed(body: PilotPlanConfirmed) -> str:
    return _alert(
        body,
        element("CampaignID", body.campaign_id)
        + devices("PilotList", body.pilot_list)
        + schedule("PilotSchedule", body.schedule)
        + element("ListSource", body.list_source)
        + element("ScheduleSource", body.schedule_source),
    )


def _stage_changed(body: CampaignStageChanged) -> str:
    return _alert(
        body,
        element("CampaignID", body.campaign_id)
        + element("PreviousStage", body.previous)
        + element("Stage", body.stage)
        + optional("Reason", body.reason),
    )


def _safe_launch_published(body: SafeLaunchSchedulePublished) -> str:
    return _alert(
        body,
        element("CampaignID", body.campaign_id)
        + element("FirmwareVersion", text(body.firmware_version))
        + schedule("SafeLaunchSchedule", body.schedule)
        + element("DeviceCount", str(body.device_count)),
    )


def _status_report(body: CampaignStatusReport) -> str:
    return status(body.status)


def _deleted(body: PilotPreferencesDeleted) -> str:
    return _alert(body, element("CampaignID", body.campaign_id) + element("ServiceRequestID", str(body.request_id)))


def _completed(body: ServiceRequestCompleted) -> str:
    return _alert(
        body,
        element("ServiceRequestID", str(body.request_id))
        + element("ServiceReferenceVariant", body.srv)
        + element("ResponseCode", body.response_code),
    )


_ALERTS: Final[dict[type[AlertBody], Callable[..., str]]] = {
    CommsHubFirmwareActivation: _activated,
    PilotPlanPublished: _plan_published,
    PilotPreferencesAccepted: _accepted,
    PilotPreferencesPartlyAccepted: _partly_accepted,
    ServiceRequestRejected: _rejected,
    PilotPlanConfirmed: _confirmed,
    CampaignStageChanged: _stage_changed,
    SafeLaunchSchedulePublished: _safe_launch_published,
    CommsHubFirmwareActivationFailed: _failed,
    CampaignStatusReport: _status_report,
    PilotPreferencesDeleted: _deleted,
    ServiceRequestCompleted: _completed,
}
