"""What the clock makes a campaign do (wire contract §3), one step at a time.

The caller asks `due_at`, loads `needs_of_step`, takes `decide_step`, and goes on until nothing is due: so a campaign
catches up after a long standstill or a pause, through every stage, in order. Steps are dated when they are taken.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto

from chfw_sr.messages import Alert, CampaignID, CampaignStatusReport, Stage

from .changes import CampaignEvent, CampaignSaved
from .confirmation import confirm
from .decision import Decision, Policy
from .facts import Facts, Needs
from .model import Campaign, CampaignFacts
from .notices import PHASE_NAMES, all_reported, recipients, stage_changed
from .status import cells_by, status_for
from .transitions import RUNNING, Event, advance


class _Step(Enum):
    CONFIRM = auto()
    START = auto()
    END = auto()
    REPORT = auto()


def _candidates(campaign: Campaign) -> tuple[tuple[datetime | None, _Step], ...]:
    match campaign.stage:
        case Stage.PILOT_CONSULTATION:
            return ((campaign.response_deadline, _Step.CONFIRM),)
        case Stage.PILOT_CONFIRMED:
            return ((campaign.pilot.starts_at, _Step.START),)
        case Stage.SAFE_LAUNCH_SCHEDULED:
            return ((campaign.safe_launch.starts_at, _Step.START),)
        case Stage.PILOT | Stage.SAFE_LAUNCH:
            times = campaign.times(RUNNING[campaign.stage])
            end = times.started_at if times.all_reported else times.ends_at
            return ((end, _Step.END), (campaign.next_status_at, _Step.REPORT))
        case _:
            return ()


def _next_step(campaign: Campaign) -> tuple[datetime, _Step] | None:
    """Give the step that is due first; an end goes before a report that is due at the same time."""
    following = None
    for at, step in _candidates(campaign):
        if at is not None and (following is None or at < following[0]):
            following = at, step
    return following


def _due_step(campaign: Campaign, now: datetime) -> _Step | None:
    following = _next_step(campaign)
    return None if following is None or following[0] > now else following[1]


def due_at(campaign: Campaign) -> datetime | None:
    """Tell when a campaign's next step is due; None if the clock has nothing to do for it.

    Source: wire contract §3.
    """
    following = _next_step(campaign)
    return None if following is None else following[0]


def needs_of_step(campaign: Campaign, now: datetime) -> Needs:
    """Tell what must be known to take a campaign's next step.

    Args:
        campaign: as it stands under the lock of this transaction; a campaign read earlier may have moved on since.
        now: when the step is taken.
    """
    step = _due_step(campaign, now)
    return Needs(campaign=campaign.campaign_id, everybody=True, plan=step is _Step.CONFIRM, cells=step is _Step.REPORT)


def decide_step(facts: Facts, campaign_id: CampaignID, now: datetime, policy: Policy) -> Decision:
    """Take the one step of a campaign that is due first.

    Args:
        facts: the answers to `needs_of_step`.
        campaign_id: which campaign.
        now: when the step is taken, aware and in UTC.
        policy: the settings that decisions depend on.

    Returns:
        The decision; an empty one if nothing is due.

    Raises:
        ValueError: if the facts were loaded for another step.

    Source: wire contract §3 and §5 (N905, N906, N909).
    """
    found = facts.campaigns.get(campaign_id)
    step = None if found is None else _due_step(found.campaign, now)
    if found is None or step is None:
        return Decision()
    return _STEPS[step](facts, found, now, policy)


def _start(facts: Facts, found: CampaignFacts, now: datetime, policy: Policy) -> Decision:
    after = advance(found.campaign, Event.PHASE_STARTED, now, policy)
    reason = f"The first window of the {PHASE_NAMES[RUNNING[after.stage]]} started."
    return _moved(facts, found, after, reason)


def _end(facts: Facts, found: CampaignFacts, now: datetime, policy: Policy) -> Decision:
    phase = RUNNING[found.campaign.stage]
    if found.campaign.times(phase).all_reported:
        reason = all_reported(phase)
    else:
        reason = f"The last window of the {PHASE_NAMES[phase]} ended."
    return _moved(facts, found, advance(found.campaign, Event.PHASE_ENDED, now, policy), reason)


def _moved(facts: Facts, found: CampaignFacts, after: Campaign, reason: str) -> Decision:
    return Decision(
        changes=(CampaignSaved(after, CampaignEvent.STAGE_CHANGED, reason),),
        alerts=stage_changed(found.campaign, after, reason, found.everybody, facts.operators),
    )


def _report(facts: Facts, found: CampaignFacts, now: datetime, policy: Policy) -> Decision:
    """Send each Supplier with hubs its own counts and the operators all (N909)."""
    campaign = found.campaign
    if not facts.cells and any(tally.devices for tally in found.tallies.values()):
        raise ValueError(f"the cells of campaign {campaign.campaign_id} were not loaded")
    of_supplier = cells_by(facts.cells, lambda cell: cell.supplier)
    taking_part = {
        supplier for supplier, part in found.everybody.items() if part.pilot_devices or part.safe_launch_devices
    }
    everything = status_for(campaign, facts.cells, None, now)
    reported = replace(campaign, next_status_at=policy.next_status(now))
    return Decision(
        changes=(CampaignSaved(reported, CampaignEvent.STATUS_REPORTED),),
        alerts=tuple(
            Alert(
                recipient=each,
                body=CampaignStatusReport(
                    status=everything
                    if each in facts.operators
                    else status_for(campaign, of_supplier.get(each, ()), each, now)
                ),
            )
            for each in recipients(taking_part, facts.operators)
        ),
    )


_STEPS: dict[_Step, Callable[[Facts, CampaignFacts, datetime, Policy], Decision]] = {
    _Step.CONFIRM: confirm,
    _Step.START: _start,
    _Step.END: _end,
    _Step.REPORT: _report,
}
