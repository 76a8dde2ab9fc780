"""What a report tells of a campaign, however it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chfw_sr.campaign.model import Campaign, Cell, Tally
from chfw_sr.campaign.status import PhaseReport, PhaseResult, phase_result, report
from chfw_sr.messages import CampaignID, Phase, Stage
from chfw_sr.service.ports import CampaignView, HistoryRow, Progress, Store

COUNTS = ("devices", "scheduled", "activated", "failed", "pending")
"""What is counted, in order; the first is the sum of the others."""

LISTED = 50
"""Reasons and silent hubs that a report lists of a phase."""

EVENTS = 30
"""Lines of the history that a report shows, the newest."""


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


PHASES = {Phase.PILOT: "Pilot", Phase.SAFE_LAUNCH: "Safe Launch"}
"""The phases by the names that people use."""

_BY_HAND = {
    Stage.DRAFT: "The DCC publishes a Pilot Plan (11.21).",
    Stage.PILOT_COMPLETE: "The DCC publishes a Safe Launch Schedule (11.22).",
    Stage.PAUSED: "The DCC resumes or aborts the campaign (11.23); no step is taken until then.",
}
"""What is waited for where the clock has nothing to do."""

_CLOCK_DRIVEN = {
    Stage.PILOT_CONFIRMED: Phase.PILOT,
    Stage.PILOT: Phase.PILOT,
    Stage.SAFE_LAUNCH_SCHEDULED: Phase.SAFE_LAUNCH,
    Stage.SAFE_LAUNCH: Phase.SAFE_LAUNCH,
}
"""The phase that the clock starts or ends next."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """Something that will happen by itself, or that is waited for; `at` is None where nobody knows when."""

    what: str
    at: datetime | None = None


def upcoming(campaign: Campaign) -> tuple[Upcoming, ...]:
    """Tell what happens next to a campaign, what is nearest first; nothing where it is over."""
    if campaign.stage in _BY_HAND:
        return (Upcoming(_BY_HAND[campaign.stage]),)
    if campaign.stage is Stage.PILOT_CONSULTATION:
        first = min((each.start for each in campaign.default_schedule or ()), default=None)
        return (
            Upcoming("Suppliers may answer until then; the plan is confirmed.", campaign.response_deadline),
            Upcoming("The first window of the default schedule starts.", first),
        )
    if campaign.stage not in _CLOCK_DRIVEN:
        return ()
    phase = _CLOCK_DRIVEN[campaign.stage]
    times = campaign.times(phase)
    start = Upcoming(f"The first window of the {PHASES[phase]} starts.", times.starts_at)
    status = Upcoming("The daily status report is sent (N909).", campaign.next_status_at)
    end = Upcoming(f"The last window of the {PHASES[phase]} ends.", times.ends_at)
    known = [(each.at, each) for each in (status if times.started_at else start, end) if each.at is not None]
    return tuple(each for _, each in sorted(known, key=lambda pair: pair[0]))


@dataclass(frozen=True, slots=True)
class Reported:
    """A campaign as a report tells of it."""

    view: CampaignView
    phases: Mapping[Phase, PhaseSummary]
    progress: Progress
    history: tuple[HistoryRow, ...]
    upcoming: tuple[Upcoming, ...]


async def load_reported(store: Store, campaign_ids: Sequence[CampaignID], now: datetime) -> list[Reported]:
    """Look campaigns up; one that does not exist is left out.

    Args:
        store: where.
        campaign_ids: which.
        now: the time as of which hubs count as scheduled, pending or silent.
    """
    found = []
    for campaign_id in campaign_ids:
        view = await store.queries.campaign(campaign_id)
        if view is not None:
            progress = await store.queries.progress(campaign_id, now, LISTED)
            history = await store.queries.campaign_history(campaign_id, EVENTS)
            phases = summarise(view.campaign, view.cells, now)
            found.append(Reported(view, phases, progress, tuple(history), upcoming(view.campaign)))
    return found
