"""Every stage change of a campaign, in one table (wire contract §3).

A row says: in this stage, on this event, the campaign moves to that stage. What has no row is illegal. `advance` is the
only place where a campaign's stage changes; it keeps the dates that go with it. The diagram is drawn from the table.
"""

from dataclasses import replace
from datetime import datetime
from enum import Enum, StrEnum

from chfw_sr.messages import Phase, Stage

from .decision import Policy
from .model import Campaign


class Event(StrEnum):
    """What makes a campaign change its stage: a Service Request, the clock, or too many failures."""

    PUBLISH_PILOT_PLAN = "PublishPilotPlan"
    DEADLINE_PASSED = "DeadlinePassed"
    PHASE_STARTED = "PhaseStarted"
    PHASE_ENDED = "PhaseEnded"
    PUBLISH_SAFE_LAUNCH_SCHEDULE = "PublishSafeLaunchSchedule"
    PAUSE = "Pause"
    THRESHOLD_EXCEEDED = "ThresholdExceeded"
    RESUME = "Resume"
    COMPLETE = "Complete"
    ABORT = "Abort"


class Back(Enum):
    """In place of a stage in the table: return to the stage that was paused."""

    PAUSED_FROM = "paused_from"


TRANSITIONS: dict[tuple[Stage, Event], Stage | Back] = {
    (Stage.DRAFT, Event.PUBLISH_PILOT_PLAN): Stage.PILOT_CONSULTATION,
    (Stage.PILOT_CONSULTATION, Event.DEADLINE_PASSED): Stage.PILOT_CONFIRMED,
    (Stage.PILOT_CONFIRMED, Event.PHASE_STARTED): Stage.PILOT,
    (Stage.PILOT, Event.PHASE_ENDED): Stage.PILOT_COMPLETE,
    (Stage.PILOT_COMPLETE, Event.PUBLISH_SAFE_LAUNCH_SCHEDULE): Stage.SAFE_LAUNCH_SCHEDULED,
    (Stage.SAFE_LAUNCH_SCHEDULED, Event.PHASE_STARTED): Stage.SAFE_LAUNCH,
    (Stage.SAFE_LAUNCH, Event.PHASE_ENDED): Stage.COMPLETE,
    # Paused from any stage but Draft and the ends; by itself only while hubs activate.
    (Stage.PILOT_CONSULTATION, Event.PAUSE): Stage.PAUSED,
    (Stage.PILOT_CONFIRMED, Event.PAUSE): Stage.PAUSED,
    (Stage.PILOT, Event.PAUSE): Stage.PAUSED,
    (Stage.PILOT_COMPLETE, Event.PAUSE): Stage.PAUSED,
    (Stage.SAFE_LAUNCH_SCHEDULED, Event.PAUSE): Stage.PAUSED,
    (Stage.SAFE_LAUNCH, Event.PAUSE): Stage.PAUSED,
    (Stage.PILOT, Event.THRESHOLD_EXCEEDED): Stage.PAUSED,
    (Stage.SAFE_LAUNCH, Event.THRESHOLD_EXCEEDED): Stage.PAUSED,
    (Stage.PAUSED, Event.RESUME): Back.PAUSED_FROM,
    # Ended by hand.
    (Stage.PILOT_COMPLETE, Event.COMPLETE): Stage.COMPLETE,
    (Stage.SAFE_LAUNCH_SCHEDULED, Event.COMPLETE): Stage.COMPLETE,
    (Stage.SAFE_LAUNCH, Event.COMPLETE): Stage.COMPLETE,
    (Stage.DRAFT, Event.ABORT): Stage.ABORTED,
    (Stage.PILOT_CONSULTATION, Event.ABORT): Stage.ABORTED,
    (Stage.PILOT_CONFIRMED, Event.ABORT): Stage.ABORTED,
    (Stage.PILOT, Event.ABORT): Stage.ABORTED,
    (Stage.PILOT_COMPLETE, Event.ABORT): Stage.ABORTED,
    (Stage.SAFE_LAUNCH_SCHEDULED, Event.ABORT): Stage.ABORTED,
    (Stage.SAFE_LAUNCH, Event.ABORT): Stage.ABORTED,
    (Stage.PAUSED, Event.ABORT): Stage.ABORTED,
}

RUNNING: dict[Stage, Phase] = {Stage.PILOT: Phase.PILOT, Stage.SAFE_LAUNCH: Phase.SAFE_LAUNCH}
"""The stages in which hubs activate, and the phase that runs."""

_PAUSES = frozenset({Event.PAUSE, Event.THRESHOLD_EXCEEDED})
_BY_HAND = frozenset({Event.COMPLETE, Event.ABORT})


class IllegalTransition(Exception):  # noqa: N818 - whether it is an error is for the caller to say
    """The table has no row for this stage and event.

    Args:
        stage: where the campaign stands.
        event: what does not fit it.
    """

    def __init__(self, stage: Stage, event: Event) -> None:
        super().__init__(f"stage {stage} does not permit {event}")
        self.stage = stage
        self.event = event


def destination(campaign: Campaign, event: Event) -> Stage:
    """Tell to which stage an event would move the campaign.

    Raises:
        IllegalTransition: if the event does not fit the campaign's stage.

    Source: wire contract §3.
    """
    target = TRANSITIONS.get((campaign.stage, event))
    if target is Back.PAUSED_FROM:
        target = campaign.paused_from
    if not isinstance(target, Stage):
        raise IllegalTransition(campaign.stage, event)
    return target


def advance(campaign: Campaign, event: Event, now: datetime, policy: Policy) -> Campaign:
    """Move a campaign to its next stage, with every date that goes with it.

    Args:
        campaign: as it stands.
        event: what happened.
        now: when it happened, aware.
        policy: gives the time of the next daily status report.

    Returns:
        The campaign in its new stage. A consultation that is resumed has its deadline moved by the length of the pause.

    Raises:
        IllegalTransition: if the event does not fit the campaign's stage.

    Source: wire contract §3.
    """
    target = destination(campaign, event)
    changed = replace(
        campaign,
        stage=target,
        next_status_at=policy.next_status(now) if target in RUNNING else None,
    )
    if event in _PAUSES:
        return replace(changed, paused_from=campaign.stage, paused_at=now)
    if event is Event.RESUME:
        return _resumed(changed, now)
    if event in _BY_HAND:
        changed = _ended_by_hand(changed, campaign.paused_from or campaign.stage, now)
    elif event is Event.PHASE_STARTED:
        phase = RUNNING[target]
        changed = changed.with_times(phase, replace(changed.times(phase), started_at=now))
    elif event is Event.PHASE_ENDED:
        phase = RUNNING[campaign.stage]
        changed = changed.with_times(phase, replace(changed.times(phase), ended_at=now))
    return changed if changed.is_live else replace(changed, ended_at=now)


def _resumed(campaign: Campaign, now: datetime) -> Campaign:
    deadline = campaign.response_deadline
    if campaign.stage is Stage.PILOT_CONSULTATION and deadline is not None and campaign.paused_at is not None:
        deadline += now - campaign.paused_at
    return replace(
        campaign, paused_from=None, paused_at=None, response_deadline=deadline, results_reported=0, results_failed=0
    )


def _ended_by_hand(campaign: Campaign, ended_from: Stage, now: datetime) -> Campaign:
    """End a campaign, and the phase that ran: it was cut short if hubs were silent and it had time left."""
    campaign = replace(campaign, paused_from=None, paused_at=None, ended_from=ended_from)
    phase = RUNNING.get(ended_from)
    if phase is None:
        return campaign
    times = campaign.times(phase)
    cut_short = not times.all_reported and times.ends_at is not None and now < times.ends_at
    return campaign.with_times(phase, replace(times, ended_at=now, cut_short=cut_short))


def diagram() -> str:
    """Draw the table as a Mermaid state diagram, one line a transition, in the table's order."""
    lines = ["stateDiagram-v2", f"    [*] --> {Stage.DRAFT}"]
    for (stage, event), target in TRANSITIONS.items():
        targets = _paused_stages() if isinstance(target, Back) else [target]
        lines += [f"    {stage} --> {each}: {event}" for each in targets]
    left = {stage for stage, _ in TRANSITIONS}
    lines += [f"    {stage} --> [*]" for stage in Stage if stage not in left]
    return "\n".join(lines) + "\n"


def _paused_stages() -> list[Stage]:
    return [stage for (stage, event) in TRANSITIONS if event is Event.PAUSE]
