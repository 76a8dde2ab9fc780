"""DCC Alerts (wire contract §5)."""

from typing import ClassVar

from .base import Message
from .catalogue import SRV, AlertCode, ResponseCode
from .identifiers import EUI, CampaignIDField, DeviceID, DeviceIDList, RequestID
from .values import (
    CampaignStatus,
    Count,
    DeviceName,
    FirmwareVersion,
    Instant,
    PilotPreferencesWarning,
    PilotSchedule,
    Source,
    Stage,
)


class AlertBody(Message):
    """One of the elements that `sr:DCCAlert` may hold."""

    code: ClassVar[AlertCode]


class CommsHubFirmwareActivation(AlertBody):
    """N64 (DUIS): a hub activated firmware."""

    code: ClassVar[AlertCode] = AlertCode.N64
    device_id: DeviceID
    firmware_version: FirmwareVersion


class PilotPlanPublished(AlertBody):
    """N901: this Supplier's part of the Default Pilot List, and the Default Pilot Schedule."""

    code: ClassVar[AlertCode] = AlertCode.N901
    campaign_id: CampaignIDField
    firmware_version: FirmwareVersion
    manufacturer: DeviceName
    model: DeviceName
    response_deadline: Instant
    default_list: DeviceIDList
    default_schedule: PilotSchedule


class PilotPreferencesAccepted(AlertBody):
    """N902: preferences accepted whole."""

    code: ClassVar[AlertCode] = AlertCode.N902
    campaign_id: CampaignIDField
    request_id: RequestID
    accepted: Count
    refused: Count


class PilotPreferencesPartlyAccepted(AlertBody):
    """N903: preferences accepted, but for the hubs named."""

    code: ClassVar[AlertCode] = AlertCode.N903
    campaign_id: CampaignIDField
    request_id: RequestID
    accepted: Count
    refused: Count
    warning: PilotPreferencesWarning


class ServiceRequestRejected(AlertBody):
    """N904: a Service Request was refused. `srv` is given as far as it could be read."""

    code: ClassVar[AlertCode] = AlertCode.N904
    request_id: RequestID
    srv: SRV | str | None = None
    response_code: ResponseCode
    reason: str


class PilotPlanConfirmed(AlertBody):
    """N905: what was confirmed for this Supplier, and where it came from."""

    code: ClassVar[AlertCode] = AlertCode.N905
    campaign_id: CampaignIDField
    pilot_list: DeviceIDList
    schedule: PilotSchedule
    list_source: Source
    schedule_source: Source


class CampaignStageChanged(AlertBody):
    """N906."""

    code: ClassVar[AlertCode] = AlertCode.N906
    campaign_id: CampaignIDField
    previous: Stage
    stage: Stage
    reason: str | None = None


class SafeLaunchSchedulePublished(AlertBody):
    """N907: the schedule, and how many of this Supplier's hubs it takes in."""

    code: ClassVar[AlertCode] = AlertCode.N907
    campaign_id: CampaignIDField
    firmware_version: FirmwareVersion
    schedule: PilotSchedule
    device_count: Count


class CommsHubFirmwareActivationFailed(AlertBody):
    """N908: a hub failed to activate firmware, in a campaign or not."""

    code: ClassVar[AlertCode] = AlertCode.N908
    campaign_id: CampaignIDField | None = None
    device_id: DeviceID
    firmware_version: FirmwareVersion
    failure_reason: str | None = None


class CampaignStatusReport(AlertBody):
    """N909: the status as its recipient may see it."""

    code: ClassVar[AlertCode] = AlertCode.N909
    status: CampaignStatus


class PilotPreferencesDeleted(AlertBody):
    """N910."""

    code: ClassVar[AlertCode] = AlertCode.N910
    campaign_id: CampaignIDField
    request_id: RequestID


class ServiceRequestCompleted(AlertBody):
    """N911: 11.20 to 11.23 or 11.30 was done."""

    code: ClassVar[AlertCode] = AlertCode.N911
    request_id: RequestID
    srv: SRV
    response_code: ResponseCode


AnyAlertBody = (
    CommsHubFirmwareActivation
    | PilotPlanPublished
    | PilotPreferencesAccepted
    | PilotPreferencesPartlyAccepted
    | ServiceRequestRejected
    | PilotPlanConfirmed
    | CampaignStageChanged
    | SafeLaunchSchedulePublished
    | CommsHubFirmwareActivationFailed
    | CampaignStatusReport
    | PilotPreferencesDeleted
    | ServiceRequestCompleted
)


class Throttled(Message):
    """Says that an alert stands for several of its kind (DUIS `ThrottledAlertSequenceId`, `ThrottledAlertCount`).

    Attributes:
        sequence_id: its number among such alerts to this User, from 1.
        count: how many it stands for.
    """

    sequence_id: Count
    count: Count


class Alert(Message):
    """A DCC Alert for one User; its ResponseID is given when it is written."""

    recipient: EUI
    body: AnyAlertBody
    throttled: Throttled | None = None

    @property
    def code(self) -> AlertCode:
        """The alert code: it follows from the body."""
        return self.body.code
