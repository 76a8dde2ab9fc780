"""Elements of a schema-valid document to the values that requests, responses and alerts share.

The schema has checked every form before: these functions rely on it, make values that are not checked again, and give
`Rejected` only for what XSD 1.0 cannot say. A test holds that the messages' own checks accept whatever is read.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from chfw_sr.messages import (
    EUI,
    CampaignID,
    CampaignStatus,
    Period,
    PhaseCounts,
    PilotPreferencesWarning,
    Rejected,
    ResponseCode,
    Stage,
    Window,
    unchecked,
)

from .namespaces import SR, XML_BLANKS, Element, line_of, path_of

_LOCAL = len(f"{{{SR}}}")
_SECONDS = len("2025-01-01T00:00:00")
_MICROSECONDS = _SECONDS + len(".000000")

_DAY: Final = timedelta(days=1)
_STAGES: Final = {stage.value: stage for stage in Stage}

_new_window = unchecked(Window)
_new_period = unchecked(Period)
_new_counts = unchecked(PhaseCounts)
_new_status = unchecked(CampaignStatus)
_new_warning = unchecked(PilotPreferencesWarning)

Fields = dict[str, Element]
"""Child elements by local name; of a repeated one the last."""


def fields(element: Element) -> Fields:
    """Give an element's children by their local names.

    Args:
        element: its children are all in the DUIS namespace.
    """
    return {str(child.tag)[_LOCAL:]: child for child in element}


def invalid(element: Element, reason: str) -> Rejected:
    """Make the rejection of an element that the schema could not refuse."""
    return Rejected(ResponseCode.E901, reason, path=path_of(element), line=line_of(element))


def text(element: Element) -> str:
    """Read an xs:string, as it is."""
    return element.text or ""


def token(element: Element) -> str:
    """Read a value whose white space collapses."""
    return text(element).strip(XML_BLANKS)


def optional_text(found: Fields, name: str) -> str | None:
    """Read an xs:string that may be absent."""
    return text(found[name]) if name in found else None


def number(element: Element) -> int:
    """Read an integer; the schema bounds its length."""
    return int(token(element))


def instant(element: Element) -> datetime:
    """Read a date and time with an offset, in UTC, cut to whole microseconds."""
    return parse_instant(token(element))


def parse_instant(value: str) -> datetime:
    """Read an xs:dateTime with an offset and a year from 1000 to 2999.

    Args:
        value: for instance `2026-01-31T09:30:00Z` or `2026-01-31T24:00:00.123456789+01:00`.

    Source: wire contract §1 (dateTime).
    """
    # Python before 3.13 knows neither `24:00:00` nor more than 6 decimals.
    midnight = value[11:13] == "24"
    if midnight:
        value = f"{value[:11]}00{value[13:]}"
    if value[_SECONDS] == ".":
        offset = value.rindex("Z") if value.endswith("Z") else len(value) - len("+00:00")
        value = value[:_SECONDS] + value[_SECONDS:offset][: _MICROSECONDS - _SECONDS].ljust(7, "0") + value[offset:]
    at = datetime.fromisoformat(value)
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at + _DAY if midnight else at


def euis(element: Element) -> tuple[EUI, ...]:
    """Read a DeviceIDList."""
    return cast("tuple[EUI, ...]", tuple(text(element).upper().split(",")))


def device_list(found: Fields, name: str) -> tuple[EUI, ...] | None:
    """Read a DeviceIDList that may be absent."""
    return euis(found[name]) if name in found else None


def some_devices(found: Fields, name: str) -> tuple[EUI, ...]:
    """Read a DeviceIDList whose absence means: none."""
    return device_list(found, name) or ()


def stage(element: Element) -> Stage:
    """Read a Stage."""
    return _STAGES[token(element)]


def campaign_id(found: Fields) -> CampaignID:
    """Read the CampaignID."""
    return CampaignID(token(found["CampaignID"]))


def schedule(element: Element) -> tuple[Window, ...]:
    """Read a PilotSchedule."""
    return tuple(map(_window, element))


def optional_schedule(found: Fields, name: str) -> tuple[Window, ...] | None:
    """Read a PilotSchedule that may be absent."""
    return schedule(found[name]) if name in found else None


def _window(element: Element) -> Window:
    found = fields(element)
    return _new_window(
        window_id=number(found["WindowID"]),
        start=instant(found["StartDateTime"]),
        end=instant(found["EndDateTime"]),
        max_devices=number(found["MaxDevices"]) if "MaxDevices" in found else None,
    )


def period(element: Element) -> Period:
    """Read a Period."""
    start, end = element
    return _new_period(start=instant(start), end=instant(end))


def warning(element: Element) -> PilotPreferencesWarning:
    """Read a PilotPreferencesWarning."""
    found = fields(element)
    return _new_warning(
        invalid=some_devices(found, "InvalidDeviceIDList"),
        not_commissioned=some_devices(found, "NotCommissionedDeviceIDList"),
        not_applicable_firmware=some_devices(found, "NotApplicableFirmwareDeviceIDList"),
        other_request_in_progress=some_devices(found, "OtherRequestInProgressList"),
        already_nominated=some_devices(found, "AlreadyNominatedDeviceIDList"),
        duplicate=some_devices(found, "DuplicateDeviceIDList"),
    )


def status(element: Element) -> CampaignStatus:
    """Read a CampaignStatus."""
    found = fields(element)
    return _new_status(
        campaign_id=campaign_id(found),
        stage=stage(found["Stage"]),
        firmware_version=text(found["FirmwareVersion"]),
        as_of=instant(found["AsOf"]),
        pilot=_counts(found["Pilot"]),
        safe_launch=_counts(found["SafeLaunch"]) if "SafeLaunch" in found else None,
    )


def _counts(element: Iterable[Element]) -> PhaseCounts:
    devices, scheduled, activated, failed, pending = map(number, element)
    return _new_counts(devices=devices, scheduled=scheduled, activated=activated, failed=failed, pending=pending)
