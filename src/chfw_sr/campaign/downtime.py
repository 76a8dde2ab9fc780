"""What a downtime of the service does to consultations: a deadline that passed meanwhile is made good.

Suppliers could not answer while nobody took their requests, so a response deadline that fell into the downtime moves by
its whole length. Windows stay where they are, as after a pause.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chfw_sr.messages import EUI, Stage

from .changes import CampaignEvent, CampaignSaved
from .decision import Decision
from .model import CampaignFacts
from .notices import stage_changed
from .schedules import in_text


@dataclass(frozen=True, slots=True)
class Downtime:
    """From when to when nobody took requests; both aware and in UTC."""

    began: datetime
    ended: datetime

    @property
    def length(self) -> timedelta:
        """How long it lasted."""
        return self.ended - self.began


def downtime_of(last_up: datetime | None, now: datetime, tolerance: timedelta) -> Downtime | None:
    """Tell whether the service was down.

    Args:
        last_up: when it was last known to be up; None if it never was.
        now: when it is up again.
        tolerance: a shorter silence is none.
    """
    if last_up is None or now - last_up <= tolerance:
        return None
    return Downtime(last_up, now)


def make_good(found: CampaignFacts, operators: tuple[EUI, ...], downtime: Downtime) -> Decision:
    """Extend a campaign's response deadline, if it passed during a downtime, and tell its Suppliers (N906).

    Args:
        found: the campaign, locked.
        operators: all Users in the role DCC.
        downtime: when the service was down.

    Returns:
        The decision; an empty one for a campaign that lost nothing. The stage is `PilotConsultation` before and after.

    Source: wire contract §5 (N906).
    """
    campaign = found.campaign
    deadline = campaign.response_deadline
    if campaign.stage is not Stage.PILOT_CONSULTATION or deadline is None:
        return Decision()
    if not downtime.began < deadline <= downtime.ended:
        return Decision()
    extended = replace(campaign, response_deadline=deadline + downtime.length)
    assert extended.response_deadline is not None
    reason = (
        f"The service was down from {in_text(downtime.began)} to {in_text(downtime.ended)}; "
        f"the response deadline moved to {in_text(extended.response_deadline)}."
    )
    return Decision(
        changes=(CampaignSaved(extended, CampaignEvent.DEADLINE_MOVED, reason),),
        alerts=stage_changed(campaign, extended, reason, found.everybody, operators),
    )
