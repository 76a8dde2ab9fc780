"""The body elements of Service Requests, from values to markup (wire contract §3)."""

from collections.abc import Callable
from typing import Final

from chfw_sr.messages import (
    Activation,
    CreateFirmwareCampaign,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReportFirmwareActivation,
    UpdateCampaignState,
    UpdatePilotPreferences,
    instant_text,
)

from .render import devices, element, optional, period, schedule, text


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
REQUEST_BODIES: Final[dict[type, Callable[..., str]]] = {
    UpdatePilotPreferences: _preferences,
    CreateFirmwareCampaign: _created,
    PublishPilotPlan: _published_plan,
    PublishSafeLaunchSchedule: _published_safe_launch,
    UpdateCampaignState: _updated_state,
    ReportFirmwareActivation: _reported,
}
