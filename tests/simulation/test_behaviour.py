"""What simulated people and hubs mean to do."""

from datetime import UTC, datetime, timedelta

import pytest

from chfw_sr.messages import (
    Action,
    Alert,
    CampaignID,
    CampaignStageChanged,
    PilotPlanConfirmed,
    PilotPlanPublished,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReadPilotPlan,
    ReportFirmwareActivation,
    Source,
    Stage,
    UpdatePilotPreferences,
)
from chfw_sr.simulation import Nation, Plan, Simulation, Size, Timetable
from chfw_sr.simulation.nation import MANUFACTURER, MODEL, NEW_VERSION

CAMPAIGN = CampaignID("S-1")
BEGINS = datetime(2027, 1, 4, 9, tzinfo=UTC)
TIMETABLE = Timetable(BEGINS, timedelta(days=42))


@pytest.fixture
def nation() -> Nation:
    return Nation(5, Size(2000, suppliers=40))


def simulation_of(nation: Nation) -> Simulation:
    return Simulation(nation, CAMPAIGN, TIMETABLE)


def published(simulation: Simulation) -> PublishPilotPlan:
    return next(plan.body for plan in simulation.begin() if isinstance(plan.body, PublishPilotPlan))


def invitations(simulation: Simulation) -> list[Alert]:
    """N901 to every Supplier, as the service would send it."""
    plan = published(simulation)
    lead = {hub.eui: hub.lead_supplier for chunk in simulation.nation.hubs() for hub in chunk}
    return [
        Alert(
            recipient=supplier.eui,
            body=PilotPlanPublished(
                campaign_id=CAMPAIGN,
                firmware_version=NEW_VERSION,
                manufacturer=MANUFACTURER,
                model=MODEL,
                response_deadline=plan.response_deadline,
                default_list=own,
                default_schedule=plan.default_schedule,
            ),
        )
        for supplier in simulation.nation.suppliers
        if (own := tuple(eui for eui in plan.default_list if lead[eui] == supplier.eui))
    ]


def answers(simulation: Simulation, alerts: list[Alert]) -> list[Plan]:
    return sorted(
        (plan for alert in alerts for plan in simulation.heard(alert, BEGINS + timedelta(days=1))),
        key=lambda plan: (plan.at, plan.sender, plan.body.srv),
    )


def test_the_same_seed_behaves_the_same_in_whatever_order_it_hears(nation) -> None:
    one, other = simulation_of(nation), simulation_of(Nation(5, Size(2000, suppliers=40)))
    assert one.begin() == other.begin()
    alerts = invitations(one)
    assert answers(one, alerts) == answers(other, alerts[::-1])


def test_suppliers_answer_in_every_way(nation) -> None:
    simulation = simulation_of(nation)
    alerts = invitations(simulation)
    plans = answers(simulation, alerts)
    preferences = [plan for plan in plans if isinstance(plan.body, UpdatePilotPreferences)]
    invited = {each.recipient for each in alerts}
    assert {plan.sender for plan in plans if isinstance(plan.body, ReadPilotPlan)} == invited
    assert any(plan.at > TIMETABLE.deadline for plan in preferences), "somebody is late"
    assert {plan.sender for plan in preferences} < invited, "somebody is silent"
    assert len(preferences) > len({plan.sender for plan in preferences}), "somebody answers twice"
    assert {(plan.body.preferred_list is None, plan.body.preferred_schedule is None) for plan in preferences} == {
        (False, False),
        (False, True),
        (True, False),
    }
    for plan in preferences:
        windows = plan.body.preferred_schedule or ()
        assert all(TIMETABLE.pilot.start <= each.start < each.end <= TIMETABLE.pilot.end for each in windows)


def test_who_is_told_twice_acts_once(nation) -> None:
    simulation = simulation_of(nation)
    alert = invitations(simulation)[0]
    assert answers(simulation, [alert])
    assert answers(simulation, [alert]) == []


def test_hubs_activate_within_their_windows_and_their_csp_reports_it_later(nation) -> None:
    simulation = simulation_of(nation)
    plan = published(simulation)
    body = PilotPlanConfirmed(
        campaign_id=CAMPAIGN,
        pilot_list=plan.default_list,
        schedule=plan.default_schedule,
        list_source=Source.DEFAULT,
        schedule_source=Source.DEFAULT,
    )
    recipient = nation.suppliers[0].eui
    reports = simulation.heard(Alert(recipient=recipient, body=body), TIMETABLE.deadline)
    regions = {hub.eui: hub.region for chunk in nation.hubs() for hub in chunk}
    seen = []
    for report in reports:
        assert isinstance(report.body, ReportFirmwareActivation)
        for activation in report.body.activations:
            assert activation.at <= report.at
            assert nation.providers[regions[activation.device_id]].eui == report.sender
            seen.append(activation)
    hubs = {each.device_id for each in seen}
    assert len(plan.default_list) * 0.9 < len(hubs) <= len(plan.default_list), "nearly all of them report"
    starts = [each.start for each in plan.default_schedule]
    assert all(min(starts) <= each.at for each in seen)


def test_the_safe_launch_follows_the_pilot(nation) -> None:
    simulation = simulation_of(nation)
    stage = CampaignStageChanged(campaign_id=CAMPAIGN, previous=Stage.PILOT, stage=Stage.PILOT_COMPLETE)
    now = TIMETABLE.pilot.end
    assert simulation.heard(Alert(recipient=nation.suppliers[0].eui, body=stage), now) == []
    (plan,) = simulation.heard(Alert(recipient=nation.operator.eui, body=stage), now)
    assert isinstance(plan.body, PublishSafeLaunchSchedule)
    assert now <= plan.at < plan.body.schedule[0].start
    assert not simulation.over
    stage = CampaignStageChanged(campaign_id=CAMPAIGN, previous=Stage.SAFE_LAUNCH, stage=Stage.COMPLETE)
    simulation.heard(Alert(recipient=nation.operator.eui, body=stage), now)
    assert simulation.over


def test_a_campaign_that_paused_itself_is_resumed(nation) -> None:
    simulation = simulation_of(nation)
    paused = CampaignStageChanged(campaign_id=CAMPAIGN, previous=Stage.PILOT, stage=Stage.PAUSED, reason="2 of 20")
    (plan,) = simulation.heard(Alert(recipient=nation.operator.eui, body=paused), TIMETABLE.pilot.start)
    assert plan.body.action is Action.RESUME
    assert (plan.sender, plan.at > TIMETABLE.pilot.start) == (nation.operator.eui, True)
