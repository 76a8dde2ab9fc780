"""What a digest says: which hubs have activated, and which have failed to, since the last one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from chfw_sr.messages import CommsHubFirmwareActivation, CommsHubFirmwareActivationFailed

from .letters import MOST_HUBS, NOTHING_TO_DO, Letter, plain
from .sheets import sheet
from .times import both, count

COLUMNS = ("hub", "result", "firmware_version", "campaign", "failure_reason", "alerted_at_utc", "alert")
SHEET = "activations.csv"


@dataclass(frozen=True, slots=True)
class Told:
    """An activation as it was told.

    Attributes:
        body: the alert.
        at: when it was made.
        message_id: its ResponseID.
    """

    body: CommsHubFirmwareActivation | CommsHubFirmwareActivationFailed
    at: datetime
    message_id: str


def digest(told: Sequence[Told], zone: ZoneInfo) -> Letter:
    """Tell activations together.

    Args:
        told: at least one, in the order in which they were told.
        zone: in which, beside UTC, times are told.
    """
    activated = [each for each in told if isinstance(each.body, CommsHubFirmwareActivation)]
    failed = [each for each in told if isinstance(each.body, CommsHubFirmwareActivationFailed)]
    numbers = [f"{count(len(activated), 'hub')} activated"] if activated else []
    numbers += [f"{count(len(failed), 'hub')} failed"] if failed else []
    first, last = min(each.at for each in told), max(each.at for each in told)
    paragraphs = [
        f"New firmware on your hubs: {', '.join(numbers)}.",
        f"Reported between {both(first, zone)}\nand {both(last, zone)}.",
    ]
    if activated:
        paragraphs.append(f"Activated:\n{_listed(activated)}")
    if failed:
        paragraphs.append(f"Failed:\n{_listed(failed)}")
        paragraphs.append(
            "What you can do about the failures: look at these hubs with your communications service provider. A later"
            " success will be told in the same way."
        )
    else:
        paragraphs.append(NOTHING_TO_DO)
    paragraphs.append(f"All of them, with reasons: {SHEET}, attached.")
    return Letter(
        f"Firmware activations: {', '.join(numbers)}", tuple(paragraphs), (sheet(SHEET, COLUMNS, _rows(told)),)
    )


def _listed(told: Sequence[Told]) -> str:
    """Name a few hubs; of many, tell how many there are by version and reason."""
    if len(told) <= MOST_HUBS:
        return "\n".join(f"{each.body.device_id}, {_why(each)}" for each in told)
    return "\n".join(
        f"{count(number, 'hub')}, {why}" for why, number in Counter(map(_why, told)).most_common(MOST_HUBS)
    )


def _why(told: Told) -> str:
    version = f"version {plain(told.body.firmware_version)}"
    if isinstance(told.body, CommsHubFirmwareActivation):
        return version
    campaign = f", campaign {told.body.campaign_id}" if told.body.campaign_id else ""
    return f"{version}{campaign}: {plain(told.body.failure_reason or 'no reason given')}"


def _rows(told: Sequence[Told]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for each in told:
        body, at = each.body, each.at.isoformat().replace("+00:00", "Z")
        if isinstance(body, CommsHubFirmwareActivation):
            rows.append((body.device_id, "Success", body.firmware_version, None, None, at, each.message_id))
        else:
            campaign, reason = body.campaign_id, body.failure_reason and plain(body.failure_reason)
            rows.append((body.device_id, "Failure", body.firmware_version, campaign, reason, at, each.message_id))
    return rows
