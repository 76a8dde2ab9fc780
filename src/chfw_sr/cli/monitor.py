"""`chfw-sr monitor`: what goes on, live in a terminal."""

import asyncio
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from chfw_sr import bootstrap
from chfw_sr.bootstrap.buses import open_depths
from chfw_sr.bootstrap.depths import QueueDepths
from chfw_sr.campaign.model import Campaign, Cell
from chfw_sr.campaign.status import counts
from chfw_sr.messages import Phase, PhaseCounts, instant_text
from chfw_sr.service.ports import DEPTH_LIMIT, Depths, InboxEntry, Quarantined, Store, Unavailable

from .app import app, command, settings_of
from .output import cell
from .report.summary import PHASES, Upcoming, upcoming

NEWEST = 500
"""Requests that one look takes in; where more came meanwhile, their rate is a lower bound."""

SHOWN = 8
"""Lines of failures and of quarantined input."""


@dataclass(frozen=True, slots=True)
class Running:
    """A live campaign, and the counts of its phases that have hubs."""

    campaign: Campaign
    phases: Mapping[Phase, PhaseCounts]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there was at one moment.

    Attributes:
        queues: how many messages lie ready, by queue; None where RabbitMQ is not used.
        unavailable: what cannot be told, and why.
    """

    at: datetime
    depths: Depths
    running: tuple[Running, ...]
    requests: tuple[InboxEntry, ...]
    quarantined: tuple[Quarantined, ...]
    queues: Mapping[str, int] | None = None
    unavailable: str = ""


async def look(store: Store, queues: QueueDepths | None, now: datetime) -> Snapshot:
    """Take a snapshot.

    Args:
        store: the database.
        queues: asks RabbitMQ; None where it is not used.
        now: the present.

    Raises:
        Unavailable: if the database is away; of RabbitMQ the snapshot says it.
    """
    running = []
    for each in await store.queries.campaigns():
        view = await store.queries.campaign(each.campaign_id) if each.is_live else None
        if view is not None:
            running.append(Running(view.campaign, dict(_phases(view.cells, now))))
    found, why = None, ""
    if queues is not None:
        try:
            found = await queues.look()
        except Unavailable as error:
            why = str(error)
    return Snapshot(
        at=now,
        depths=await store.queries.depths(),
        running=tuple(running),
        requests=tuple(await store.queries.inbox(NEWEST)),
        quarantined=tuple(await store.queries.quarantined(SHOWN)),
        queues=found,
        unavailable=why,
    )


async def look_again(store: Store, queues: QueueDepths | None, before: Snapshot) -> Snapshot:
    """Take the next snapshot; where the database is away, the one before it stands, and says so."""
    try:
        return await look(store, queues, datetime.now(UTC))
    except Unavailable as error:
        return replace(before, unavailable=str(error))


def _phases(cells: Sequence[Cell], now: datetime) -> Iterator[tuple[Phase, PhaseCounts]]:
    for phase in Phase:
        if own := [each for each in cells if each.phase is phase]:
            yield phase, counts(own, now)


def frame(seen: Snapshot, before: Snapshot | None) -> RenderableType:
    """Draw a snapshot.

    Args:
        seen: what to show.
        before: the snapshot before it, which rates are measured against.
    """
    parts: list[RenderableType] = [Text(f"chfw-sr  {instant_text(seen.at.replace(microsecond=0))}", style="bold")]
    parts.append(_panel("Campaigns", _campaigns(seen, before)))
    parts.append(_panel("Flow", _flow(seen, before)))
    parts.append(_panel("Refused lately", _refusals(seen)))
    parts.append(_panel("Quarantine", _quarantine(seen)))
    return Group(*parts)


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", box=box.ROUNDED)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="ellipsis", no_wrap=True)
    return table


_NUMBERS = frozenset({"devices", "activated", "failed", "pending", "a minute"})


def _campaigns(seen: Snapshot, before: Snapshot | None) -> RenderableType:
    if not seen.running:
        return Text("no live campaign", style="dim")
    table = _table("campaign", "stage", "", "devices", "activated", "failed", "pending", "a minute", "next")
    for each in seen.running:
        following = next(map(_told, upcoming(each.campaign)), "")
        if not each.phases:
            table.add_row(each.campaign.campaign_id, each.campaign.stage, "", "", "", "", "", "", following)
        for phase, found in each.phases.items():
            table.add_row(
                each.campaign.campaign_id,
                f"{each.campaign.stage} ({PHASES[phase]})",
                ProgressBar(total=max(1, found.devices), completed=found.activated, width=16),
                *(f"{number:,}" for number in (found.devices, found.activated)),
                Text(f"{found.failed:,}", style="red" if found.failed else ""),
                f"{found.pending:,}",
                _rate(_results(seen, each.campaign, phase), _results(before, each.campaign, phase), seen, before),
                following,
            )
    return table


def _told(coming: Upcoming) -> str:
    return f"{instant_text(coming.at)} {coming.what}" if coming.at else coming.what


def _results(seen: Snapshot | None, campaign: Campaign, phase: Phase) -> int:
    for each in seen.running if seen else ():
        if each.campaign.campaign_id == campaign.campaign_id and phase in each.phases:
            return each.phases[phase].activated + each.phases[phase].failed
    return 0


def _rate(number: int, earlier: int, seen: Snapshot, before: Snapshot | None) -> str:
    """Give how many more there are a minute; nothing where that cannot be known yet."""
    if before is None or seen.at <= before.at:
        return ""
    return f"{(number - earlier) / (seen.at - before.at).total_seconds() * 60:,.0f}"


def _flow(seen: Snapshot, before: Snapshot | None) -> RenderableType:
    table = _table("what", "now")
    if before is not None and seen.at > before.at:
        new = [each for each in seen.requests if each.received_at > before.at]
        more = "at least " if len(new) == NEWEST else ""
        table.add_row("requests answered a minute", more + _rate(len(new), 0, seen, before))
    depths = seen.depths
    age = f", the oldest for {(seen.at - depths.oldest).total_seconds():,.0f} s" if depths.oldest else ""
    table.add_row("messages to publish", _depth(depths.outbox) + age)
    table.add_row("input put aside", _depth(depths.quarantined))
    for queue, ready in (seen.queues or {}).items():
        table.add_row(f"queue {queue}", f"{ready:,}")
    if seen.unavailable:
        table.add_row("unavailable", Text(seen.unavailable, style="red"))
    return table


def _depth(number: int) -> str:
    return f"{number:,}" if number < DEPTH_LIMIT else f"{DEPTH_LIMIT:,} or more"


def _refusals(seen: Snapshot) -> RenderableType:
    refused = [each for each in seen.requests if each.code.startswith("E")][:SHOWN]
    if not refused:
        return Text(f"none among the newest {len(seen.requests)}", style="dim")
    table = _table("received", "SRV", "code", "request")
    for each in refused:
        table.add_row(cell(each.received_at), cell(each.srv), Text(each.code, style="red"), each.request_id)
    return table


def _quarantine(seen: Snapshot) -> RenderableType:
    waiting = [each for each in seen.quarantined if each.replayed_at is None]
    if not waiting:
        return Text("empty", style="dim")
    table = _table("id", "received", "code", "reason")
    for each in waiting:
        table.add_row(str(each.id), cell(each.received_at), Text(cell(each.code), style="red"), Text(cell(each.reason)))
    return table


@command(app, "monitor")
def monitor(
    context: typer.Context,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.1, help="How often to look.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, print it, and end.")] = False,
) -> None:
    """Show what goes on: live campaigns and what comes next, flow and backlog, refusals, quarantine. Changes nothing.

    Reads the database, and RabbitMQ's queues where amqp_url is set. Ends with Ctrl-C or SIGTERM.

    Example:
      chfw-sr monitor
      chfw-sr monitor --once > now.txt
    """
    settings = settings_of(context)

    async def watch() -> None:
        watching, console = asyncio.current_task(), Console()
        assert watching is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, watching.cancel)
        async with bootstrap.open_store(settings) as store, open_depths(settings) as queues:
            seen = await look(store, queues, datetime.now(UTC))
            if once:
                console.print(frame(seen, None))
                return
            with Live(frame(seen, None), console=console, screen=console.is_terminal, auto_refresh=False) as live:
                before: Snapshot | None = None
                while True:
                    live.update(frame(seen, before), refresh=True)
                    await asyncio.sleep(every)
                    before, seen = seen, await look_again(store, queues, seen)

    try:
        asyncio.run(watch())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit from None
