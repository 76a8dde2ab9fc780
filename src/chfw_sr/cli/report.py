"""`chfw-sr report`: how the Pilot and the Safe Launch stand."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from chfw_sr.campaign.model import Campaign, Cell, Tally
from chfw_sr.campaign.status import PhaseReport, PhaseResult, ReportRow, phase_result, report
from chfw_sr.messages import EUI, CampaignID, Phase
from chfw_sr.service.ports import CampaignView, Store

from .app import CommandError, app, command, with_store
from .output import Json, JsonOption, cell, instant, print_json, print_table, record

COUNTS = ("devices", "scheduled", "activated", "failed", "pending")
"""What is counted, in order; the first is the sum of the others."""


class ReportFormat(StrEnum):
    """How the report is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class PhaseSummary:
    """A phase of a campaign: how it turned out, and its counts."""

    result: PhaseResult
    counts: PhaseReport


def summarise(campaign: Campaign, cells: Sequence[Cell], now: datetime) -> dict[Phase, PhaseSummary]:
    """Tell how each phase of a campaign stands.

    Args:
        campaign: the campaign.
        cells: all of its cells.
        now: the time as of which hubs count as scheduled or pending.
    """
    summaries = {}
    for phase in Phase:
        counted = report(cells, phase, now)
        total = counted.total.counts
        result = phase_result(campaign, phase, Tally(total.devices, total.activated, total.failed))
        summaries[phase] = PhaseSummary(result, counted)
    return summaries


def read_instant(text: str) -> datetime:
    """Read a date and time given on the command line.

    Raises:
        typer.BadParameter: if it is none, or has no offset.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date and time, for instance 2026-03-01T09:00:00Z") from None
    if at.tzinfo is None:
        raise typer.BadParameter(f"{text!r} needs an offset, for instance Z")
    return at.astimezone(UTC)


AtOption = Annotated[
    datetime | None, typer.Option("--at", parser=read_instant, metavar="DATETIME", help="As of then; by default, now.")
]


@dataclass(frozen=True, slots=True)
class _Reported:
    view: CampaignView
    phases: Mapping[Phase, PhaseSummary]


@command(app, "report")
def report_command(
    context: typer.Context,
    campaign: Annotated[str | None, typer.Argument(metavar="CAMPAIGN", help="CampaignID; without it, all.")] = None,
    output_format: Annotated[ReportFormat, typer.Option("--format", help="How to print.")] = ReportFormat.TEXT,
    json_output: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Report the status of Pilot and Safe Launch.

    Counts hubs in all, per Supplier and per region. Devices are the hubs of the phase: scheduled (no result, window
    still to start), activated, failed, pending (no result, window started or over). A phase's result tells a phase that
    never ran (NeverRan) from one that succeeded, that ended with failures or with silent hubs, and that was cut short.

    CSV has one line per phase (scope total), per Supplier (supplier) and per region (region).

    Example:
      chfw-sr report 2026-PILOT-01
      chfw-sr report --format csv > status.csv
    """
    now = at or datetime.now(UTC).replace(microsecond=0)

    async def load(store: Store) -> tuple[list[_Reported], dict[EUI, str]]:
        ids = [CampaignID(campaign)] if campaign else [each.campaign_id for each in await store.queries.campaigns()]
        views = [view for each in ids if (view := await store.queries.campaign(each)) is not None]
        names = {user.user.eui: user.user.name for user in await store.register.users()}
        return [_Reported(view, summarise(view.campaign, view.cells, now)) for view in views], names

    found, names = with_store(context, load)
    if campaign and not found:
        raise CommandError(f"no campaign {campaign}; see: chfw-sr campaign list")
    if json_output or output_format is ReportFormat.JSON:
        print_json([_as_json(each, names, now) for each in found])
    elif output_format is ReportFormat.CSV:
        typer.echo(_as_csv(found, names), nl=False)
    else:
        for each in found:
            _print_text(each, names, now)


def _as_json(each: _Reported, names: Mapping[EUI, str], now: datetime) -> dict[str, Json]:
    campaign = each.view.campaign
    return {
        "campaign_id": campaign.campaign_id,
        "stage": campaign.stage,
        "firmware_version": campaign.firmware_version,
        "as_of": instant(now),
        "phases": [
            {
                "phase": phase,
                "result": summary.result,
                "total": record(summary.counts.total.counts),
                "by_supplier": [
                    {"supplier": row.supplier, "name": _name(row.supplier, names), **record(row.counts)}
                    for row in summary.counts.by_supplier
                ],
                "by_region": [{"region": row.region, **record(row.counts)} for row in summary.counts.by_region],
            }
            for phase, summary in each.phases.items()
        ],
    }


def _numbers(row: ReportRow) -> tuple[int, ...]:
    return tuple(getattr(row.counts, name) for name in COUNTS)


def _as_csv(found: Sequence[_Reported], names: Mapping[EUI, str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("campaign", "stage", "phase", "result", "scope", "supplier", "name", "region", *COUNTS))
    for each in found:
        campaign = each.view.campaign
        for phase, summary in each.phases.items():
            for scope, row in _scoped(summary.counts):
                place = (scope, row.supplier or "", _name(row.supplier, names) or "", row.region or "")
                writer.writerow((campaign.campaign_id, campaign.stage, phase, summary.result, *place, *_numbers(row)))
    return text.getvalue()


def _scoped(counted: PhaseReport) -> Iterator[tuple[str, ReportRow]]:
    yield "total", counted.total
    for row in counted.by_supplier:
        yield "supplier", row
    for row in counted.by_region:
        yield "region", row


def _print_text(each: _Reported, names: Mapping[EUI, str], now: datetime) -> None:
    campaign = each.view.campaign
    typer.echo(f"{campaign.campaign_id}: {campaign.stage}, version {cell(campaign.firmware_version)}, {instant(now)}")
    for phase, summary in each.phases.items():
        counted = summary.counts
        typer.echo(f"\n{phase}: {summary.result}")
        if not counted.by_supplier:
            typer.echo("  no hubs")
            continue
        rows: list[tuple[object, ...]] = [("all", *_numbers(counted.total))]
        rows += [(_supplier(row.supplier, names), *_numbers(row)) for row in counted.by_supplier]
        rows += [(row.region, *_numbers(row)) for row in counted.by_region]
        print_table(("", *COUNTS), rows)
    typer.echo()


def _name(supplier: EUI | None, names: Mapping[EUI, str]) -> str | None:
    return names.get(supplier) if supplier else None


def _supplier(supplier: EUI | None, names: Mapping[EUI, str]) -> str:
    if supplier is None:
        return "(no Supplier)"
    return f"{supplier} {names.get(supplier, '')}".rstrip()
