"""The elements that `sr:DCCAlert` holds, from values to markup (wire contract §5)."""

from collections.abc import Callable
from typing import Final

from chfw_sr.messages import (
    ALERTS,
    AlertBody,
    AlertCode,
    CampaignStageChanged,
    CampaignStatusReport,
    CommsHubFirmwareActivation,
    CommsHubFirmwareActivationFailed,
    PilotPlanConfirmed,
    PilotPlanPublished,
    PilotPreferencesAccepted,
    PilotPreferencesDeleted,
    PilotPreferencesPartlyAccepted,
    SafeLaunchSchedulePublished,
    ServiceRequestCompleted,
    ServiceRequestRejected,
    instant_text,
)

from .render import devices, element, optional, schedule, status, text, warning

# There are 20,000 of these of a report; all others go through `_alert`.
_ACTIVATED: Final = f"<sr:{ALERTS[AlertCode.N64].element}>"
_END_ACTIVATED: Final = f"</sr:{ALERTS[AlertCode.N64].element}>"


def _alert(body: AlertBody, content: str) -> str:
    return element(ALERTS[body.code].element, content)


def _activated(body: CommsHubFirmwareActivation) -> str:
    return (
        f"{_ACTIVATED}<sr:DeviceID>{body.device_id}</sr:DeviceID>"
        f"<sr:FirmwareVersion>{text(body.firmware_version)}</sr:FirmwareVersion>{_END_ACTIVATED}"
    )


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
        f"<sr:CampaignID>{body.campaign_id}</sr:CampaignID><sr:ServiceRequestID>{body.request_id}</sr:ServiceRequestID>"
        f"<sr:AcceptedDevices>{body.accepted}</sr:AcceptedDevices><sr:RefusedDevices>{body.refused}</sr:RefusedDevices>"
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


ALERT_BODIES: Final[dict[type[AlertBody], Callable[..., str]]] = {
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
