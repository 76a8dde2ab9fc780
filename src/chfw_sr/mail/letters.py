"""What an alert says to an energy Supplier's operations people: what happened, to which hubs, what to do until when.

One function for each alert; a table pairs them, and a test holds that no alert is without one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from chfw_sr.messages import (
    EUI,
    RESPONSES,
    SERVICE_REFERENCES,
    SRV,
    AnyAlertBody,
    CampaignStageChanged,
    CampaignStatusReport,
    PhaseCounts,
    PilotPlanConfirmed,
    PilotPlanPublished,
    PilotPreferencesAccepted,
    PilotPreferencesDeleted,
    PilotPreferencesPartlyAccepted,
    PilotPreferencesWarning,
    RequestID,
    SafeLaunchSchedulePublished,
    ServiceRequestCompleted,
    ServiceRequestRejected,
    Source,
    Stage,
    Window,
)

from .sheets import Sheet, hub_sheet, window_sheet
from .times import both, count, spans

MOST_HUBS = 20
MOST_WINDOWS = 12
"""How many are told in the text; longer lists are attached."""

NOTHING_TO_DO = "You do not have to do anything."


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says.

    Attributes:
        subject: one line; of catalogue words, CampaignIDs and numbers only.
        paragraphs: plain text.
        sheets: to be attached.
    """

    subject: str
    paragraphs: tuple[str, ...]
    sheets: tuple[Sheet, ...] = ()


def plain(text: str) -> str:
    """Make one line of a text from outside, without control characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def letter(body: AnyAlertBody, zone: ZoneInfo) -> Letter:
    """Tell an alert that is no activation (those are told by `digest.digest`).

    Args:
        body: the alert.
        zone: in which, beside UTC, times are told.
    """
    return _LETTERS[type(body)](body, zone)


def _published(body: PilotPlanPublished, zone: ZoneInfo) -> Letter:
    hubs, sheets = _hubs("default-pilot-list.csv", body.default_list)
    windows, more = _windows("default-pilot-schedule.csv", body.default_schedule, zone)
    return Letter(
        f"{body.campaign_id}: pilot plan published, please answer by {both(body.response_deadline, zone)}",
        (
            (
                f"A firmware campaign begins. {count(len(body.default_list), 'hub')} of yours"
                f" {'is' if len(body.default_list) == 1 else 'are'} proposed for its Pilot."
            ),
            (
                f"Campaign: {body.campaign_id}\nFirmware version: {plain(body.firmware_version)}\n"
                f"Hubs: {plain(body.manufacturer)} {plain(body.model)}"
            ),
            (
                f"What you can do until {both(body.response_deadline, zone)}: send your Preferred Pilot List, your"
                " Preferred Pilot Schedule or both (Service Request 11.6). If you do nothing, the list and the schedule"
                " below apply."
            ),
            f"Default Pilot List:\n{hubs}",
            f"Default Pilot Schedule:\n{windows}",
        ),
        sheets + more,
    )


def _accepted(body: PilotPreferencesAccepted, zone: ZoneInfo) -> Letter:  # noqa: ARG001 - as in the table
    return Letter(
        f"{body.campaign_id}: your pilot preferences were accepted",
        (
            f"Your pilot preferences for campaign {body.campaign_id} were accepted: {count(body.accepted, 'hub')}.",
            _request(body.request_id),
            f"{NOTHING_TO_DO} Until the deadline you can replace them (11.6) or withdraw them (11.7).",
        ),
    )


def _partly_accepted(body: PilotPreferencesPartlyAccepted, zone: ZoneInfo) -> Letter:  # noqa: ARG001
    refusals = _refusals(body.warning)
    told = [_hubs(f"refused-{number}.csv", hubs) for number, (_, hubs) in enumerate(refusals, 1)]
    reasons = [f"{reason}:\n{text}" for (reason, _), (text, _) in zip(refusals, told, strict=True)]
    return Letter(
        f"{body.campaign_id}: your pilot preferences were accepted in part, {count(body.refused, 'hub')} refused",
        (
            (
                f"Your pilot preferences for campaign {body.campaign_id} were accepted in part:"
                f" {count(body.accepted, 'hub')} accepted, {body.refused:,} refused."
            ),
            _request(body.request_id),
            (
                "What you can do: the accepted hubs stand. To change them, send a corrected list (Service Request 11.6)"
                " before the deadline; a new list replaces the old one as a whole."
            ),
            *reasons,
        ),
        tuple(each for _, sheets in told for each in sheets),
    )


def _refusals(warning: PilotPreferencesWarning) -> list[tuple[str, tuple[EUI, ...]]]:
    every = (
        ("Unknown, or not your responsibility", warning.invalid),
        ("Not commissioned", warning.not_commissioned),
        ("The firmware does not apply: model, region, or installed already", warning.not_applicable_firmware),
        ("In another live campaign", warning.other_request_in_progress),
        ("Nominated by another Supplier already", warning.already_nominated),
        ("Named more than once", warning.duplicate),
    )
    return [(reason, hubs) for reason, hubs in every if hubs]


def _rejected(body: ServiceRequestRejected, zone: ZoneInfo) -> Letter:  # noqa: ARG001
    name = _service_name(body.srv)
    return Letter(
        f"Service Request refused: {name}, {body.response_code}",
        (
            f"A Service Request of yours was refused: {name}.",
            (
                f"{_request(body.request_id)}\nCode: {body.response_code}, {RESPONSES[body.response_code].meaning}\n"
                f"Reason: {plain(body.reason)}"
            ),
            "What you can do: correct it and send it again, under a new RequestID. Nothing was changed by it.",
        ),
    )


def _confirmed(body: PilotPlanConfirmed, zone: ZoneInfo) -> Letter:
    hubs, sheets = _hubs("pilot-list.csv", body.pilot_list)
    windows, more = _windows("pilot-schedule.csv", body.schedule, zone)
    return Letter(
        f"{body.campaign_id}: pilot confirmed with {count(len(body.pilot_list), 'hub')} of yours",
        (
            (
                f"The deadline of campaign {body.campaign_id} has passed. {count(len(body.pilot_list), 'hub')} of yours"
                " will activate the new firmware in the Pilot, in list order, window by window."
            ),
            f"List: {_source(body.list_source)}. Schedule: {_source(body.schedule_source)}.",
            f"{NOTHING_TO_DO} You will hear of each activation.",
            f"Pilot List:\n{hubs}",
            f"Pilot Schedule:\n{windows}",
        ),
        sheets + more,
    )


def _stage_changed(body: CampaignStageChanged, zone: ZoneInfo) -> Letter:  # noqa: ARG001
    reason = (f"Reason: {plain(body.reason)}",) if body.reason else ()
    return Letter(
        f"{body.campaign_id}: {_STAGES[body.stage][0]}",
        (
            f"Campaign {body.campaign_id} is now {_STAGES[body.stage][0]} (before: {_STAGES[body.previous][0]}).",
            *reason,
            _STAGES[body.stage][1],
        ),
    )


def _safe_launch(body: SafeLaunchSchedulePublished, zone: ZoneInfo) -> Letter:
    windows, sheets = _windows("safe-launch-schedule.csv", body.schedule, zone)
    return Letter(
        f"{body.campaign_id}: Safe Launch scheduled with {count(body.device_count, 'hub')} of yours",
        (
            (
                f"The Safe Launch of campaign {body.campaign_id} is scheduled: firmware version"
                f" {plain(body.firmware_version)} for {count(body.device_count, 'hub')} of yours."
            ),
            f"{NOTHING_TO_DO} Which of your hubs these are, Read Safe Launch Schedule (11.8) tells.",
            f"Safe Launch Schedule:\n{windows}",
        ),
        sheets,
    )


def _status(body: CampaignStatusReport, zone: ZoneInfo) -> Letter:
    status = body.status
    phases = [("Pilot", status.pilot)] + ([("Safe Launch", status.safe_launch)] if status.safe_launch else [])
    return Letter(
        f"{status.campaign_id}: status report, {_STAGES[status.stage][0]}",
        (
            (
                f"Campaign {status.campaign_id}, firmware version {plain(status.firmware_version)}, is"
                f" {_STAGES[status.stage][0]}.\nAs of {both(status.as_of, zone)}."
            ),
            *(f"{name}:\n{_counts(counts)}" for name, counts in phases),
            f"{NOTHING_TO_DO}",
        ),
    )


def _deleted(body: PilotPreferencesDeleted, zone: ZoneInfo) -> Letter:  # noqa: ARG001
    return Letter(
        f"{body.campaign_id}: your pilot preferences were deleted",
        (
            (
                f"Your pilot preferences for campaign {body.campaign_id} were deleted, as you asked. Your part of the"
                " Default Pilot List and the Default Pilot Schedule apply again."
            ),
            _request(body.request_id),
            f"{NOTHING_TO_DO} Until the deadline you can send new ones (Service Request 11.6).",
        ),
    )


def _completed(body: ServiceRequestCompleted, zone: ZoneInfo) -> Letter:  # noqa: ARG001
    name = _service_name(body.srv)
    return Letter(
        f"Service Request done: {name}, {body.response_code}",
        (
            f"A Service Request of yours was done: {name}.",
            f"{_request(body.request_id)}\nCode: {body.response_code}, {RESPONSES[body.response_code].meaning}",
            NOTHING_TO_DO,
        ),
    )


def _hubs(name: str, hubs: Sequence[EUI]) -> tuple[str, tuple[Sheet, ...]]:
    if len(hubs) <= MOST_HUBS:
        return "\n".join(hubs), ()
    return f"{count(len(hubs), 'hub')}: see {name}, attached.", (hub_sheet(name, hubs),)


def _windows(name: str, windows: Sequence[Window], zone: ZoneInfo) -> tuple[str, tuple[Sheet, ...]]:
    if len(windows) <= MOST_WINDOWS:
        return "\n".join(spans(windows, zone)), ()
    first, last = min(each.start for each in windows), max(each.end for each in windows)
    told = f"{count(len(windows), 'window')} from {both(first, zone)}\nto {both(last, zone)}: see {name}, attached."
    return told, (window_sheet(name, windows, zone),)


def _counts(counts: PhaseCounts) -> str:
    rows = (
        ("hubs", counts.devices),
        ("activated", counts.activated),
        ("failed", counts.failed),
        ("still to come, window not begun", counts.scheduled),
        ("not reported, window begun or over", counts.pending),
    )
    return "\n".join(f"{number:>12,}  {name}" for name, number in rows)


def _request(request_id: RequestID) -> str:
    return f"RequestID: {request_id}"


def _service_name(srv: SRV | str | None) -> str:
    if srv is None:
        return "unknown"
    return f"{srv} {SERVICE_REFERENCES[srv].name}" if isinstance(srv, SRV) else plain(srv)


def _source(source: Source) -> str:
    return "as you preferred" if source is Source.PREFERRED else "the default"


_STAGES: Final[dict[Stage, tuple[str, str]]] = {
    Stage.DRAFT: ("in draft", "Its plan has not been published yet."),
    Stage.PILOT_CONSULTATION: (
        "open for your pilot preferences",
        "Until the deadline in the pilot plan you can send pilot preferences (Service Request 11.6).",
    ),
    Stage.PILOT_CONFIRMED: ("confirmed for its Pilot", f"{NOTHING_TO_DO} The Pilot begins with its first window."),
    Stage.PILOT: ("in its Pilot", f"{NOTHING_TO_DO} You will hear of each of your hubs that activates."),
    Stage.PILOT_COMPLETE: ("through with its Pilot", f"{NOTHING_TO_DO} The Safe Launch will be scheduled next."),
    Stage.SAFE_LAUNCH_SCHEDULED: ("scheduled for its Safe Launch", NOTHING_TO_DO),
    Stage.SAFE_LAUNCH: ("in its Safe Launch", f"{NOTHING_TO_DO} You will hear of each of your hubs that activates."),
    Stage.COMPLETE: ("complete", NOTHING_TO_DO),
    Stage.PAUSED: (
        "paused",
        f"{NOTHING_TO_DO} No further step is taken until it is resumed; activations under way may still be reported.",
    ),
    Stage.ABORTED: ("aborted", f"{NOTHING_TO_DO} It will not go on."),
}
"""Each stage in words, and what it means for a Supplier."""

_LETTERS: Final[dict[type[AnyAlertBody], Callable[[Any, ZoneInfo], Letter]]] = {
    PilotPlanPublished: _published,
    PilotPreferencesAccepted: _accepted,
    PilotPreferencesPartlyAccepted: _partly_accepted,
    ServiceRequestRejected: _rejected,
    PilotPlanConfirmed: _confirmed,
    CampaignStageChanged: _stage_changed,
    SafeLaunchSchedulePublished: _safe_launch,
    CampaignStatusReport: _status,
    PilotPreferencesDeleted: _deleted,
    ServiceRequestCompleted: _completed,
}
