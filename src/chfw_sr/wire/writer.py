"""Messages to octets: requests, responses and alerts in canonical form, signed (wire contract §3 to §5)."""

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from chfw_sr.messages import (
    EUI,
    SERVICE_REFERENCES,
    Alert,
    CampaignRequest,
    CampaignStatus,
    Fault,
    FirmwareActivationWarning,
    Payload,
    PilotPlan,
    PilotPreferencesWarning,
    ResponseID,
    SafeLaunchPlan,
    ServiceRequest,
    ServiceResponse,
    Throttled,
    instant_text,
)

from .alert_bodies import ALERT_BODIES
from .namespaces import SCHEMA_VERSION, SR
from .render import devices, element, optional, schedule, status, text, warning
from .request_bodies import REQUEST_BODIES
from .signer import Signer

_ROOT: Final = f' xmlns:sr="{SR}" schemaVersion="{SCHEMA_VERSION}"><sr:Header>'
_REQUEST: Final = f"<sr:Request{_ROOT}"
_RESPONSE: Final = f"<sr:Response{_ROOT}"
_ALERT: Final = f"{_RESPONSE}<sr:ResponseID>"
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
    return signer.envelop(f"{_ALERT}{response_id}{_moment(at)}{_alert_message(alert)}".encode())


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
    moment = _moment(at)
    written: list[tuple[str, bytes]] = []
    for first in range(0, len(numbered), _TOGETHER):
        some = numbered[first : first + _TOGETHER]
        names = [f"{originator}:{alert.recipient}:{counter}" for counter, alert in some]
        unsigned: list[bytes] = []
        last, message = None, ""
        for (_, alert), name in zip(some, names, strict=True):
            if last is None or alert.body is not last.body or alert.throttled is not last.throttled:
                last, message = alert, _alert_message(alert)
            unsigned.append(f"{_ALERT}{name}{moment}{message}".encode())
        written += zip(names, signer.envelop_all(unsigned), strict=True)
    return written


def _moment(at: datetime) -> str:
    """Write what stands between an alert's ResponseID and its message."""
    return (
        "</sr:ResponseID><sr:ResponseCode>I0</sr:ResponseCode>"
        f"<sr:ResponseDateTime>{instant_text(at)}</sr:ResponseDateTime></sr:Header><sr:Body>"
    )


def _alert_message(alert: Alert) -> str:
    """Write an alert from its message on: the same for everybody who is told the same."""
    body, throttled = alert.body, alert.throttled
    return (
        f"<sr:DCCAlertMessage><sr:DCCAlertCode>{body.code}</sr:DCCAlertCode>"
        f"{'' if throttled is None else _throttled(throttled)}"
        f"<sr:DCCAlert>{ALERT_BODIES[type(body)](body)}</sr:DCCAlert>"
        "</sr:DCCAlertMessage></sr:Body></sr:Response>"
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
    rest = REQUEST_BODIES[type(body)](body) if type(body) in REQUEST_BODIES else ""
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
