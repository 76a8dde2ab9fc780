"""Rows of the history and of results, made of changes: who changed what, when, and because of which request."""

from collections.abc import Mapping
from typing import Any

from chfw_sr.campaign.changes import CampaignSaved, ParticipationSaved, PreferenceEvent, RecordedActivation
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase, RequestID, instant_text
from chfw_sr.service.ports import Cause

LINE = ("at", "kind", "campaign_id", "user_eui", "hub", "request_id", "detail")
"""The columns of a line of the history."""

ACTIVATION = (
    "hub",
    "firmware_version",
    "at",
    "result",
    "failure_reason",
    "campaign_id",
    "phase",
    "effective",
    "request_id",
    "recorded_at",
)
"""The columns of a result."""

Values = tuple[Any, ...]

_VALUES: Mapping[str, str] = {
    each: each.value for each in (*ActivationResult, *Phase, *PreferenceEvent)
}  # what an Enum is asked for its value by costs ten times as much

_NOTHING: Mapping[str, str] = {}
"""The detail of a line that has none: always the same object, so that it is encoded once."""


class _Names:
    """Writes RequestIDs, and remembers the last: the rows of one request, up to 20,000, are made in a row."""

    def __init__(self) -> None:
        self._last: tuple[RequestID | None, str] = None, ""

    def of(self, request_id: RequestID) -> str:
        last, name = self._last
        if request_id is not last:
            name = str(request_id)
            self._last = request_id, name
        return name


_names = _Names()


def name_of(cause: Cause) -> str | None:
    """Give the RequestID that stands beside what a cause changed; None for the clock."""
    return None if cause.request_id is None else _names.of(cause.request_id)


def _detail(**detail: str | None) -> Mapping[str, str]:
    return {name: value for name, value in detail.items() if value is not None}


def campaign_line(change: CampaignSaved, cause: Cause) -> Values:
    """Give the line of a campaign that was saved."""
    campaign = change.campaign
    detail = _detail(stage=campaign.stage.value, reason=change.reason)
    return cause.at, change.event.value, campaign.campaign_id, None, None, name_of(cause), detail


def participation_line(change: ParticipationSaved, cause: Cause) -> Values:
    """Give the line of a participation that was saved."""
    part = change.participation
    return cause.at, _VALUES[change.event], part.campaign_id, part.supplier, None, name_of(cause), _NOTHING


def hub_line(kind: str, cause: Cause, campaign_id: CampaignID, user: EUI, hub: EUI) -> Values:
    """Give the line of a hub that came into a User's list or left it."""
    return cause.at, kind, campaign_id, user, hub, name_of(cause), _NOTHING


def activation_line(one: RecordedActivation, cause: Cause) -> Values:
    """Give the line of a result."""
    activation = one.activation
    kind = "Activated" if activation.result is ActivationResult.SUCCESS else "ActivationFailed"
    detail = {"firmware_version": activation.firmware_version, "activated_at": instant_text(activation.at)}
    if activation.failure_reason is not None:
        detail["failure_reason"] = activation.failure_reason
    return cause.at, kind, one.campaign_id, None, activation.device_id, name_of(cause), detail


def activation_values(one: RecordedActivation, cause: Cause) -> Values:
    """Give the row of a result."""
    activation = one.activation
    return (
        activation.device_id,
        activation.firmware_version,
        activation.at,
        _VALUES[activation.result],
        activation.failure_reason,
        one.campaign_id,
        _VALUES[one.phase] if one.phase else None,
        one.effective,
        name_of(cause),
        cause.at,
    )
