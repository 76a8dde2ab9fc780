"""The one catalogue: every Service Reference Variant, alert code and response code, with its meaning and origin.

The documentation's tables are made from here (`chfw-sr catalogue`), and a test holds the two equal.
Origin `DUIS` means: holds in DUIS XML Schema 5.4 and is not ours to change; `ext`: this project's extension.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .values import Role

Origin = Literal["DUIS", "ext"]


class SRV(StrEnum):
    """The Service Reference Variants offered here (wire contract §3)."""

    READ_PILOT_PLAN = "11.5"
    UPDATE_PILOT_PREFERENCES = "11.6"
    DELETE_PILOT_PREFERENCES = "11.7"
    READ_SAFE_LAUNCH_SCHEDULE = "11.8"
    READ_CAMPAIGN_STATUS = "11.9"
    CREATE_FIRMWARE_CAMPAIGN = "11.20"
    PUBLISH_PILOT_PLAN = "11.21"
    PUBLISH_SAFE_LAUNCH_SCHEDULE = "11.22"
    UPDATE_CAMPAIGN_STATE = "11.23"
    REPORT_FIRMWARE_ACTIVATION = "11.30"


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """A row of the table of Service Requests.

    Attributes:
        name: the Service Request's name.
        element: its body element.
        roles: who may send it; one of them is enough.
        read: True if it changes nothing and, once served, is answered by its Service Response alone.
    """

    name: str
    element: str
    roles: frozenset[Role]
    read: bool = False
    origin: Origin = "ext"


_SUPPLIERS = frozenset({Role.IS, Role.GS})
_OPERATOR = frozenset({Role.DCC})

SERVICE_REFERENCES: dict[SRV, ServiceReference] = {
    SRV.READ_PILOT_PLAN: ServiceReference("Read Pilot Plan", "ReadPilotPlan", _SUPPLIERS, read=True),
    SRV.UPDATE_PILOT_PREFERENCES: ServiceReference("Update Pilot Preferences", "UpdatePilotPreferences", _SUPPLIERS),
    SRV.DELETE_PILOT_PREFERENCES: ServiceReference("Delete Pilot Preferences", "DeletePilotPreferences", _SUPPLIERS),
    SRV.READ_SAFE_LAUNCH_SCHEDULE: ServiceReference(
        "Read Safe Launch Schedule", "ReadSafeLaunchSchedule", _SUPPLIERS, read=True
    ),
    SRV.READ_CAMPAIGN_STATUS: ServiceReference(
        "Read Campaign Status",
        "ReadCampaignStatus",
        frozenset({Role.IS, Role.GS, Role.ED, Role.GT, Role.DCC}),
        read=True,
    ),
    SRV.CREATE_FIRMWARE_CAMPAIGN: ServiceReference("Create Firmware Campaign", "CreateFirmwareCampaign", _OPERATOR),
    SRV.PUBLISH_PILOT_PLAN: ServiceReference("Publish Pilot Plan", "PublishPilotPlan", _OPERATOR),
    SRV.PUBLISH_SAFE_LAUNCH_SCHEDULE: ServiceReference(
        "Publish Safe Launch Schedule", "PublishSafeLaunchSchedule", _OPERATOR
    ),
    SRV.UPDATE_CAMPAIGN_STATE: ServiceReference("Update Campaign State", "UpdateCampaignState", _OPERATOR),
    SRV.REPORT_FIRMWARE_ACTIVATION: ServiceReference(
        "Report Firmware Activation", "ReportFirmwareActivation", frozenset({Role.CSP})
    ),
}


class AlertCode(StrEnum):
    """The DCC Alert codes that are sent here (wire contract §5)."""

    N64 = "N64"
    N901 = "N901"
    N902 = "N902"
    N903 = "N903"
    N904 = "N904"
    N905 = "N905"
    N906 = "N906"
    N907 = "N907"
    N908 = "N908"
    N909 = "N909"
    N910 = "N910"
    N911 = "N911"


@dataclass(frozen=True, slots=True)
class AlertEntry:
    """A row of the table of DCC Alerts: the element inside `DCCAlert` and when it is sent."""

    element: str
    meaning: str
    origin: Origin = "ext"


ALERTS: dict[AlertCode, AlertEntry] = {
    # The one place where a code and its element are paired (wire contract §5, on N60, N61 and N64).
    AlertCode.N64: AlertEntry("CommsHubFirmwareActivation", "A hub activated firmware.", "DUIS"),
    AlertCode.N901: AlertEntry("PilotPlanPublished", "A Default Pilot List and Schedule were published."),
    AlertCode.N902: AlertEntry("PilotPreferencesAccepted", "Pilot preferences were accepted whole."),
    AlertCode.N903: AlertEntry("PilotPreferencesPartlyAccepted", "Pilot preferences were accepted in part."),
    AlertCode.N904: AlertEntry("ServiceRequestRejected", "A Service Request was refused."),
    AlertCode.N905: AlertEntry("PilotPlanConfirmed", "The deadline passed: this is the Supplier's pilot."),
    AlertCode.N906: AlertEntry("CampaignStageChanged", "A campaign moved to another stage."),
    AlertCode.N907: AlertEntry("SafeLaunchSchedulePublished", "A Safe Launch Schedule was published."),
    AlertCode.N908: AlertEntry("CommsHubFirmwareActivationFailed", "A hub failed to activate firmware."),
    AlertCode.N909: AlertEntry("CampaignStatus", "Status report, daily while Pilot or Safe Launch runs."),
    AlertCode.N910: AlertEntry("PilotPreferencesDeleted", "Pilot preferences were deleted."),
    AlertCode.N911: AlertEntry("ServiceRequestCompleted", "A Service Request of the DCC or a CSP was done."),
}


class ResponseCode(StrEnum):
    """Every response code of wire contract §6."""

    I0 = "I0"
    I99 = "I99"
    E1 = "E1"
    E2 = "E2"
    E3 = "E3"
    E4 = "E4"
    E5 = "E5"
    E11 = "E11"
    E12 = "E12"
    E19 = "E19"
    E900 = "E900"
    E901 = "E901"
    E902 = "E902"
    E903 = "E903"
    E904 = "E904"
    E905 = "E905"
    E906 = "E906"
    E110501 = "E110501"
    E110502 = "E110502"
    W110601 = "W110601"
    E110601 = "E110601"
    E110602 = "E110602"
    E110603 = "E110603"
    E110604 = "E110604"
    E110605 = "E110605"
    E110606 = "E110606"
    E110701 = "E110701"
    E110702 = "E110702"
    E110801 = "E110801"
    E110802 = "E110802"
    E110901 = "E110901"
    E112003 = "E112003"
    E112004 = "E112004"
    E112005 = "E112005"
    E112101 = "E112101"
    E112102 = "E112102"
    E112103 = "E112103"
    E112104 = "E112104"
    E112105 = "E112105"
    E112106 = "E112106"
    E112107 = "E112107"
    E112201 = "E112201"
    E112202 = "E112202"
    E112203 = "E112203"
    E112205 = "E112205"
    E112206 = "E112206"
    E112301 = "E112301"
    E112302 = "E112302"
    W113001 = "W113001"
    E113003 = "E113003"
    E113004 = "E113004"

    @property
    def is_error(self) -> bool:
        """True if the Service Request was refused; False for success and for a warning."""
        return self.startswith("E")


@dataclass(frozen=True, slots=True)
class ResponseEntry:
    """A row of the table of response codes; `raised` is False for a DUIS code that this service has no use for."""

    meaning: str
    origin: Origin = "ext"
    raised: bool = True


RESPONSES: dict[ResponseCode, ResponseEntry] = {
    ResponseCode.I0: ResponseEntry("Success; the response carries a payload.", "DUIS"),
    ResponseCode.I99: ResponseEntry("Acknowledged: done, and there is no payload.", "DUIS"),
    ResponseCode.E1: ResponseEntry("Invalid User or User Role.", "DUIS"),
    ResponseCode.E2: ResponseEntry("The User's role may not send this Service Request.", "DUIS"),
    ResponseCode.E3: ResponseEntry("The User's status does not permit it.", "DUIS"),
    ResponseCode.E4: ResponseEntry(
        "The User is not authorised for the device. Not used: such hubs are refused one by one.", "DUIS", raised=False
    ),
    ResponseCode.E5: ResponseEntry("The device's status does not permit it (11.21).", "DUIS"),
    ResponseCode.E11: ResponseEntry("The Service Request does not fit the device's type (11.21).", "DUIS"),
    ResponseCode.E12: ResponseEntry("The Command Variant does not fit the Service Request.", "DUIS"),
    ResponseCode.E19: ResponseEntry("The device does not exist in the inventory (11.21).", "DUIS"),
    ResponseCode.E900: ResponseEntry("Not well-formed, with a DOCTYPE, or over a size limit."),
    ResponseCode.E901: ResponseEntry("Not valid against the schema."),
    ResponseCode.E902: ResponseEntry("Signature or certificate missing or wrong."),
    ResponseCode.E903: ResponseEntry("The RequestID was used before, with other content."),
    ResponseCode.E904: ResponseEntry("The RequestID's target is not this DCC."),
    ResponseCode.E905: ResponseEntry("This Service Request is not offered here."),
    ResponseCode.E906: ResponseEntry("The User sends more than its quota: send again later, under a new RequestID."),
    ResponseCode.E110501: ResponseEntry("Campaign unknown, or not for this User."),
    ResponseCode.E110502: ResponseEntry("No Pilot Plan has been published yet."),
    ResponseCode.W110601: ResponseEntry("Preferences accepted, but for the hubs in the payload."),
    ResponseCode.E110601: ResponseEntry("Campaign unknown, or not for this User."),
    ResponseCode.E110602: ResponseEntry("The response deadline has passed, or the campaign is in the wrong stage."),
    ResponseCode.E110603: ResponseEntry("No hub of the Preferred Pilot List is acceptable."),
    ResponseCode.E110604: ResponseEntry("The list's size lies outside the campaign's bounds."),
    ResponseCode.E110605: ResponseEntry("The Preferred Pilot Schedule is invalid."),
    ResponseCode.E110606: ResponseEntry("The schedule cannot hold the list."),
    ResponseCode.E110701: ResponseEntry("Campaign unknown, or not for this User."),
    ResponseCode.E110702: ResponseEntry("The response deadline has passed, or the campaign is in the wrong stage."),
    ResponseCode.E110801: ResponseEntry("Campaign unknown, or not for this User."),
    ResponseCode.E110802: ResponseEntry("No Safe Launch Schedule has been published yet."),
    ResponseCode.E110901: ResponseEntry("Campaign unknown, or not for this User."),
    ResponseCode.E112003: ResponseEntry("A campaign of this CampaignID exists."),
    ResponseCode.E112004: ResponseEntry("A period is invalid."),
    ResponseCode.E112005: ResponseEntry("The bounds on a Supplier's pilot devices contradict each other."),
    ResponseCode.E112101: ResponseEntry("Campaign unknown."),
    ResponseCode.E112102: ResponseEntry("The campaign is in the wrong stage."),
    ResponseCode.E112103: ResponseEntry(
        "A hub of the Default Pilot List has no Supplier, is repeated, or is in another live campaign."
    ),
    ResponseCode.E112104: ResponseEntry("A Supplier's part of the list lies outside the campaign's bounds."),
    ResponseCode.E112105: ResponseEntry("The Default Pilot Schedule is invalid."),
    ResponseCode.E112106: ResponseEntry("The schedule cannot hold a Supplier's part of the list."),
    ResponseCode.E112107: ResponseEntry("The response deadline is in the past or after the first window's start."),
    ResponseCode.E112201: ResponseEntry("Campaign unknown."),
    ResponseCode.E112202: ResponseEntry("The campaign is in the wrong stage."),
    ResponseCode.E112203: ResponseEntry("No target hub is left to activate."),
    ResponseCode.E112205: ResponseEntry("The Safe Launch Schedule is invalid."),
    ResponseCode.E112206: ResponseEntry("The schedule cannot hold the remaining hubs."),
    ResponseCode.E112301: ResponseEntry("Campaign unknown."),
    ResponseCode.E112302: ResponseEntry("The campaign's stage does not permit the action."),
    ResponseCode.W113001: ResponseEntry("Activations taken, but for the hubs in the payload."),
    ResponseCode.E113003: ResponseEntry("No activation of the report is acceptable."),
    ResponseCode.E113004: ResponseEntry("An activation is dated in the future."),
}
