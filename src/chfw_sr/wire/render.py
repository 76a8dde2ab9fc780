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
    limit = "" if value.max_devices is None else f"<sr:MaxDevices>{value.max_devices}</sr:MaxDevices>"
    return (
        f"<sr:Window><sr:WindowID>{value.window_id}</sr:WindowID>"
        f"{period_content(value.start, value.end)}{limit}</sr:Window>"
    )


def period_content(start: datetime, end: datetime) -> str:
    """Write StartDateTime and EndDateTime."""
    first, last = instant_text(start), instant_text(end)
    return f"<sr:StartDateTime>{first}</sr:StartDateTime><sr:EndDateTime>{last}</sr:EndDateTime>"


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
    return (
        f"<sr:CampaignStatus><sr:CampaignID>{value.campaign_id}</sr:CampaignID><sr:Stage>{value.stage}</sr:Stage>"
        f"<sr:FirmwareVersion>{text(value.firmware_version)}</sr:FirmwareVersion>"
        f"<sr:AsOf>{instant_text(value.as_of)}</sr:AsOf>{_counts('Pilot', value.pilot)}"
        f"{'' if value.safe_launch is None else _counts('SafeLaunch', value.safe_launch)}</sr:CampaignStatus>"
    )


def _counts(name: str, value: PhaseCounts) -> str:
    return (
        f"<sr:{name}><sr:Devices>{value.devices}</sr:Devices><sr:Scheduled>{value.scheduled}</sr:Scheduled>"
        f"<sr:Activated>{value.activated}</sr:Activated><sr:Failed>{value.failed}</sr:Failed>"
        f"<sr:Pending>{value.pending}</sr:Pending></sr:{name}>"
    )
