"""What the clock does in each stage, what it leaves alone, and how a campaign catches up."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chfw_sr.campaign.changes import (
    CampaignEvent,
    CampaignSaved,
    Lot,
    ParticipationSaved,
    PilotAllotted,
    PreferenceEvent,
)
from chfw_sr.campaign.clock import decide_step, due_at, needs_of_step
from chfw_sr.campaign.decision import Decision
from chfw_sr.campaign.model import Cell, Participation, PhaseTimes, PlanRow, Tally
from chfw_sr.messages import ActivationResult, AlertCode, Phase, Region, Source, Stage

from .examples import (
    CAMPAIGNS,
    CID,
    DAY,
    DCC,
    DCC_TOO,
    DEADLINE,
    ELECTRIC,
    GAS,
    HOUR,
    NOW,
    POLICY,
    SAFE_SCHEDULE,
    SCHEDULE,
    THIRD,
    eui,
    facts,
    paused_from,
    window,
)

SECOND = timedelta(seconds=1)
DUE = {
    Stage.PILOT_CONSULTATION: DEADLINE,
    Stage.PILOT_CONFIRMED: SCHEDULE[0].start,
    Stage.PILOT: SCHEDULE[0].start + 22 * HOUR,
    Stage.SAFE_LAUNCH_SCHEDULED: SAFE_SCHEDULE[0].start,
    Stage.SAFE_LAUNCH: SAFE_SCHEDULE[0].start + 22 * HOUR,
}
PARTS = {
    GAS: Participation(CID, GAS, default_devices=2, pilot_devices=2),
    ELECTRIC: Participation(CID, ELECTRIC, default_devices=1, pilot_devices=1),
    THIRD: Participation(CID, THIRD),
}


def _step(campaign, now, **known):
    known = {"participations": PARTS, "operators": (DCC, DCC_TOO)} | known
    return decide_step(facts(DCC, campaign, **known), CID, now, POLICY)


@pytest.mark.parametrize("stage", Stage)
def test_when_each_stage_is_due(stage):
    assert due_at(CAMPAIGNS[stage]) == DUE.get(stage)


@pytest.mark.parametrize("stage", [Stage.PILOT, Stage.SAFE_LAUNCH])
def test_a_running_phase_is_due_at_its_end_or_its_report_or_once_all_have_reported(stage):
    campaign = CAMPAIGNS[stage]
    phase = Phase(stage)
    times = campaign.times(phase)
    assert due_at(replace(campaign, next_status_at=times.ends_at + SECOND)) == times.ends_at
    assert due_at(campaign.with_times(phase, replace(times, all_reported=True))) == times.started_at


@pytest.mark.parametrize("stage", Stage)
def test_nothing_happens_before_it_is_due(stage):
    campaign = CAMPAIGNS[stage]
    now = DUE.get(stage, NOW + 400 * DAY + SECOND) - SECOND
    assert _step(campaign, now) == Decision()
    needs = needs_of_step(campaign, now)
    assert (needs.campaign, needs.plan, needs.cells) == (CID, False, False)


def test_nothing_happens_to_a_campaign_that_is_gone():
    assert decide_step(facts(DCC), CID, NOW, POLICY) == Decision()


@pytest.mark.parametrize("stage", DUE)
def test_each_step_needs_only_what_it_uses(stage):
    needs = needs_of_step(CAMPAIGNS[stage], DUE[stage])
    assert needs.plan is (stage is Stage.PILOT_CONSULTATION)
    assert needs.cells is (stage in (Stage.PILOT, Stage.SAFE_LAUNCH))


@pytest.mark.parametrize(
    ("campaign", "now", "stage", "reason"),
    [
        (CAMPAIGNS[Stage.PILOT_CONFIRMED], SCHEDULE[0].start, Stage.PILOT, "The first window of the Pilot started."),
        (
            replace(CAMPAIGNS[Stage.PILOT], next_status_at=SCHEDULE[1].end),
            SCHEDULE[1].end,
            Stage.PILOT_COMPLETE,
            "The last window of the Pilot ended.",
        ),
        (
            replace(CAMPAIGNS[Stage.PILOT], pilot=replace(CAMPAIGNS[Stage.PILOT].pilot, all_reported=True)),
            SCHEDULE[0].start + HOUR,
            Stage.PILOT_COMPLETE,
            "Every hub of the Pilot has reported.",
        ),
        (
            CAMPAIGNS[Stage.SAFE_LAUNCH_SCHEDULED],
            SAFE_SCHEDULE[0].start,
            Stage.SAFE_LAUNCH,
            "The first window of the Safe Launch started.",
        ),
        (
            replace(CAMPAIGNS[Stage.SAFE_LAUNCH], next_status_at=None),
            SAFE_SCHEDULE[1].end,
            Stage.COMPLETE,
            "The last window of the Safe Launch ended.",
        ),
    ],
)
def test_a_phase_starts_and_ends_and_everyone_hears(campaign, now, stage, reason):
    decision = _step(campaign, now)
    (saved,) = decision.changes
    assert (saved.campaign.stage, saved.event, saved.reason) == (stage, CampaignEvent.STAGE_CHANGED, reason)
    assert [(each.code, each.recipient) for each in decision.alerts] == [
        (AlertCode.N906, each) for each in (ELECTRIC, GAS, THIRD, DCC, DCC_TOO)
    ]
    body = decision.alerts[0].body
    assert (body.previous, body.stage, body.reason) == (campaign.stage, stage, reason)
    assert (decision.code, decision.payload) == (None, None)


def test_a_pilot_starts_late_after_a_pause_and_ends_at_once():
    late = SCHEDULE[1].end + DAY
    started = _step(CAMPAIGNS[Stage.PILOT_CONFIRMED], late).changes[0].campaign
    assert started.pilot.started_at == late
    ended = _step(started, late).changes[0].campaign
    assert (ended.stage, ended.pilot.ended_at) == (Stage.PILOT_COMPLETE, late)


def test_nothing_is_due_while_paused():
    for stage in DUE:
        campaign = paused_from(stage, NOW)
        assert due_at(campaign) is None
        assert _step(campaign, NOW + 400 * DAY) == Decision()


def _cell(supplier, devices, phase=Phase.PILOT, starts_at=SCHEDULE[0].start, **counts):
    return Cell(phase, supplier, None, None, Region.NORTH, 1, starts_at, starts_at + DAY, devices, **counts)


REPORT_AT = SCHEDULE[0].start + 5 * DAY
CELLS = (_cell(ELECTRIC, 1, activated=1), _cell(GAS, 2, failed=1))
TALLIES = {Phase.PILOT: Tally(3, 1, 1)}


def test_the_daily_report_gives_suppliers_their_own_and_operators_all():
    campaign = replace(CAMPAIGNS[Stage.PILOT], pilot=replace(CAMPAIGNS[Stage.PILOT].pilot, ends_at=REPORT_AT + DAY))
    decision = _step(campaign, REPORT_AT, cells=CELLS, tallies=TALLIES)
    (saved,) = decision.changes
    assert saved == CampaignSaved(
        replace(campaign, next_status_at=POLICY.next_status(REPORT_AT)), CampaignEvent.STATUS_REPORTED
    )
    assert [(each.code, each.recipient) for each in decision.alerts] == [
        (AlertCode.N909, each) for each in (ELECTRIC, GAS, DCC, DCC_TOO)
    ]
    counted = [
        (status.pilot.devices, status.pilot.activated, status.pilot.failed, status.pilot.pending)
        for status in (each.body.status for each in decision.alerts)
    ]
    assert counted == [(1, 1, 0, 0), (2, 0, 1, 1), (3, 1, 1, 1), (3, 1, 1, 1)]
    assert decision.alerts[0].body.status.as_of == REPORT_AT


def test_catching_up_sends_one_report():
    campaign = CAMPAIGNS[Stage.PILOT]
    campaign = replace(campaign, pilot=replace(campaign.pilot, ends_at=REPORT_AT + DAY))
    saved = _step(campaign, REPORT_AT, cells=CELLS, tallies=TALLIES).changes[0].campaign
    assert saved.next_status_at > REPORT_AT
    assert _step(saved, REPORT_AT) == Decision()


def test_a_report_reaches_a_supplier_that_takes_part_in_the_safe_launch_alone():
    parts = {THIRD: Participation(CID, THIRD, safe_launch_devices=1), GAS: Participation(CID, GAS)}
    campaign = CAMPAIGNS[Stage.SAFE_LAUNCH]
    cells = (_cell(THIRD, 1, Phase.SAFE_LAUNCH, SAFE_SCHEDULE[1].start),)
    now = campaign.next_status_at
    decision = _step(campaign, now, cells=cells, participations=parts)
    assert [each.recipient for each in decision.alerts] == [THIRD, DCC, DCC_TOO]
    status = decision.alerts[0].body.status
    assert (status.safe_launch.scheduled, status.pilot.devices) == (1, 0)


def test_a_supplier_whose_hubs_have_all_moved_on_reads_zeros():
    decision = _step(CAMPAIGNS[Stage.PILOT], DUE[Stage.PILOT], cells=CELLS[:1])
    assert decision.alerts[1].recipient == GAS
    assert decision.alerts[1].body.status.pilot.devices == 0


def test_an_operator_that_is_a_supplier_too_hears_once_and_all():
    decision = _step(CAMPAIGNS[Stage.PILOT], DUE[Stage.PILOT], cells=CELLS, operators=(GAS,))
    assert [(each.recipient, each.body.status.pilot.devices) for each in decision.alerts] == [(ELECTRIC, 1), (GAS, 3)]


def test_a_report_on_facts_of_another_step_is_a_defect():
    with pytest.raises(ValueError, match="cells"):
        _step(CAMPAIGNS[Stage.PILOT], DUE[Stage.PILOT], tallies=TALLIES)


# The deadline.

OPEN = CAMPAIGNS[Stage.PILOT_CONSULTATION]
MINE = (window(7, NOW + 30 * DAY, holds=1), window(8, NOW + 25 * DAY, holds=1))


def _row(number, default=None, at=None, nominated=None, nominated_at=None, outcome=None):
    return PlanRow(eui(number), default, at, nominated, nominated_at, outcome)


def _confirm(plan, parts, now=DEADLINE, campaign=OPEN):
    return _step(campaign, now, plan=tuple(plan), participations={each.supplier: each for each in parts})


def test_lists_and_schedules_are_confirmed_each_from_its_source():
    electric = Participation(CID, ELECTRIC, default_devices=3)
    gas = Participation(CID, GAS, default_devices=2, nominated_devices=2, preferred_schedule=MINE)
    third = Participation(CID, THIRD, default_devices=1)
    plan = [
        _row(5, ELECTRIC, 2),
        _row(1, ELECTRIC, 1, GAS, 1),  # GAS takes it away from the default part of ELECTRIC
        _row(9, ELECTRIC, 0),
        _row(2, GAS, 0),  # let go: GAS sent a list of its own
        _row(3, GAS, 1, GAS, 0),
        _row(4, THIRD, 0),
    ]
    decision = _confirm(plan, [third, gas, electric])
    lots = (
        Lot(ELECTRIC, SCHEDULE[0], (eui(9), eui(5))),
        Lot(GAS, MINE[1], (eui(3),)),
        Lot(GAS, MINE[0], (eui(1),)),
        Lot(THIRD, SCHEDULE[0], (eui(4),)),
    )
    after = replace(
        OPEN,
        stage=Stage.PILOT_CONFIRMED,
        pilot=PhaseTimes(starts_at=SCHEDULE[0].start, ends_at=MINE[0].end),
    )
    assert decision.changes == (
        PilotAllotted(CID, lots),
        ParticipationSaved(replace(electric, pilot_devices=2), PreferenceEvent.PLAN_CONFIRMED),
        ParticipationSaved(replace(gas, pilot_devices=2), PreferenceEvent.PLAN_CONFIRMED),
        ParticipationSaved(replace(third, pilot_devices=1), PreferenceEvent.PLAN_CONFIRMED),
        CampaignSaved(after, CampaignEvent.STAGE_CHANGED, "The response deadline passed."),
    )
    confirmed = [each for each in decision.alerts if each.code is AlertCode.N905]
    assert [each.recipient for each in confirmed] == [ELECTRIC, GAS, THIRD]
    assert [(each.body.list_source, each.body.schedule_source) for each in confirmed] == [
        (Source.DEFAULT, Source.DEFAULT),
        (Source.PREFERRED, Source.PREFERRED),
        (Source.DEFAULT, Source.DEFAULT),
    ]
    assert (confirmed[1].body.pilot_list, confirmed[1].body.schedule) == ((eui(3), eui(1)), MINE)
    assert [each.recipient for each in decision.alerts[3:]] == [ELECTRIC, GAS, THIRD, DCC, DCC_TOO]
    assert {each.code for each in decision.alerts[3:]} == {AlertCode.N906}


def test_the_sources_of_list_and_schedule_do_not_hang_together():
    listed = Participation(CID, ELECTRIC, default_devices=1, nominated_devices=1)
    scheduled = Participation(CID, GAS, default_devices=1, preferred_schedule=MINE)
    decision = _confirm([_row(1, None, None, ELECTRIC, 0), _row(2, GAS, 0)], [listed, scheduled])
    sources = [(each.body.list_source, each.body.schedule_source) for each in decision.alerts[:2]]
    assert sources == [(Source.PREFERRED, Source.DEFAULT), (Source.DEFAULT, Source.PREFERRED)]


def test_a_supplier_left_without_hubs_gets_no_plan():
    gas = Participation(CID, GAS, nominated_devices=1)
    electric = Participation(CID, ELECTRIC, default_devices=1)
    decision = _confirm([_row(1, ELECTRIC, 0, GAS, 0)], [gas, electric])
    assert [each.recipient for each in decision.alerts if each.code is AlertCode.N905] == [GAS]
    assert decision.changes[1].participation == electric
    assert ELECTRIC in [each.recipient for each in decision.alerts if each.code is AlertCode.N906]


def test_the_pilot_runs_over_the_windows_that_have_hubs():
    decision = _confirm([_row(1, ELECTRIC, 0)], [Participation(CID, ELECTRIC, default_devices=1)])
    times = decision.changes[-1].campaign.pilot
    assert (times.starts_at, times.ends_at) == (SCHEDULE[0].start, SCHEDULE[0].end)


@pytest.mark.parametrize(("second", "all_reported"), [(None, False), (ActivationResult.SUCCESS, True)])
def test_results_from_before_count(second, all_reported):
    plan = [
        _row(1, ELECTRIC, 0, outcome=ActivationResult.FAILURE),
        _row(2, ELECTRIC, 1, outcome=second),
        _row(3, ELECTRIC, 2, GAS, 0, outcome=second),
        _row(4, GAS, 0),  # let go, and so not waited for
    ]
    parts = [Participation(CID, ELECTRIC, default_devices=3), Participation(CID, GAS, 1, nominated_devices=1)]
    assert _confirm(plan, parts).changes[-1].campaign.pilot.all_reported is all_reported


def test_a_plan_without_hubs_runs_its_way_and_claims_nothing():
    decision = _confirm([], [Participation(CID, ELECTRIC)])
    campaign = decision.changes[-1].campaign
    assert campaign.stage is Stage.PILOT_CONFIRMED
    assert campaign.pilot == PhaseTimes(starts_at=SCHEDULE[0].start, ends_at=SCHEDULE[1].end)
    assert [each.code for each in decision.alerts] == [AlertCode.N906] * 3


@pytest.mark.parametrize("part", [{"default_devices": 1}, {"nominated_devices": 1}])
def test_a_confirmation_on_facts_of_another_step_is_a_defect(part):
    with pytest.raises(ValueError, match="plan"):
        _confirm([], [Participation(CID, ELECTRIC, **part)])
