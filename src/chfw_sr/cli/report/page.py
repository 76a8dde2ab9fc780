"""The page of `chfw-sr report --html`: one file that needs nothing else, for people who would rather look than read."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from chfw_sr.campaign.status import PhaseResult
from chfw_sr.cli.output import visible
from chfw_sr.messages import EUI, Phase, instant_text

from . import chart
from .summary import COUNTS, PHASES, Reported

RESULTS = {
    PhaseResult.NOT_STARTED: "not started yet",
    PhaseResult.NEVER_RAN: "never ran",
    PhaseResult.NO_HUBS: "ran without a hub",
    PhaseResult.RUNNING: "running",
    PhaseResult.PAUSED: "paused",
    PhaseResult.SUCCEEDED: "succeeded: every hub has activated",
    PhaseResult.ENDED_WITH_FAILURES: "ended with failures",
    PhaseResult.ENDED_WITH_SILENT_HUBS: "ended with silent hubs",
    PhaseResult.CUT_SHORT: "cut short",
}
"""How a phase stands, in words."""


def render(campaigns: Sequence[Reported], names: Mapping[EUI, str], now: datetime) -> str:
    """Write the page.

    Args:
        campaigns: what to tell of, in this order.
        names: of Users, where they are known.
        now: the time as of which it is told.

    Returns:
        A whole HTML document; what came in from outside is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "instant": instant_text,
        "visible": visible,
        "thousands": "{:,}".format,
        "percent": _percent,
    }
    return environment.get_template("page.html").render(
        campaigns=campaigns,
        now=now,
        names=names,
        phases=PHASES,
        results=RESULTS,
        counts=COUNTS,
        chart=chart,
        away=lambda at: _away(at, now),
        draw=lambda each, phase: _draw(each, phase, now),
    )


def _draw(each: Reported, phase: Phase, now: datetime) -> chart.Chart | None:
    cells = [cell for cell in each.view.cells if cell.phase is phase]
    return chart.chart(cells, [hour for hour in each.progress.hours if hour.phase is phase], now)


def _percent(part: int, whole: int) -> str:
    """Give a share as CSS and people write it."""
    return f"{100 * part / whole:.1f}%" if whole else "0%"


def _away(at: datetime, now: datetime) -> str:
    """Say how far an instant is from the present, in one unit."""
    distance = abs(at - now)
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if distance >= length:
            number = distance // length
            text = f"{number} {unit}{'' if number == 1 else 's'}"
            return f"in {text}" if at > now else f"{text} ago"
    return "now"
