"""11.23: every action in every stage, and who hears of it."""

from dataclasses import replace

import pytest

from chfw_sr.campaign.changes import CampaignEvent, CampaignSaved
from chfw_sr.campaign.decisions import decide, needs_of
from chfw_sr.campaign.model import Participation
from chfw_sr.messages import Action, AlertCode, Rejected, ResponseCode, Stage, UpdateCampaignState

from .examples import (
    CAMPAIGNS,
    CID,
    DAY,
    DCC,
    DCC_TOO,
    DEADLINE,
    ELECTRIC,
    GAS,
    NOW,
    POLICY,
    facts,
    paused_from,
    request,
)

LIVE = set(Stage) - {Stage.COMPLETE, Stage.ABORTED}
LEGAL = {
    Action.PAUSE: LIVE - {Stage.DRAFT, Stage.PAUSED},
    Action.RESUME: {Stage.PAUSED},
    Action.ABORT: LIVE,
    Action.COMPLETE: {Stage.PILOT_COMPLETE, Stage.SAFE_LAUNCH_SCHEDULED, Stage.SAFE_LAUNCH},
}
TARGET = {
    Action.PAUSE: Stage.PAUSED,
    Action.RESUME: Stage.PILOT,
    Action.ABORT: Stage.ABORTED,
    Action.COMPLETE: Stage.COMPLETE,
}
PARTS = {each: Participation(CID, each) for each in (GAS, ELECTRIC)}


def _update(action, campaign, parts=PARTS, now=NOW + 22 * DAY):
    sent = request(UpdateCampaignState(campaign_id=CID, action=action, reason="Operator said so"), DCC)
    known = facts(DCC, campaign, participations=parts, operators=(DCC, DCC_TOO))
    return sent, decide(sent, known, now, POLICY)


def test_needs():
    needs = needs_of(request(UpdateCampaignState(campaign_id=CID, action=Action.PAUSE, reason="x"), DCC))
    assert (needs.user, needs.campaign, needs.hubs) == (DCC, CID, ())


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("action", Action)
def test_every_action_in_every_stage(action, stage):
    if stage not in LEGAL[action]:
        with pytest.raises(Rejected) as caught:
            _update(action, CAMPAIGNS[stage])
        assert caught.value.code is ResponseCode.E112302
        assert caught.value.reason == f"Campaign {CID} in stage {stage} does not permit {action}."
        return
    sent, decision = _update(action, CAMPAIGNS[stage])
    (saved,) = decision.changes
    assert (saved.event, saved.reason) == (CampaignEvent.STAGE_CHANGED, "Operator said so")
    assert saved.campaign.stage is TARGET[action]
    assert decision.code is ResponseCode.I99
    assert [(each.code, each.recipient) for each in decision.alerts] == [
        (AlertCode.N906, ELECTRIC),
        (AlertCode.N906, GAS),
        (AlertCode.N906, DCC),
        (AlertCode.N906, DCC_TOO),
        (AlertCode.N911, DCC),
    ]
    body = decision.alerts[0].body
    assert (body.previous, body.stage, body.reason) == (stage, TARGET[action], "Operator said so")
    assert decision.alerts[-1].body.request_id == sent.request_id


def test_in_draft_only_operators_hear_of_an_abort():
    _, decision = _update(Action.ABORT, CAMPAIGNS[Stage.DRAFT], parts={})
    assert [each.recipient for each in decision.alerts] == [DCC, DCC_TOO, DCC]


def test_unknown_campaign():
    with pytest.raises(Rejected) as caught:
        _update(Action.PAUSE, None)
    assert caught.value.code is ResponseCode.E112301


def test_a_resumed_consultation_has_its_deadline_moved_and_says_so():
    _, decision = _update(Action.RESUME, paused_from(Stage.PILOT_CONSULTATION, NOW), now=NOW + 3 * DAY)
    stage, deadline = decision.changes
    assert stage.event is CampaignEvent.STAGE_CHANGED
    assert stage.campaign == deadline.campaign
    assert deadline.campaign.response_deadline == DEADLINE + 3 * DAY
    assert deadline == CampaignSaved(
        stage.campaign,
        CampaignEvent.DEADLINE_MOVED,
        "The response deadline moved to 2026-03-18T09:00:00Z, by the length of the pause.",
    )


@pytest.mark.parametrize("stage", sorted(LEGAL[Action.PAUSE] - {Stage.PILOT_CONSULTATION}))
def test_no_other_stage_has_its_deadline_moved(stage):
    _, decision = _update(Action.RESUME, paused_from(stage, NOW), now=NOW + 3 * DAY)
    (saved,) = decision.changes
    assert (saved.campaign.stage, saved.campaign.response_deadline) == (stage, DEADLINE)


def test_an_abort_while_paused_cuts_a_running_pilot_short():
    campaign = replace(CAMPAIGNS[Stage.PAUSED], pilot=replace(CAMPAIGNS[Stage.PAUSED].pilot, all_reported=False))
    _, decision = _update(Action.ABORT, campaign)
    assert decision.changes[0].campaign.pilot.cut_short is True
    assert decision.alerts[0].body.previous is Stage.PAUSED
