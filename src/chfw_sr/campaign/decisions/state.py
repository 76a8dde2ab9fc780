"""11.23 Update Campaign State: pause, resume, abort and complete by hand (wire contract §3)."""

from chfw_sr.campaign.changes import CampaignEvent, CampaignSaved, Change
from chfw_sr.campaign.decision import Decision
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.notices import completed, stage_changed
from chfw_sr.campaign.schedules import in_text
from chfw_sr.campaign.transitions import Event, advance
from chfw_sr.messages import EUI, Action, ResponseCode, UpdateCampaignState

from .case import Case, permit

_EVENTS = {
    Action.PAUSE: Event.PAUSE,
    Action.RESUME: Event.RESUME,
    Action.ABORT: Event.ABORT,
    Action.COMPLETE: Event.COMPLETE,
}


def needs(user: EUI, body: UpdateCampaignState) -> Needs:
    """11.23 needs the campaign and whom to tell."""
    return Needs(user=user, campaign=body.campaign_id, everybody=True)


def decide(case: Case[UpdateCampaignState]) -> Decision:
    """Pause, resume, abort or complete a campaign.

    Raises:
        Rejected: `E112301` for an unknown campaign, `E112302` if its stage does not permit the action.

    Source: wire contract §3.
    """
    body = case.body
    found = case.campaign(body.campaign_id, ResponseCode.E112301)
    before = found.campaign
    event = _EVENTS[body.action]
    permit(before, event, ResponseCode.E112302)
    after = advance(before, event, case.now, case.policy)
    changes: list[Change] = [CampaignSaved(after, CampaignEvent.STAGE_CHANGED, body.reason)]
    if after.response_deadline is not None and after.response_deadline != before.response_deadline:
        moved = f"The response deadline moved to {in_text(after.response_deadline)}, by the length of the pause."
        changes.append(CampaignSaved(after, CampaignEvent.DEADLINE_MOVED, moved))
    return Decision(
        code=ResponseCode.I99,
        changes=tuple(changes),
        alerts=(
            *stage_changed(before, after, body.reason, found.everybody, case.facts.operators),
            completed(case.request_id, body.srv, ResponseCode.I99),
        ),
    )
