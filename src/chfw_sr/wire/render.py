"""Values as canonical XML: the parts that requests, responses and alerts share.

Everything here is text that is canonical already: no blank between elements, no empty-element tags, `>` and carriage
returns escaped. A test holds it equal to what a general canonicaliser gives.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from chfw_sr.messages import EUI, CampaignStatus, Period, PhaseCounts, PilotPreferencesWarning, Window, instant_text

_SPECIAL = re.compile("[^\t\n\x20-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"}


def text(value: str) -> str:
    """Escape a text; what XML cannot carry (control characters, lone surrogates) becomes U+FFFD.

    Args:
        value: any text.
    """
    return _SPECIAL.sub(_escape, value) if _SPECIAL.search(value) else value


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0], "\N{REPLACEMENT CHARACTER}")


def element(name: str, value: str) -> str:
    """Write an element; the value is markup or escaped text already."""
    return f"<sr:{name}>{value}</sr:{name}>"


def optional(name: str, value: str | None) -> str:
    """Write an element, or nothing if there is no value; any text is escaped."""
    return "" if value is None else element(name, text(value))


def devices(name: str, value: Sequence[EUI] | None) -> str:
    """Write a DeviceIDList, or nothing if the list is empty or absent."""
    return element(name, ",".join(value)) if value else ""


def schedule(name: str, value: Sequence[Window] | None) -> str:
    """Write a PilotSchedule, or nothing if it is absent."""
    return element(name, "".join(map(_window, value))) if value else ""


def _window(value: Window) -> str:
    limit = "" if value.max_devices is None else element("MaxDevices", str(value.max_devices))
    return element("Window", element("WindowID", str(value.window_id)) + period_content(value.start, value.end) + limit)


def period_content(start: datetime, end: datetime) -> str:
    """Write StartDateTime and EndDateTime."""
    return element("StartDateTime", instant_text(start)) + element("EndDateTime", instant_text(end))


def period(name: str, value: Period | None) -> str:
    """Write a Period, or nothing if it is absent."""
    return "" if value is None else element(name, period_content(value.start, value.end))


def warning(value: PilotPreferencesWarning) -> str:
    """Write a PilotPreferencesWarning (wire contract §4); empty lists are left out."""
    return element(
        "PilotPreferencesWarning",
        devices("InvalidDeviceIDList", value.invalid)
        + devices("NotCommissionedDeviceIDList", value.not_commissioned)
        + devices("NotApplicableFirmwareDeviceIDList", value.not_applicable_firmware)
        + devices("OtherRequestInProgressList", value.other_request_in_progress)
        + devices("AlreadyNominatedDeviceIDList", value.already_nominated)
        + devices("DuplicateDeviceIDList", value.duplicate),
    )


def status(value: CampaignStatus) -> str:
    """Write a CampaignStatus (wire contract §5, N909)."""
    return element(
        "CampaignStatus",
        element("CampaignID", value.campaign_id)
        + element("Stage", value.stage)
        + element("FirmwareVersion", text(value.firmware_version))
        + element("AsOf", instant_text(value.as_of))
        + _counts("Pilot", value.pilot)
        + ("" if value.safe_launch is None else _counts("SafeLaunch", value.safe_launch)),
    )


def _counts(name: str, value: PhaseCounts) -> str:
    return element(
        name,
        element("Devices", str(value.devices))
        + element("Scheduled", str(value.scheduled))
        + element("Activated", str(value.activated))
        + element("Failed", str(value.failed))
        + element("Pending", str(value.pending)),
    )
