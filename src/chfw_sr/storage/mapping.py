"""Rows to domain and back, field by field. A row that does not map is a defect, and raises."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, make_dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Row

from chfw_sr.campaign.clock import due_at
from chfw_sr.campaign.model import (
    Campaign,
    Cell,
    Hub,
    Membership,
    Participation,
    PhaseTimes,
    PlanRow,
    Tally,
    User,
)
from chfw_sr.messages import (
    EUI,
    ActivationResult,
    CampaignID,
    DeviceBounds,
    HubStatus,
    Period,
    Phase,
    Region,
    Role,
    Stage,
    UserStatus,
    Window,
)
from chfw_sr.service.ports import Channels, Contact
from chfw_sr.wire import TrustedCertificate

Values = dict[str, Any]


def user_values(user: User) -> Values:
    """Give the row of a User."""
    return {
        "eui": user.eui,
        "name": user.name,
        "roles": sorted(user.roles),
        "status": user.status.value,
        "regions": sorted(user.regions),
        "is_operator": Role.DCC in user.roles,
    }


def to_user(row: Row[Any]) -> User:
    """Read a User."""
    return User(
        eui=EUI(row.eui),
        name=row.name,
        roles=frozenset(map(Role, row.roles)),
        status=UserStatus(row.status),
        regions=frozenset(map(Region, row.regions)),
    )


def contact_values(contact: Contact) -> Values:
    """Give the part of a User's row that says how alerts reach it."""
    return {"email": contact.email, "channels": contact.channels.value}


def to_contact(row: Row[Any]) -> Contact:
    """Read how alerts reach a User."""
    return Contact(Channels(row.channels), row.email)


def certificate_values(trusted: TrustedCertificate) -> Values:
    """Give the row of a certificate."""
    certificate = trusted.certificate
    return {
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": str(certificate.serial_number),
        "holder": trusted.holder,
        "der": certificate.public_bytes(Encoding.DER),
        "not_after": certificate.not_valid_after_utc,
        "revoked_at": trusted.revoked_at,
    }


def to_certificate(row: Row[Any]) -> TrustedCertificate:
    """Read a certificate."""
    certificate = x509.load_der_x509_certificate(row.der)
    return TrustedCertificate(certificate=certificate, holder=EUI(row.holder), revoked_at=row.revoked_at)


HUB_DATA = (
    "eui",
    "manufacturer",
    "model",
    "firmware_version",
    "region",
    "status",
    "import_supplier",
    "gas_supplier",
    "electricity_distributor",
    "gas_transporter",
)
"""The columns of a hub that are the inventory's."""

HUB = (*HUB_DATA, "last_activation_at")
"""The columns of a hub."""

_REGIONS = {region.value: region for region in Region}
_HUB_STATUSES = {status.value: status for status in HubStatus}
_PHASES = {phase.value: phase for phase in Phase}
_RESULTS: dict[str | None, ActivationResult | None] = {None: None, **{each.value: each for each in ActivationResult}}


hub_data: Callable[[Hub], tuple[Any, ...]] = attrgetter(*HUB_DATA)
"""Gives what the inventory says of a hub, in the order of `HUB_DATA`."""


def to_hub(eui: EUI, manufacturer: str, model: str, version: str, region: str, status: str, *others: Any) -> Hub:
    """Read a hub from the columns `HUB`; its place in a campaign may follow."""
    return Hub(eui, manufacturer, model, version, _REGIONS[region], _HUB_STATUSES[status], *others)


def to_hubs(alike: Iterable[Sequence[Any]], places: Iterable[Sequence[Any]]) -> dict[EUI, Hub]:
    """Read hubs from rows of `hubs_alike` and `places_alike`; of two places of a hub the later row is the one."""
    held: dict[EUI, Membership] = {}
    for names, *place in places:
        held |= dict.fromkeys(names.split(" "), _to_membership(*place))
    hubs: dict[EUI, Hub] = {}
    for names, manufacturer, model, version, region, status, *others in alike:
        common = (manufacturer, model, version, _REGIONS[region], _HUB_STATUSES[status], *others)
        for eui in names.split(" "):
            hub = _Unfrozen(eui, *common, held.get(eui))
            hub.__class__ = Hub
            hubs[eui] = hub
    return hubs


_Unfrozen: Any = make_dataclass("_Unfrozen", [field.name for field in fields(Hub)], slots=True)
"""A hub while it is put together: to fill one that is frozen from the start takes three times as long.

An object may take another class on if both have the same slots; the list of an 11.6 names 50,000.
"""


def to_outcome(text: str | None) -> ActivationResult | None:
    """Read the newest result of a hub."""
    return _RESULTS[text]


def _to_membership(
    campaign_id: CampaignID,
    phase: str,
    default_supplier: EUI | None,
    nominated_by: EUI | None,
    allotted: bool,
    outcome: str | None,
) -> Membership:
    return Membership(campaign_id, _PHASES[phase], default_supplier, nominated_by, allotted, _RESULTS[outcome])


def campaign_values(campaign: Campaign) -> Values:
    """Give the row of a campaign, but for the sums over its cells."""
    safe_launch = campaign.safe_launch_period
    bounds = campaign.pilot_devices
    return {
        "campaign_id": campaign.campaign_id,
        "operator": campaign.operator,
        "manufacturer": campaign.manufacturer,
        "model": campaign.model,
        "firmware_version": campaign.firmware_version,
        "regions": sorted(campaign.regions),
        "pilot_period_start": campaign.pilot_period.start,
        "pilot_period_end": campaign.pilot_period.end,
        "safe_launch_period_start": safe_launch.start if safe_launch else None,
        "safe_launch_period_end": safe_launch.end if safe_launch else None,
        "minimum_notice_days": campaign.minimum_notice_days,
        "pilot_devices_minimum": bounds.minimum if bounds else None,
        "pilot_devices_maximum": bounds.maximum if bounds else None,
        "failure_threshold": str(campaign.failure_threshold),
        "created_at": campaign.created_at,
        "stage": campaign.stage.value,
        "paused_from": campaign.paused_from,
        "paused_at": campaign.paused_at,
        "response_deadline": campaign.response_deadline,
        "default_schedule": _schedule_values(campaign.default_schedule),
        "safe_launch_schedule": _schedule_values(campaign.safe_launch_schedule),
        **_times_values("pilot", campaign.pilot),
        **_times_values("safe_launch", campaign.safe_launch),
        "results_reported": campaign.results_reported,
        "results_failed": campaign.results_failed,
        "next_status_at": campaign.next_status_at,
        "ended_from": campaign.ended_from,
        "ended_at": campaign.ended_at,
        "due_at": due_at(campaign),
    }


def to_campaign(row: Row[Any]) -> Campaign:
    """Read a campaign."""
    return Campaign(
        campaign_id=CampaignID(row.campaign_id),
        operator=EUI(row.operator),
        manufacturer=row.manufacturer,
        model=row.model,
        firmware_version=row.firmware_version,
        regions=frozenset(map(Region, row.regions)),
        pilot_period=Period(start=row.pilot_period_start, end=row.pilot_period_end),
        safe_launch_period=_to_period(row.safe_launch_period_start, row.safe_launch_period_end),
        minimum_notice_days=row.minimum_notice_days,
        pilot_devices=_to_bounds(row.pilot_devices_minimum, row.pilot_devices_maximum),
        failure_threshold=Decimal(row.failure_threshold),
        created_at=row.created_at,
        stage=Stage(row.stage),
        paused_from=_to_stage(row.paused_from),
        paused_at=row.paused_at,
        response_deadline=row.response_deadline,
        default_schedule=_to_schedule(row.default_schedule),
        safe_launch_schedule=_to_schedule(row.safe_launch_schedule),
        pilot=_to_times("pilot", row),
        safe_launch=_to_times("safe_launch", row),
        results_reported=row.results_reported,
        results_failed=row.results_failed,
        next_status_at=row.next_status_at,
        ended_from=_to_stage(row.ended_from),
        ended_at=row.ended_at,
    )


def to_tallies(row: Row[Any]) -> dict[Phase, Tally]:
    """Read the sums over a campaign's cells, of each phase that has any hubs."""
    tallies = {
        Phase.PILOT: Tally(row.pilot_devices, row.pilot_activated, row.pilot_failed),
        Phase.SAFE_LAUNCH: Tally(row.safe_launch_devices, row.safe_launch_activated, row.safe_launch_failed),
    }
    return {phase: tally for phase, tally in tallies.items() if tally.devices}


def participation_values(part: Participation) -> Values:
    """Give the row of a Supplier's part in a campaign."""
    return {
        "campaign_id": part.campaign_id,
        "supplier": part.supplier,
        "default_devices": part.default_devices,
        "nominated_devices": part.nominated_devices,
        "preferred_schedule": _schedule_values(part.preferred_schedule),
        "pilot_devices": part.pilot_devices,
        "safe_launch_devices": part.safe_launch_devices,
    }


def to_participation(row: Row[Any]) -> Participation:
    """Read a Supplier's part in a campaign."""
    return Participation(
        campaign_id=CampaignID(row.campaign_id),
        supplier=EUI(row.supplier),
        default_devices=row.default_devices,
        nominated_devices=row.nominated_devices,
        preferred_schedule=_to_schedule(row.preferred_schedule),
        pilot_devices=row.pilot_devices,
        safe_launch_devices=row.safe_launch_devices,
    )


def to_plan_row(row: Sequence[Any]) -> PlanRow:
    """Read a row of a plan."""
    hub, default_supplier, default_position, nominated_by, nominated_position, outcome = row
    return PlanRow(hub, default_supplier, default_position, nominated_by, nominated_position, _RESULTS[outcome])


def to_cell(row: Row[Any]) -> Cell:
    """Read a cell."""
    return Cell(
        phase=_PHASES[row.phase],
        supplier=_somebody(row.supplier),
        electricity_distributor=_somebody(row.electricity_distributor),
        gas_transporter=_somebody(row.gas_transporter),
        region=_REGIONS[row.region],
        window_id=row.window_id,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        devices=row.devices,
        activated=row.activated,
        failed=row.failed,
    )


def _somebody(text: str) -> EUI | None:
    return EUI(text) if text else None


def _times_values(prefix: str, times: PhaseTimes) -> Values:
    return {
        f"{prefix}_starts_at": times.starts_at,
        f"{prefix}_ends_at": times.ends_at,
        f"{prefix}_started_at": times.started_at,
        f"{prefix}_ended_at": times.ended_at,
        f"{prefix}_all_reported": times.all_reported,
        f"{prefix}_cut_short": times.cut_short,
    }


def _to_times(prefix: str, row: Row[Any]) -> PhaseTimes:
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's documented name
    return PhaseTimes(
        starts_at=found[f"{prefix}_starts_at"],
        ends_at=found[f"{prefix}_ends_at"],
        started_at=found[f"{prefix}_started_at"],
        ended_at=found[f"{prefix}_ended_at"],
        all_reported=found[f"{prefix}_all_reported"],
        cut_short=found[f"{prefix}_cut_short"],
    )


def _schedule_values(schedule: Iterable[Window] | None) -> list[Values] | None:
    if schedule is None:
        return None
    return [
        {
            "window_id": window.window_id,
            "start": window.start.isoformat(),
            "end": window.end.isoformat(),
            "max_devices": window.max_devices,
        }
        for window in schedule
    ]


def _to_schedule(values: Iterable[Values] | None) -> tuple[Window, ...] | None:
    if values is None:
        return None
    return tuple(_to_window(one["window_id"], one["start"], one["end"], one["max_devices"]) for one in values)


@lru_cache(maxsize=4096)
def _to_window(window_id: int, start: str, end: str, max_devices: int | None) -> Window:
    """Read a window; the same few come with every batch, for all Suppliers of its campaigns."""
    return Window(
        window_id=window_id,
        start=datetime.fromisoformat(start),
        end=datetime.fromisoformat(end),
        max_devices=max_devices,
    )


def _to_period(start: datetime | None, end: datetime | None) -> Period | None:
    return None if start is None or end is None else Period(start=start, end=end)


def _to_bounds(minimum: int | None, maximum: int | None) -> DeviceBounds | None:
    return None if minimum is None or maximum is None else DeviceBounds(minimum=minimum, maximum=maximum)


def _to_stage(text: str | None) -> Stage | None:
    return None if text is None else Stage(text)
