"""The whole matrix of stage and event, legal and illegal, and the dates that go with a change of stage."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chfw_sr.campaign.transitions import TRANSITIONS, Back, Event, IllegalTransition, advance, destination, diagram
from chfw_sr.messages import Stage

from .examples import CAMPAIGNS, DAY, DEADLINE, NOW, POLICY, SAFE_SCHEDULE, SCHEDULE, paused_from

# The contract's stages once more, written the other way round: by event, from which stages and where to.
_PAUSABLE = set(Stage) - {Stage.DRAFT, Stage.COMPLETE, Stage.ABORTED, Stage.PAUSED}
_COMPLETABLE = {Stage.PILOT_COMPLETE, Stage.SAFE_LAUNCH_SCHEDULED, Stage.SAFE_LAUNCH}
_EXPECTED = {
    Event.PUBLISH_PILOT_PLAN: {Stage.DRAFT: Stage.PILOT_CONSULTATION},
    Event.DEADLINE_PASSED: {Stage.PILOT_CONSULTATION: Stage.PILOT_CONFIRMED},
    Event.PHASE_STARTED: {Stage.PILOT_CONFIRMED: Stage.PILOT, Stage.SAFE_LAUNCH_SCHEDULED: Stage.SAFE_LAUNCH},
    Event.PHASE_ENDED: {Stage.PILOT: Stage.PILOT_COMPLETE, Stage.SAFE_LAUNCH: Stage.COMPLETE},
    Event.PUBLISH_SAFE_LAUNCH_SCHEDULE: {Stage.PILOT_COMPLETE: Stage.SAFE_LAUNCH_SCHEDULED},
    Event.PAUSE: dict.fromkeys(_PAUSABLE, Stage.PAUSED),
    Event.THRESHOLD_EXCEEDED: dict.fromkeys((Stage.PILOT, Stage.SAFE_LAUNCH), Stage.PAUSED),
    Event.RESUME: {Stage.PAUSED: Stage.PILOT},  # where the example was paused
    Event.COMPLETE: dict.fromkeys(_COMPLETABLE, Stage.COMPLETE),
    Event.ABORT: dict.fromkeys(set(Stage) - {Stage.COMPLETE, Stage.ABORTED}, Stage.ABORTED),
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("stage", Stage)
def test_every_stage_and_event(stage, event):
    campaign, expected = CAMPAIGNS[stage], _EXPECTED[event].get(stage)
    if expected is None:
        with pytest.raises(IllegalTransition) as caught:
            advance(campaign, event, NOW, POLICY)
        assert (caught.value.stage, caught.value.event) == (stage, event)
        assert stage in str(caught.value)
        assert event in str(caught.value)
    else:
        assert destination(campaign, event) is expected
        assert advance(campaign, event, NOW, POLICY).stage is expected


def test_a_pause_without_a_stage_to_return_to_cannot_be_resumed():
    with pytest.raises(IllegalTransition):
        destination(replace(CAMPAIGNS[Stage.PAUSED], paused_from=None), Event.RESUME)


@pytest.mark.parametrize("event", [Event.PAUSE, Event.THRESHOLD_EXCEEDED])
def test_a_pause_remembers_where_and_when_and_stops_the_reports(event):
    paused = advance(CAMPAIGNS[Stage.PILOT], event, NOW, POLICY)
    assert (paused.paused_from, paused.paused_at, paused.next_status_at) == (Stage.PILOT, NOW, None)
    assert paused.pilot == CAMPAIGNS[Stage.PILOT].pilot


@pytest.mark.parametrize("stage", sorted(_PAUSABLE))
def test_resume_returns_to_the_stage_before_and_starts_counting_afresh(stage):
    before = replace(CAMPAIGNS[stage], results_reported=40, results_failed=9)
    resumed = advance(advance(before, Event.PAUSE, NOW, POLICY), Event.RESUME, NOW + DAY, POLICY)
    running = stage in (Stage.PILOT, Stage.SAFE_LAUNCH)
    assert resumed == replace(
        before,
        results_reported=0,
        results_failed=0,
        next_status_at=POLICY.next_status(NOW + DAY) if running else None,
        response_deadline=DEADLINE + DAY if stage is Stage.PILOT_CONSULTATION else DEADLINE,
    )


def test_two_pauses_move_the_deadline_by_both():
    campaign = CAMPAIGNS[Stage.PILOT_CONSULTATION]
    for start, length in ((NOW, timedelta(hours=5)), (NOW + DAY, timedelta(minutes=1))):
        campaign = advance(campaign, Event.PAUSE, start, POLICY)
        campaign = advance(campaign, Event.RESUME, start + length, POLICY)
    assert campaign.response_deadline == DEADLINE + timedelta(hours=5, minutes=1)


def test_a_phase_keeps_its_times():
    running = advance(CAMPAIGNS[Stage.PILOT_CONFIRMED], Event.PHASE_STARTED, NOW, POLICY)
    assert (running.pilot.started_at, running.pilot.ended_at) == (NOW, None)
    assert running.next_status_at == POLICY.next_status(NOW)
    over = advance(running, Event.PHASE_ENDED, NOW + DAY, POLICY)
    assert (over.pilot.started_at, over.pilot.ended_at, over.next_status_at) == (NOW, NOW + DAY, None)
    assert over.ended_at is None


def test_the_end_of_the_safe_launch_ends_the_campaign():
    end = SAFE_SCHEDULE[-1].end
    over = advance(CAMPAIGNS[Stage.SAFE_LAUNCH], Event.PHASE_ENDED, end, POLICY)
    assert (over.safe_launch.ended_at, over.ended_at, over.ended_from) == (end, end, None)
    assert over.safe_launch.cut_short is False


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.COMPLETE, Stage.ABORTED}))
def test_an_abort_keeps_where_and_when(stage):
    aborted = advance(CAMPAIGNS[stage], Event.ABORT, NOW, POLICY)
    assert aborted.ended_from is (Stage.PILOT if stage is Stage.PAUSED else stage)
    assert (aborted.ended_at, aborted.paused_from, aborted.paused_at) == (NOW, None, None)
    assert aborted.next_status_at is None


_INSIDE = SCHEDULE[-1].end - timedelta(seconds=1)


@pytest.mark.parametrize("campaign", [CAMPAIGNS[Stage.PILOT], paused_from(Stage.PILOT, NOW + 21 * DAY)])
@pytest.mark.parametrize(
    ("now", "all_reported", "cut_short"),
    [(_INSIDE, False, True), (_INSIDE, True, False), (SCHEDULE[-1].end, False, False)],
)
def test_a_phase_is_cut_short_by_an_abort_before_its_end_while_hubs_are_silent(campaign, now, all_reported, cut_short):
    campaign = replace(campaign, pilot=replace(campaign.pilot, all_reported=all_reported))
    aborted = advance(campaign, Event.ABORT, now, POLICY)
    assert (aborted.pilot.ended_at, aborted.pilot.cut_short) == (now, cut_short)


def test_an_abort_does_not_end_a_phase_that_does_not_run():
    aborted = advance(paused_from(Stage.PILOT_CONFIRMED, NOW), Event.ABORT, NOW + DAY, POLICY)
    assert (aborted.pilot.started_at, aborted.pilot.ended_at, aborted.pilot.cut_short) == (None, None, False)


def test_completing_a_safe_launch_by_hand_cuts_it_short():
    done = advance(CAMPAIGNS[Stage.SAFE_LAUNCH], Event.COMPLETE, NOW + 63 * DAY, POLICY)
    assert (done.safe_launch.cut_short, done.ended_from) == (True, Stage.SAFE_LAUNCH)
    assert done.pilot == CAMPAIGNS[Stage.SAFE_LAUNCH].pilot


def test_the_diagram_shows_every_row_and_nothing_else():
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> Draft"]
    drawn = {line.strip() for line in lines[2:]}
    plain = {f"{stage} --> {to}: {event}" for (stage, event), to in TRANSITIONS.items() if not isinstance(to, Back)}
    resumed = {f"Paused --> {stage}: Resume" for stage in _PAUSABLE}
    assert drawn == plain | resumed | {"Complete --> [*]", "Aborted --> [*]"}
    assert len(lines) == len(set(lines))
