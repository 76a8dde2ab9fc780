"""Counts from cells, who may see which, and how a phase is said to have turned out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.campaign.model import Cell, PhaseTimes, Tally, User
from chfw_sr.campaign.status import PhaseResult, counts, phase_result, report, status_for, visible_cells
from chfw_sr.messages import Phase, PhaseCounts, Region, Role, Stage

from .examples import CAMPAIGNS, DAY, DCC, ELECTRIC, GAS, GRID, NOW, PIPES, SCHEDULE, THIRD, USERS, paused_from

PARTIES = st.sampled_from([None, ELECTRIC, GAS, THIRD])


@st.composite
def cells(draw):
    activated, failed, silent = draw(st.tuples(*[st.integers(0, 50)] * 3))
    start = NOW + draw(st.integers(-3, 3)) * DAY
    return Cell(
        phase=draw(st.sampled_from(Phase)),
        supplier=draw(PARTIES),
        electricity_distributor=draw(st.sampled_from([None, GRID, THIRD])),
        gas_transporter=draw(st.sampled_from([None, PIPES, THIRD])),
        region=draw(st.sampled_from(Region)),
        window_id=1,
        starts_at=start,
        ends_at=start + DAY,
        devices=activated + failed + silent,
        activated=activated,
        failed=failed,
    )


def _cell(devices, activated, failed, days=0, **changes):
    start = NOW + days * DAY
    plain = Cell(Phase.PILOT, ELECTRIC, GRID, PIPES, Region.NORTH, 1, start, start + DAY, devices, activated, failed)
    return replace(plain, **changes)


def test_silent_hubs_are_scheduled_before_their_window_and_pending_from_its_start_on():
    future, present, past = _cell(10, 1, 2, days=1), _cell(20, 3, 4), _cell(40, 5, 6, days=-5)
    assert counts([future, present, past], NOW) == PhaseCounts(
        devices=70, scheduled=7, activated=9, failed=12, pending=13 + 29
    )


@given(st.lists(cells(), max_size=12))
def test_every_count_is_a_sum_of_the_others(drawn):
    total = counts(drawn, NOW)
    assert total.devices == total.scheduled + total.activated + total.failed + total.pending
    assert total.devices == sum(each.devices for each in drawn)


@given(st.lists(cells(), max_size=12), st.sampled_from(Phase))
def test_the_report_adds_up_by_supplier_and_by_region(drawn, phase):
    sums = report(drawn, phase, NOW)
    assert sums.total.counts == counts([each for each in drawn if each.phase is phase], NOW)
    for rows in (sums.by_supplier, sums.by_region):
        for field in PhaseCounts.model_fields:
            assert sum(getattr(row.counts, field) for row in rows) == getattr(sums.total.counts, field)
        assert all(row.phase is phase for row in rows)
    suppliers = [row.supplier for row in sums.by_supplier]
    assert suppliers == sorted(set(suppliers), key=lambda each: each or "")
    assert [row.region for row in sums.by_region] == sorted({each.region for each in drawn if each.phase is phase})


@given(st.lists(cells(), max_size=12))
def test_suppliers_see_parts_that_make_up_the_whole(drawn):
    whole = status_for(CAMPAIGNS[Stage.SAFE_LAUNCH], drawn, None, NOW)
    parts = [status_for(CAMPAIGNS[Stage.SAFE_LAUNCH], drawn, each, NOW) for each in (ELECTRIC, GAS, THIRD)]
    nobodys = [each for each in drawn if each.supplier is None]
    rest = status_for(CAMPAIGNS[Stage.SAFE_LAUNCH], nobodys, None, NOW)
    assert whole.pilot.devices == sum(each.pilot.devices for each in (*parts, rest))
    assert whole.safe_launch.pending == sum(each.safe_launch.pending for each in (*parts, rest))


@given(st.lists(cells(), max_size=12))
def test_an_eui_sees_what_the_supplier_of_that_eui_sees(drawn):
    assert visible_cells(drawn, ELECTRIC) == visible_cells(drawn, USERS[ELECTRIC])


def _user(eui, *roles):
    return User(eui, "Someone", frozenset(roles))


CELL = _cell(1, 0, 0)


@pytest.mark.parametrize(
    ("viewer", "sees"),
    [
        (None, True),
        (_user(DCC, Role.DCC), True),
        (_user(ELECTRIC, Role.IS), True),
        (_user(ELECTRIC, Role.GS), True),
        (_user(ELECTRIC, Role.ED, Role.GT, Role.CSP), False),
        (_user(GRID, Role.ED), True),
        (_user(GRID, Role.IS, Role.GT), False),
        (_user(PIPES, Role.GT), True),
        (_user(PIPES, Role.ED, Role.GS), False),
        (_user(GAS, Role.IS), False),
        (GAS, False),
    ],
)
def test_each_role_sees_its_side_of_a_cell(viewer, sees):
    assert visible_cells([CELL], viewer) == ((CELL,) if sees else ())


def test_several_roles_see_the_union_each_cell_once():
    drawn = [
        replace(CELL, supplier=THIRD, electricity_distributor=THIRD),
        replace(CELL, gas_transporter=THIRD),
        CELL,
    ]
    assert visible_cells(drawn, _user(THIRD, Role.IS, Role.ED, Role.GT)) == tuple(drawn[:2])


# How a phase turned out.

TIMES = PhaseTimes(starts_at=SCHEDULE[0].start, ends_at=SCHEDULE[1].end)
RUN = replace(TIMES, started_at=SCHEDULE[0].start)
OVER = replace(RUN, ended_at=SCHEDULE[1].end)
TOO_LATE = replace(TIMES, started_at=SCHEDULE[1].end, ended_at=SCHEDULE[1].end + DAY)


@pytest.mark.parametrize(
    ("times", "tally", "result"),
    [
        (OVER, Tally(3, 3, 0), PhaseResult.SUCCEEDED),
        (OVER, Tally(3, 2, 1), PhaseResult.ENDED_WITH_FAILURES),
        (OVER, Tally(3, 1, 1), PhaseResult.ENDED_WITH_FAILURES),
        (OVER, Tally(3, 2, 0), PhaseResult.ENDED_WITH_SILENT_HUBS),
        (OVER, Tally(3), PhaseResult.ENDED_WITH_SILENT_HUBS),
        (OVER, Tally(), PhaseResult.NO_HUBS),
        (replace(OVER, cut_short=True), Tally(3, 2, 1), PhaseResult.CUT_SHORT),
        (TOO_LATE, Tally(3), PhaseResult.NEVER_RAN),
        (TOO_LATE, Tally(3, 2), PhaseResult.ENDED_WITH_SILENT_HUBS),
        (TOO_LATE, Tally(3, 3), PhaseResult.SUCCEEDED),
    ],
)
@pytest.mark.parametrize("phase", Phase)
def test_how_an_ended_phase_turned_out(phase, times, tally, result):
    campaign = CAMPAIGNS[Stage.COMPLETE].with_times(phase, times)
    assert phase_result(campaign, phase, tally) is result


@pytest.mark.parametrize("stage", Stage)
def test_how_each_stage_is_told(stage):
    campaign = CAMPAIGNS[stage]
    full = Tally(2, 2)
    pilot = {
        Stage.DRAFT: PhaseResult.NOT_STARTED,
        Stage.PILOT_CONSULTATION: PhaseResult.NOT_STARTED,
        Stage.PILOT_CONFIRMED: PhaseResult.NOT_STARTED,
        Stage.PILOT: PhaseResult.RUNNING,
        Stage.PAUSED: PhaseResult.PAUSED,
        Stage.ABORTED: PhaseResult.NEVER_RAN,
    }
    assert phase_result(campaign, Phase.PILOT, full) is pilot.get(stage, PhaseResult.SUCCEEDED)
    launch = {
        Stage.SAFE_LAUNCH: PhaseResult.RUNNING,
        Stage.COMPLETE: PhaseResult.NEVER_RAN,
        Stage.ABORTED: PhaseResult.NEVER_RAN,
    }
    assert phase_result(campaign, Phase.SAFE_LAUNCH, full) is launch.get(stage, PhaseResult.NOT_STARTED)


def test_a_pause_between_phases_pauses_neither():
    campaign = paused_from(Stage.PILOT_COMPLETE, NOW)
    assert phase_result(campaign, Phase.PILOT, Tally(1, 1)) is PhaseResult.SUCCEEDED
    assert phase_result(campaign, Phase.SAFE_LAUNCH, Tally()) is PhaseResult.NOT_STARTED
