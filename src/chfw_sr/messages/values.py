"""The values that requests, responses and alerts share (wire contract §2 and §3)."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from .base import Message
from .identifiers import EUI, CampaignIDField, DeviceID, DeviceIDList


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a date and time needs an offset")
    return value.astimezone(UTC)


def instant_text(at: datetime) -> str:
    """Write a date and time in UTC with `Z`; a fraction of a second only if there is one.

    Args:
        at: aware.

    Source: wire contract §1 (dateTime).
    """
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat().removesuffix("+00:00") + "Z"


Instant = Annotated[datetime, AfterValidator(_utc)]
"""An aware date and time, kept in UTC."""

PositiveInt = Annotated[int, Field(ge=1, le=2**31 - 1)]
Count = Annotated[int, Field(ge=0)]
FirmwareVersion = Annotated[str, Field(min_length=1, max_length=8)]
DeviceName = Annotated[str, Field(min_length=1, max_length=30)]
Percentage = Annotated[Decimal, Field(ge=0, le=100)]


class Role(StrEnum):
    """What a User is (DUIS roles, and ours: `DCC`, `CSP`)."""

    IS = "IS"
    ES = "ES"
    GS = "GS"
    RSA = "RSA"
    ED = "ED"
    GT = "GT"
    OU = "OU"
    DCC = "DCC"
    CSP = "CSP"


class UserStatus(StrEnum):
    """Whether a User may send Service Requests."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"


class Region(StrEnum):
    """A region of the communications network, operated by one CSP."""

    NORTH = "North"
    CENTRAL = "Central"
    SOUTH = "South"


class HubStatus(StrEnum):
    """A hub's status in the inventory (DUIS SMI status)."""

    COMMISSIONED = "Commissioned"
    PENDING = "Pending"
    INSTALLED_NOT_COMMISSIONED = "InstalledNotCommissioned"
    SUSPENDED = "Suspended"
    DECOMMISSIONED = "Decommissioned"
    WITHDRAWN = "Withdrawn"


class Stage(StrEnum):
    """Where a campaign stands (wire contract §3)."""

    DRAFT = "Draft"
    PILOT_CONSULTATION = "PilotConsultation"
    PILOT_CONFIRMED = "PilotConfirmed"
    PILOT = "Pilot"
    PILOT_COMPLETE = "PilotComplete"
    SAFE_LAUNCH_SCHEDULED = "SafeLaunchScheduled"
    SAFE_LAUNCH = "SafeLaunch"
    COMPLETE = "Complete"
    PAUSED = "Paused"
    ABORTED = "Aborted"


class Phase(StrEnum):
    """The two phases in which hubs activate."""

    PILOT = "Pilot"
    SAFE_LAUNCH = "SafeLaunch"


class Action(StrEnum):
    """What 11.23 may ask for."""

    PAUSE = "Pause"
    RESUME = "Resume"
    ABORT = "Abort"
    COMPLETE = "Complete"


class ActivationResult(StrEnum):
    """How an activation ended."""

    SUCCESS = "Success"
    FAILURE = "Failure"


class Source(StrEnum):
    """Whose list or schedule was confirmed (N905)."""

    DEFAULT = "Default"
    PREFERRED = "Preferred"


class Period(Message):
    """From `start` up to `end`. Whether the two are in order is a business rule, not a matter of form."""

    start: Instant
    end: Instant


class Window(Message):
    """A stretch of time in which hubs activate; `max_devices` hubs at most, or all that remain."""

    window_id: PositiveInt
    start: Instant
    end: Instant
    max_devices: PositiveInt | None = None


PilotSchedule = Annotated[tuple[Window, ...], Field(min_length=1, max_length=100)]
"""1 to 100 windows, in the order in which they were written."""


class DeviceBounds(Message):
    """How many pilot hubs a Supplier may have."""

    minimum: Count
    maximum: PositiveInt


class Activation(Message):
    """One hub's result, as its CSP reports it (11.30)."""

    device_id: DeviceID
    firmware_version: FirmwareVersion
    at: Instant
    result: ActivationResult
    failure_reason: Annotated[str, Field(min_length=1, max_length=250)] | None = None


class PilotPreferencesWarning(Message):
    """The hubs of a Preferred Pilot List that were refused, by reason; an empty list is not written (§4)."""

    invalid: tuple[EUI, ...] = ()
    not_commissioned: tuple[EUI, ...] = ()
    not_applicable_firmware: tuple[EUI, ...] = ()
    other_request_in_progress: tuple[EUI, ...] = ()
    already_nominated: tuple[EUI, ...] = ()
    duplicate: tuple[EUI, ...] = ()

    @property
    def refused(self) -> int:
        """How many entries of the list were refused, in all."""
        return sum(
            map(
                len,
                (
                    self.invalid,
                    self.not_commissioned,
                    self.not_applicable_firmware,
                    self.other_request_in_progress,
                    self.already_nominated,
                    self.duplicate,
                ),
            )
        )


class FirmwareActivationWarning(Message):
    """The hubs of an activation report that were refused (§4)."""

    invalid: DeviceIDList


class PhaseCounts(Message):
    """How many hubs a phase has; `devices` is the sum of the other four.

    `scheduled`: not reported, window still to start; `pending`: not reported, window started or over.
    """

    devices: Count
    scheduled: Count
    activated: Count
    failed: Count
    pending: Count


class CampaignStatus(Message):
    """Status report of a campaign, as one reader may see it (N909 and the answer to 11.9)."""

    campaign_id: CampaignIDField
    stage: Stage
    firmware_version: FirmwareVersion
    as_of: Instant
    pilot: PhaseCounts
    safe_launch: PhaseCounts | None = None
