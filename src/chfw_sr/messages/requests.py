"""The Service Requests of wire contract §3, as frozen values."""

from decimal import Decimal
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from .base import Message
from .catalogue import SRV
from .identifiers import CampaignIDField, DeviceIDList, RequestID
from .values import (
    Action,
    Activation,
    DeviceBounds,
    DeviceName,
    FirmwareVersion,
    Instant,
    Percentage,
    Period,
    PilotSchedule,
    Region,
)

COMMAND_VARIANT = 8
"""The Command Variant of every Service Request here: a non-device service (DUIS)."""

MAX_ACTIVATIONS = 10_000
"""Activations in the longest report."""


class RequestBody(Message):
    """One of the body elements of §3; `srv` is the number that its header must carry."""

    srv: ClassVar[SRV]


class CampaignRequest(RequestBody):
    """A body that names a campaign."""

    campaign_id: CampaignIDField


class ReadPilotPlan(CampaignRequest):
    """11.5."""

    srv: ClassVar[SRV] = SRV.READ_PILOT_PLAN


class UpdatePilotPreferences(CampaignRequest):
    """11.6: at least one of list and schedule."""

    srv: ClassVar[SRV] = SRV.UPDATE_PILOT_PREFERENCES
    preferred_list: DeviceIDList | None = None
    preferred_schedule: PilotSchedule | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.preferred_list is None and self.preferred_schedule is None:
            raise ValueError("neither a PreferredPilotList nor a PreferredPilotSchedule")
        return self


class DeletePilotPreferences(CampaignRequest):
    """11.7."""

    srv: ClassVar[SRV] = SRV.DELETE_PILOT_PREFERENCES


class ReadSafeLaunchSchedule(CampaignRequest):
    """11.8."""

    srv: ClassVar[SRV] = SRV.READ_SAFE_LAUNCH_SCHEDULE


class ReadCampaignStatus(CampaignRequest):
    """11.9."""

    srv: ClassVar[SRV] = SRV.READ_CAMPAIGN_STATUS


class CreateFirmwareCampaign(CampaignRequest):
    """11.20. No region named means all of them."""

    srv: ClassVar[SRV] = SRV.CREATE_FIRMWARE_CAMPAIGN
    manufacturer: DeviceName
    model: DeviceName
    firmware_version: FirmwareVersion
    regions: Annotated[tuple[Region, ...], Field(max_length=3)] = ()
    pilot_period: Period
    safe_launch_period: Period | None = None
    minimum_notice_days: Annotated[int, Field(ge=0, le=365)] = 7
    pilot_devices: DeviceBounds | None = None
    failure_threshold: Percentage = Decimal(5)


class PublishPilotPlan(CampaignRequest):
    """11.21."""

    srv: ClassVar[SRV] = SRV.PUBLISH_PILOT_PLAN
    response_deadline: Instant
    default_schedule: PilotSchedule
    default_list: DeviceIDList


class PublishSafeLaunchSchedule(CampaignRequest):
    """11.22."""

    srv: ClassVar[SRV] = SRV.PUBLISH_SAFE_LAUNCH_SCHEDULE
    schedule: PilotSchedule


class UpdateCampaignState(CampaignRequest):
    """11.23."""

    srv: ClassVar[SRV] = SRV.UPDATE_CAMPAIGN_STATE
    action: Action
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class ReportFirmwareActivation(RequestBody):
    """11.30."""

    srv: ClassVar[SRV] = SRV.REPORT_FIRMWARE_ACTIVATION
    activations: Annotated[tuple[Activation, ...], Field(min_length=1, max_length=MAX_ACTIVATIONS)]


Body = (
    ReadPilotPlan
    | UpdatePilotPreferences
    | DeletePilotPreferences
    | ReadSafeLaunchSchedule
    | ReadCampaignStatus
    | CreateFirmwareCampaign
    | PublishPilotPlan
    | PublishSafeLaunchSchedule
    | UpdateCampaignState
    | ReportFirmwareActivation
)

BODIES: tuple[type[Body], ...] = (
    ReadPilotPlan,
    UpdatePilotPreferences,
    DeletePilotPreferences,
    ReadSafeLaunchSchedule,
    ReadCampaignStatus,
    CreateFirmwareCampaign,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    UpdateCampaignState,
    ReportFirmwareActivation,
)


class ServiceRequest(Message):
    """A Service Request that was read from a verified document."""

    request_id: RequestID
    body: Body
    command_variant: int = COMMAND_VARIANT
    first_in_sequence: bool | None = None
    preceding_request_id: RequestID | None = None

    @property
    def srv(self) -> SRV:
        """The Service Reference Variant: it follows from the body."""
        return self.body.srv
