"""`chfw-sr report`: how the Pilot and the Safe Launch stand."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chfw_sr.campaign.status import PhaseReport, ReportRow
from chfw_sr.cli.app import CommandError, app, command, with_store
from chfw_sr.cli.output import Json, JsonOption, cell, note, plain, print_json, print_table, record
from chfw_sr.messages import EUI, CampaignID, instant_text
from chfw_sr.service.ports import Store

from .page import render
from .summary import COUNTS, Reported, load_reported


class ReportFormat(StrEnum):
    """How the report is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


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


@command(app, "report")
def report_command(
    context: typer.Context,
    campaign: Annotated[str | None, typer.Argument(metavar="CAMPAIGN", help="CampaignID; without it, all.")] = None,
    output_format: Annotated[ReportFormat, typer.Option("--format", help="How to print.")] = ReportFormat.TEXT,
    json_output: JsonOption = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page to look at or to print."),
    ] = None,
    at: AtOption = None,
) -> None:
    """Report the status of Pilot and Safe Launch.

    Counts hubs in all, per Supplier and per region. Devices are the hubs of the phase: scheduled (no result, window
    still to start), activated, failed, pending (no result, window started or over). A phase's result tells a phase that
    never ran (NeverRan) from one that succeeded, that ended with failures or with silent hubs, and that was cut short.

    The page of --html shows more: progress over time against the schedule, failures by reason, silent hubs, what
    happens next, what happened. It needs no network. --json has the same.

    CSV has one line per phase (scope total), per Supplier (supplier) and per region (region).

    Example:
      chfw-sr report 2026-PILOT-01
      chfw-sr report --format csv > status.csv
      chfw-sr report --html status.html
    """
    now = at or datetime.now(UTC).replace(microsecond=0)

    async def load(store: Store) -> tuple[list[Reported], dict[EUI, str]]:
        ids = [CampaignID(campaign)] if campaign else [each.campaign_id for each in await store.queries.campaigns()]
        names = {user.user.eui: user.user.name for user in await store.register.users()}
        return await load_reported(store, ids, now), names

    found, names = with_store(context, load)
    if campaign and not found:
        raise CommandError(f"no campaign {campaign}; see: chfw-sr campaign list")
    if html is not None:
        html.write_text(render(found, names, now), "utf-8")
        note(f"written: {html}")
    elif json_output or output_format is ReportFormat.JSON:
        print_json([_as_json(each, names, now) for each in found])
    elif output_format is ReportFormat.CSV:
        typer.echo(_as_csv(found, names), nl=False)
    else:
        for each in found:
            _print_text(each, names, now)


def _as_json(each: Reported, names: Mapping[EUI, str], now: datetime) -> dict[str, Json]:
    campaign = each.view.campaign
    return {
        "campaign_id": campaign.campaign_id,
        "stage": campaign.stage,
        "firmware_version": campaign.firmware_version,
        "as_of": instant_text(now),
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
        "upcoming": [record(one) for one in each.upcoming],
        **{name: plain(getattr(each.progress, name)) for name in ("hours", "failures", "silent")},
    }


def _numbers(row: ReportRow) -> tuple[int, ...]:
    return tuple(getattr(row.counts, name) for name in COUNTS)


def _as_csv(found: Sequence[Reported], names: Mapping[EUI, str]) -> str:
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


def _print_text(each: Reported, names: Mapping[EUI, str], now: datetime) -> None:
    campaign = each.view.campaign
    typer.echo(
        f"{campaign.campaign_id}: {campaign.stage}, version {cell(campaign.firmware_version)}, {instant_text(now)}"
    )
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
