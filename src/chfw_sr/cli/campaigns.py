"""`chfw-sr campaign`: the firmware campaigns."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from chfw_sr.campaign.model import Campaign
from chfw_sr.messages import CampaignID, Phase
from chfw_sr.service.ports import CampaignView, HistoryRow, Store

from .app import CommandError, command, command_group, with_store
from .output import Json, JsonOption, plain, print_fields, print_json, print_table, record
from .report import COUNTS, PhaseSummary, summarise

campaign_app = command_group("campaign", "Look at firmware campaigns.")

_PHASE_FIELDS = ("pilot", "safe_launch")
_SCHEDULE_FIELDS = ("default_schedule", "safe_launch_schedule")


@command(campaign_app, "list")
def list_campaigns(context: typer.Context, json_output: JsonOption = False) -> None:
    """List all campaigns, oldest first.

    Example:
      chfw-sr campaign list
    """

    async def campaigns(store: Store) -> Sequence[Campaign]:
        return await store.queries.campaigns()

    found = with_store(context, campaigns)
    if json_output:
        print_json(found)
        return
    rows = [
        (
            each.campaign_id,
            each.stage,
            each.manufacturer,
            each.model,
            each.firmware_version,
            each.regions,
            each.created_at,
            each.response_deadline,
        )
        for each in found
    ]
    print_table(("campaign", "stage", "manufacturer", "model", "version", "regions", "created", "deadline"), rows)


@command(campaign_app, "show")
def show_campaign(
    context: typer.Context,
    campaign: Annotated[str, typer.Argument(metavar="ID", help="CampaignID.")],
    history: Annotated[int, typer.Option("--history", metavar="N", min=0, help="Newest lines of its history.")] = 50,
    json_output: JsonOption = False,
) -> None:
    """Show a campaign: stage, both phases with result and counts, participating Suppliers, history (oldest first).

    Example:
      chfw-sr campaign show 2026-PILOT-01 --history 200
    """
    now = datetime.now(UTC)

    async def load(store: Store) -> tuple[CampaignView, Sequence[HistoryRow], Mapping[str, str]] | None:
        view = await store.queries.campaign(CampaignID(campaign))
        if view is None:
            return None
        rows = await store.queries.campaign_history(view.campaign.campaign_id, history) if history else ()
        return view, rows, {user.user.eui: user.user.name for user in await store.register.users()}

    found = with_store(context, load)
    if found is None:
        raise CommandError(f"no campaign {campaign}; see: chfw-sr campaign list")
    view, rows, names = found
    phases = summarise(view.campaign, view.cells, now)
    if json_output:
        print_json(_as_json(view, phases, rows, names))
    else:
        _print_text(view, phases, rows, names)


def _phase(view: CampaignView, phase: Phase, summary: PhaseSummary) -> dict[str, Json]:
    return {
        "phase": phase,
        "result": summary.result,
        **record(view.campaign.times(phase)),
        **record(summary.counts.total.counts),
    }


def _as_json(
    view: CampaignView, phases: Mapping[Phase, PhaseSummary], rows: Sequence[HistoryRow], names: Mapping[str, str]
) -> dict[str, Json]:
    return {
        **{name: value for name, value in record(view.campaign).items() if name not in _PHASE_FIELDS},
        "phases": [_phase(view, phase, summary) for phase, summary in phases.items()],
        "participants": [
            {"name": names.get(each.supplier), **record(each)}
            for each in sorted(view.participations, key=lambda each: each.supplier)
        ],
        "history": plain(rows),
    }


def _print_text(
    view: CampaignView, phases: Mapping[Phase, PhaseSummary], rows: Sequence[HistoryRow], names: Mapping[str, str]
) -> None:
    hidden = (*_PHASE_FIELDS, *_SCHEDULE_FIELDS)
    print_fields({name: value for name, value in record(view.campaign).items() if name not in hidden})
    outcomes = [_phase(view, phase, summary) for phase, summary in phases.items()]
    columns = ("phase", "result", "started_at", "ended_at", *COUNTS)
    print_table(columns, [[each[name] for name in columns] for each in outcomes], title="Phases")
    for title, windows in (
        ("Default Pilot Schedule", view.campaign.default_schedule),
        ("Safe Launch Schedule", view.campaign.safe_launch_schedule),
    ):
        if windows:
            lines = [(each.window_id, each.start, each.end, each.max_devices) for each in windows]
            print_table(("window", "start", "end", "devices at most"), lines, title=title)
    if view.participations:
        parts = [
            (
                each.supplier,
                names.get(each.supplier),
                each.default_devices,
                each.nominated_devices,
                each.preferred_schedule is not None,
                each.pilot_devices,
                each.safe_launch_devices,
            )
            for each in sorted(view.participations, key=lambda each: each.supplier)
        ]
        headings = ("Supplier", "name", "default", "nominated", "own schedule", "Pilot", "Safe Launch")
        print_table(headings, parts, title="Participants")
    if rows:
        lines_of_history = [(each.at, each.kind, each.user, each.request_id, each.detail) for each in rows]
        print_table(("at", "what", "user", "request", "detail"), lines_of_history, title="History")
