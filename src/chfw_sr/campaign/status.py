"""What a campaign looks like to its readers: counts from cells, and how each phase turned out (wire contract §5, N909).

Every count is a sum of cells, so that a Supplier's counts, a region's and the whole can never contradict each other.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from chfw_sr.messages import EUI, CampaignStatus, Phase, PhaseCounts, Region, Role, Stage

from .model import SUPPLIER_ROLES, Campaign, Cell, PhaseTimes, Tally, User

Viewer = User | EUI | None
"""Who reads: a User by its roles, a Supplier by its EUI, or None for whoever may see all."""

Key = TypeVar("Key")


def counts(cells: Iterable[Cell], now: datetime) -> PhaseCounts:
    """Add up cells of one phase.

    Args:
        cells: of one phase; hubs that have not reported are `scheduled` before their window starts, `pending` after.
        now: the time that decides which.

    Source: wire contract §5 (N909).
    """
    devices = activated = failed = scheduled = 0
    for cell in cells:
        devices += cell.devices
        activated += cell.activated
        failed += cell.failed
        if now < cell.starts_at:
            scheduled += cell.devices - cell.activated - cell.failed
    return PhaseCounts(
        devices=devices,
        scheduled=scheduled,
        activated=activated,
        failed=failed,
        pending=devices - activated - failed - scheduled,
    )


def visible_cells(cells: Iterable[Cell], viewer: Viewer) -> tuple[Cell, ...]:
    """Keep the cells that a reader may count, each once.

    A Supplier counts the hubs of its lists, a distributor or transporter those it serves; an operator counts all.
    """
    if viewer is None:
        return tuple(cells)
    if not isinstance(viewer, User):
        return tuple(cell for cell in cells if cell.supplier == viewer)
    if Role.DCC in viewer.roles:
        return tuple(cells)
    supplies = bool(viewer.roles & SUPPLIER_ROLES)
    distributes = Role.ED in viewer.roles
    transports = Role.GT in viewer.roles
    return tuple(
        cell
        for cell in cells
        if (supplies and cell.supplier == viewer.eui)
        or (distributes and cell.electricity_distributor == viewer.eui)
        or (transports and cell.gas_transporter == viewer.eui)
    )


def status_for(campaign: Campaign, cells: Iterable[Cell], viewer: Viewer, now: datetime) -> CampaignStatus:
    """Give a campaign's status as one reader may see it.

    Args:
        campaign: the campaign.
        cells: all of its cells.
        viewer: who reads.
        now: the time as of which it is told.

    Returns:
        The status; its Safe Launch part only once a Safe Launch Schedule has been published.

    Source: wire contract §4 (11.9) and §5 (N909).
    """
    mine = visible_cells(cells, viewer)
    has_safe_launch = campaign.safe_launch_schedule is not None
    return CampaignStatus(
        campaign_id=campaign.campaign_id,
        stage=campaign.stage,
        firmware_version=campaign.firmware_version,
        as_of=now,
        pilot=counts(_of(mine, Phase.PILOT), now),
        safe_launch=counts(_of(mine, Phase.SAFE_LAUNCH), now) if has_safe_launch else None,
    )


def _of(cells: Iterable[Cell], phase: Phase) -> list[Cell]:
    return [cell for cell in cells if cell.phase is phase]


def cells_by(cells: Iterable[Cell], key: Callable[[Cell], Key]) -> dict[Key, list[Cell]]:
    """Group cells in one pass, for whoever needs the counts of many Suppliers at once."""
    groups: defaultdict[Key, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[key(cell)].append(cell)
    return dict(groups)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One line of the operations report.

    Attributes:
        phase: the phase counted.
        supplier: the Supplier counted; None for all, or for hubs that have none.
        region: the region counted; None for all.
        counts: the sums.
    """

    phase: Phase
    supplier: EUI | None
    region: Region | None
    counts: PhaseCounts


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """A phase in the operations report: the whole, each Supplier in order of EUI, each region in order of name."""

    total: ReportRow
    by_supplier: tuple[ReportRow, ...]
    by_region: tuple[ReportRow, ...]


def report(cells: Sequence[Cell], phase: Phase, now: datetime) -> PhaseReport:
    """Sum a phase as a whole, per Supplier and per region; hubs without a Supplier come first, under None."""
    chosen = _of(cells, phase)
    suppliers = sorted(cells_by(chosen, lambda cell: cell.supplier).items(), key=lambda item: item[0] or "")
    regions = sorted(cells_by(chosen, lambda cell: cell.region).items())
    return PhaseReport(
        total=ReportRow(phase, None, None, counts(chosen, now)),
        by_supplier=tuple(ReportRow(phase, supplier, None, counts(own, now)) for supplier, own in suppliers),
        by_region=tuple(ReportRow(phase, None, region, counts(own, now)) for region, own in regions),
    )


class PhaseResult(StrEnum):
    """How a phase stands or how it turned out, told honestly.

    `NEVER_RAN` also stands for a phase whose windows had all passed, in a pause, before it could begin and in which no
    hub reported; `NO_HUBS` for one that ran without a hub. A result that comes in after the end still counts.
    """

    NOT_STARTED = "NotStarted"
    NEVER_RAN = "NeverRan"
    NO_HUBS = "NoHubs"
    RUNNING = "Running"
    PAUSED = "Paused"
    SUCCEEDED = "Succeeded"
    ENDED_WITH_FAILURES = "EndedWithFailures"
    ENDED_WITH_SILENT_HUBS = "EndedWithSilentHubs"
    CUT_SHORT = "CutShort"


def phase_result(campaign: Campaign, phase: Phase, tally: Tally) -> PhaseResult:
    """Tell how a phase stands or turned out.

    Args:
        campaign: the campaign.
        phase: which of its phases.
        tally: the sums over all cells of that phase.

    Returns:
        For an ended phase the first that holds of: cut short, no hubs, never ran, failures, silent hubs, success.
    """
    times = campaign.times(phase)
    if times.started_at is None:
        return PhaseResult.NOT_STARTED if campaign.is_live else PhaseResult.NEVER_RAN
    if times.ended_at is None:
        return PhaseResult.PAUSED if campaign.stage is Stage.PAUSED else PhaseResult.RUNNING
    return _ended_result(times, times.started_at, tally)


def _ended_result(times: PhaseTimes, started_at: datetime, tally: Tally) -> PhaseResult:
    if times.cut_short:
        return PhaseResult.CUT_SHORT
    if tally.devices == 0:
        return PhaseResult.NO_HUBS
    if tally.silent == tally.devices and times.ends_at is not None and started_at >= times.ends_at:
        return PhaseResult.NEVER_RAN
    if tally.failed:
        return PhaseResult.ENDED_WITH_FAILURES
    return PhaseResult.ENDED_WITH_SILENT_HUBS if tally.silent else PhaseResult.SUCCEEDED
