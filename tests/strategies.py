"""Hypothesis strategies for every message of the wire contract. Whatever they draw can be written and read back."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from chfw_sr.messages import (
    EUI,
    SRV,
    Action,
    Activation,
    ActivationResult,
    Alert,
    CampaignID,
    CampaignStageChanged,
    CampaignStatus,
    CampaignStatusReport,
    CommsHubFirmwareActivation,
    CommsHubFirmwareActivationFailed,
    CreateFirmwareCampaign,
    DeletePilotPreferences,
    DeviceBounds,
    Fault,
    FirmwareActivationWarning,
    Period,
    PhaseCounts,
    PilotPlan,
    PilotPlanConfirmed,
    PilotPlanPublished,
    PilotPreferencesAccepted,
    PilotPreferencesDeleted,
    PilotPreferencesPartlyAccepted,
    PilotPreferencesWarning,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReadSafeLaunchSchedule,
    Region,
    ReportFirmwareActivation,
    RequestID,
    ResponseCode,
    ResponseID,
    SafeLaunchPlan,
    SafeLaunchSchedulePublished,
    ServiceRequest,
    ServiceRequestCompleted,
    ServiceRequestRejected,
    ServiceResponse,
    Source,
    Stage,
    Throttled,
    UpdateCampaignState,
    UpdatePilotPreferences,
    Window,
)
from chfw_sr.messages.identifiers import MAX_COUNTER

LARGEST = 2**31 - 1
"""The largest count and MaxDevices that the schema allows."""


def xml_text(min_size: int = 0, max_size: int = 60) -> st.SearchStrategy[str]:
    """Text of characters that XML can carry, markup and carriage returns among them."""
    carried = st.characters(exclude_categories=("Cs", "Cc", "Cn"), include_characters="\t\n\r\x85")
    return st.text(st.one_of(st.sampled_from("<>&\"'\r\n\t ]äé€😀"), carried), min_size=min_size, max_size=max_size)


def any_text(min_size: int = 0, max_size: int = 60) -> st.SearchStrategy[str]:
    """Any text that a message can hold: control characters and non-characters too."""
    return st.text(
        st.one_of(st.sampled_from("<>&\"'\r\n\t \0\x0b\x1f\x7f\ufffe"), st.characters(exclude_categories=["Cs"])),
        min_size=min_size,
        max_size=max_size,
    )


def euis() -> st.SearchStrategy[EUI]:
    """EUIs as we store them."""
    return st.binary(min_size=8, max_size=8).map(lambda octets: EUI(octets.hex("-").upper()))


def device_lists(max_size: int = 5) -> st.SearchStrategy[tuple[EUI, ...]]:
    """DeviceIDLists; an EUI may be there twice."""
    return st.lists(euis(), min_size=1, max_size=max_size).map(tuple)


def campaign_ids() -> st.SearchStrategy[CampaignID]:
    """CampaignIDs."""
    return st.from_regex(r"[A-Za-z0-9._-]{1,36}", fullmatch=True).map(CampaignID)


def instants() -> st.SearchStrategy[datetime]:
    """Aware dates and times, in UTC and in other offsets, of the years that the schema allows."""
    offsets = st.one_of(
        st.just(UTC), st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    )
    return st.datetimes(datetime(1000, 1, 2), datetime(2999, 12, 30), timezones=offsets)  # noqa: DTZ001 - bounds are naive


def request_ids() -> st.SearchStrategy[RequestID]:
    """RequestIDs."""
    return st.builds(RequestID, originator=euis(), target=euis(), counter=st.integers(0, MAX_COUNTER))


def response_ids() -> st.SearchStrategy[ResponseID]:
    """ResponseIDs."""
    return st.builds(ResponseID, originator=euis(), target=euis(), counter=st.integers(0, MAX_COUNTER))


def versions(text=xml_text) -> st.SearchStrategy[str]:
    """Firmware versions."""
    return text(1, 8)


def names(text=xml_text) -> st.SearchStrategy[str]:
    """Manufacturers and models."""
    return text(1, 30)


def counts() -> st.SearchStrategy[int]:
    """Counts of hubs."""
    return st.integers(0, LARGEST)


def periods() -> st.SearchStrategy[Period]:
    """Periods, whose ends may lie before their starts: that is a business rule."""
    return st.builds(Period, start=instants(), end=instants())


def schedules() -> st.SearchStrategy[tuple[Window, ...]]:
    """Schedules; each WindowID is unique."""
    window = st.builds(
        Window,
        window_id=st.integers(1, LARGEST),
        start=instants(),
        end=instants(),
        max_devices=st.none() | st.integers(1, LARGEST),
    )
    return st.lists(window, min_size=1, max_size=3, unique_by=lambda window: window.window_id).map(tuple)


def activations(text=xml_text) -> st.SearchStrategy[Activation]:
    """Activations; a FailureReason stands with a failure only."""
    common = {"device_id": euis(), "firmware_version": versions(text), "at": instants()}
    return st.one_of(
        st.builds(Activation, result=st.just(ActivationResult.SUCCESS), **common),
        st.builds(
            Activation,
            result=st.just(ActivationResult.FAILURE),
            failure_reason=st.none() | text(1, 250),
            **common,
        ),
    )


def campaigns(text=xml_text) -> st.SearchStrategy[CreateFirmwareCampaign]:
    """Bodies of 11.20."""
    return st.builds(
        CreateFirmwareCampaign,
        campaign_id=campaign_ids(),
        manufacturer=names(text),
        model=names(text),
        firmware_version=versions(text),
        regions=st.lists(st.sampled_from(Region), max_size=3).map(tuple),
        pilot_period=periods(),
        safe_launch_period=st.none() | periods(),
        minimum_notice_days=st.integers(0, 365),
        pilot_devices=st.none() | st.builds(DeviceBounds, minimum=counts(), maximum=st.integers(1, LARGEST)),
        failure_threshold=st.decimals(0, 100, places=2),
    )


def preferences() -> st.SearchStrategy[UpdatePilotPreferences]:
    """Bodies of 11.6: a list, a schedule or both."""
    return st.one_of(
        st.builds(UpdatePilotPreferences, campaign_id=campaign_ids(), preferred_list=device_lists()),
        st.builds(UpdatePilotPreferences, campaign_id=campaign_ids(), preferred_schedule=schedules()),
        st.builds(
            UpdatePilotPreferences,
            campaign_id=campaign_ids(),
            preferred_list=device_lists(),
            preferred_schedule=schedules(),
        ),
    )


def kinds_of_body(text=xml_text) -> list[st.SearchStrategy]:
    """Bodies of every Service Request, one strategy a kind."""
    return [
        st.builds(ReadPilotPlan, campaign_id=campaign_ids()),
        preferences(),
        st.builds(DeletePilotPreferences, campaign_id=campaign_ids()),
        st.builds(ReadSafeLaunchSchedule, campaign_id=campaign_ids()),
        st.builds(ReadCampaignStatus, campaign_id=campaign_ids()),
        campaigns(text),
        st.builds(
            PublishPilotPlan,
            campaign_id=campaign_ids(),
            response_deadline=instants(),
            default_schedule=schedules(),
            default_list=device_lists(),
        ),
        st.builds(PublishSafeLaunchSchedule, campaign_id=campaign_ids(), schedule=schedules()),
        st.builds(UpdateCampaignState, campaign_id=campaign_ids(), action=st.sampled_from(Action), reason=text(1, 500)),
        st.builds(ReportFirmwareActivation, activations=st.lists(activations(text), min_size=1, max_size=3).map(tuple)),
    ]


def bodies(text=xml_text) -> st.SearchStrategy:
    """Bodies of any Service Request."""
    return st.one_of(*kinds_of_body(text))


def requests(originator: EUI | None = None, text=xml_text) -> st.SearchStrategy[ServiceRequest]:
    """Service Requests, of any originator or of the one that is named."""
    identifiers = request_ids()
    if originator is not None:
        identifiers = identifiers.map(lambda found: found.model_copy(update={"originator": originator}))
    return st.builds(
        ServiceRequest,
        request_id=identifiers,
        body=bodies(text),
        command_variant=st.integers(1, 8),
        first_in_sequence=st.none() | st.booleans(),
        preceding_request_id=st.none() | request_ids(),
    )


def warnings() -> st.SearchStrategy[PilotPreferencesWarning]:
    """The refused hubs of a preference list; there may be none of a kind, or none at all."""
    some = st.just(()) | device_lists(3)
    return st.builds(
        PilotPreferencesWarning,
        invalid=some,
        not_commissioned=some,
        not_applicable_firmware=some,
        other_request_in_progress=some,
        already_nominated=some,
        duplicate=some,
    )


def phase_counts() -> st.SearchStrategy[PhaseCounts]:
    """Counts of a phase; they need not add up."""
    return st.builds(
        PhaseCounts, devices=counts(), scheduled=counts(), activated=counts(), failed=counts(), pending=counts()
    )


def statuses(text=xml_text) -> st.SearchStrategy[CampaignStatus]:
    """Status reports."""
    return st.builds(
        CampaignStatus,
        campaign_id=campaign_ids(),
        stage=st.sampled_from(Stage),
        firmware_version=versions(text),
        as_of=instants(),
        pilot=phase_counts(),
        safe_launch=st.none() | phase_counts(),
    )


def kinds_of_payload(text=xml_text) -> list[st.SearchStrategy]:
    """Payloads of every Service Response, one strategy a kind."""
    return [
        st.builds(
            PilotPlan,
            campaign_id=campaign_ids(),
            stage=st.sampled_from(Stage),
            firmware_version=versions(text),
            response_deadline=instants(),
            default_list=st.none() | device_lists(),
            default_schedule=schedules(),
            preferred_list=st.none() | device_lists(),
            preferred_schedule=st.none() | schedules(),
            confirmed_list=st.none() | device_lists(),
            confirmed_schedule=st.none() | schedules(),
        ),
        st.builds(SafeLaunchPlan, campaign_id=campaign_ids(), schedule=schedules(), devices=st.none() | device_lists()),
        statuses(text),
        warnings(),
        st.builds(FirmwareActivationWarning, invalid=device_lists()),
        st.builds(Fault, reason=text(), path=st.none() | text(), line=st.none() | st.integers(1, LARGEST)),
    ]


def payloads(text=xml_text) -> st.SearchStrategy:
    """Payloads of any Service Response."""
    return st.one_of(*kinds_of_payload(text))


def srvs() -> st.SearchStrategy[SRV | str]:
    """Service Reference Variants: ours, and others of DUIS."""
    return st.sampled_from(SRV) | st.sampled_from(["1.1.1", "6.2.10", "8.14.3", "11.1", "12.2"])


def responses(text=xml_text) -> st.SearchStrategy[ServiceResponse]:
    """Service Responses."""
    return st.builds(
        ServiceResponse,
        request_id=request_ids(),
        code=st.sampled_from(ResponseCode),
        at=instants(),
        srv=st.none() | srvs(),
        payload=st.none() | payloads(text),
    )


def kinds_of_alert_body(text=xml_text) -> list[st.SearchStrategy]:
    """The content of every DCC Alert, one strategy a kind."""
    outcome = {"campaign_id": campaign_ids(), "request_id": request_ids(), "accepted": counts(), "refused": counts()}
    hub = {"device_id": euis(), "firmware_version": versions(text)}
    return [
        st.builds(CommsHubFirmwareActivation, **hub),
        st.builds(
            PilotPlanPublished,
            campaign_id=campaign_ids(),
            firmware_version=versions(text),
            manufacturer=names(text),
            model=names(text),
            response_deadline=instants(),
            default_list=device_lists(),
            default_schedule=schedules(),
        ),
        st.builds(PilotPreferencesAccepted, **outcome),
        st.builds(PilotPreferencesPartlyAccepted, **outcome, warning=warnings()),
        st.builds(
            ServiceRequestRejected,
            request_id=request_ids(),
            srv=st.none() | srvs(),
            response_code=st.sampled_from(ResponseCode),
            reason=text(),
        ),
        st.builds(
            PilotPlanConfirmed,
            campaign_id=campaign_ids(),
            pilot_list=device_lists(),
            schedule=schedules(),
            list_source=st.sampled_from(Source),
            schedule_source=st.sampled_from(Source),
        ),
        st.builds(
            CampaignStageChanged,
            campaign_id=campaign_ids(),
            previous=st.sampled_from(Stage),
            stage=st.sampled_from(Stage),
            reason=st.none() | text(),
        ),
        st.builds(
            SafeLaunchSchedulePublished,
            campaign_id=campaign_ids(),
            firmware_version=versions(text),
            schedule=schedules(),
            device_count=counts(),
        ),
        st.builds(
            CommsHubFirmwareActivationFailed,
            campaign_id=st.none() | campaign_ids(),
            failure_reason=st.none() | text(1, 250),
            **hub,
        ),
        st.builds(CampaignStatusReport, status=statuses(text)),
        st.builds(PilotPreferencesDeleted, campaign_id=campaign_ids(), request_id=request_ids()),
        st.builds(
            ServiceRequestCompleted,
            request_id=request_ids(),
            srv=st.sampled_from(SRV),
            response_code=st.sampled_from(ResponseCode),
        ),
    ]


def alert_bodies(text=xml_text) -> st.SearchStrategy:
    """The content of any DCC Alert."""
    return st.one_of(*kinds_of_alert_body(text))


def alerts(text=xml_text) -> st.SearchStrategy[Alert]:
    """DCC Alerts."""
    counts = st.integers(0, 2**31 - 1)
    throttled = st.none() | st.builds(Throttled, sequence_id=counts, count=counts)
    return st.builds(Alert, recipient=euis(), body=alert_bodies(text), throttled=throttled)
