"""Service Responses (wire contract §4)."""

from .base import Message
from .catalogue import SRV, ResponseCode
from .identifiers import CampaignIDField, DeviceIDList, RequestID
from .values import (
    CampaignStatus,
    FirmwareActivationWarning,
    FirmwareVersion,
    Instant,
    PilotPreferencesWarning,
    PilotSchedule,
    PositiveInt,
    Stage,
)


class PilotPlan(Message):
    """The answer to 11.5: this Supplier's own plan.

    The default list is absent for a Supplier that may take part without having a part of it.
    """

    campaign_id: CampaignIDField
    stage: Stage
    firmware_version: FirmwareVersion
    response_deadline: Instant
    default_list: DeviceIDList | None = None
    default_schedule: PilotSchedule
    preferred_list: DeviceIDList | None = None
    preferred_schedule: PilotSchedule | None = None
    confirmed_list: DeviceIDList | None = None
    confirmed_schedule: PilotSchedule | None = None


class SafeLaunchPlan(Message):
    """The answer to 11.8; the list is absent if the Supplier has no hub in it, or more than one list can hold."""

    campaign_id: CampaignIDField
    schedule: PilotSchedule
    devices: DeviceIDList | None = None


class Fault(Message):
    """Why a Service Request was refused; `path` and `line` (from 1) name the place of a schema fault."""

    reason: str
    path: str | None = None
    line: PositiveInt | None = None


Payload = PilotPlan | SafeLaunchPlan | CampaignStatus | PilotPreferencesWarning | FirmwareActivationWarning | Fault


class ServiceResponse(Message):
    """The answer to one Service Request. `srv` is absent only where the request's could not be read."""

    request_id: RequestID
    code: ResponseCode
    at: Instant
    srv: SRV | str | None = None
    payload: Payload | None = None
