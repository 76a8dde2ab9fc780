"""11.30: results inside and outside a campaign, repeats, old news, the failure threshold."""

import gc
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.campaign.changes import ActivationsRecorded, CampaignEvent, RecordedActivation
from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.decisions import decide, needs_of
from chfw_sr.campaign.model import CampaignFacts, Membership, Participation, Tally
from chfw_sr.messages import (
    ActivationResult,
    AlertCode,
    FirmwareActivationWarning,
    Phase,
    Region,
    Rejected,
    ReportFirmwareActivation,
    ResponseCode,
    Role,
    Stage,
)

from .examples import (
    CAMPAIGNS,
    CID,
    CSP_NORTH,
    DAY,
    DCC,
    ELECTRIC,
    GAS,
    GRID,
    HOUR,
    NOW,
    OTHER,
    PIPES,
    POLICY,
    THIRD,
    VERSION,
    activation,
    eui,
    facts,
    hub,
    paused_from,
    request,
)

FAILURE, SUCCESS = ActivationResult.FAILURE, ActivationResult.SUCCESS
LATER = NOW + 21 * DAY
AT = LATER - HOUR
IN_PILOT = Membership(CID, Phase.PILOT, allotted=True)
PARTS = {ELECTRIC: Participation(CID, ELECTRIC, pilot_devices=10)}
PILOT = CAMPAIGNS[Stage.PILOT]


def _report(activations, hubs, campaign=None, policy=POLICY, devices=10, **known):
    sent = request(ReportFirmwareActivation(activations=tuple(activations)), CSP_NORTH)
    tallies = known.pop("tallies", {Phase.PILOT: Tally(devices)})
    given = facts(
        CSP_NORTH,
        campaign,
        hubs={each.eui: each for each in hubs},
        participations=PARTS,
        tallies=tallies,
        **known,
    )
    return sent, decide(sent, given, LATER, policy)


def _saved(decision):
    return {change.event: change for change in decision.changes[1:]}


def _heard(decision):
    return [(each.code, each.recipient) for each in decision.alerts]


def test_needs_are_each_hub_and_result_once():
    first, second = activation(eui(1), AT), activation(eui(2), AT, FAILURE)
    again = activation(eui(1), AT, FAILURE)
    needs = needs_of(request(ReportFirmwareActivation(activations=(first, second, again)), CSP_NORTH))
    assert needs.hubs == (eui(1), eui(2))
    assert needs.activations == ((eui(1), VERSION, AT), (eui(2), VERSION, AT))
    assert (needs.user, needs.hub_campaigns, needs.campaign) == (CSP_NORTH, True, None)


def test_outside_a_campaign_the_inventory_is_updated_and_the_suppliers_hear():
    reported = [activation(hub(1).eui, AT), activation(hub(2).eui, AT, FAILURE, failure_reason="No power")]
    sent, decision = _report(reported, [hub(1), hub(2)])
    assert (decision.code, decision.payload) == (ResponseCode.I99, None)
    assert decision.changes == (ActivationsRecorded(tuple(map(RecordedActivation, reported))),)
    assert _heard(decision) == [
        (AlertCode.N64, ELECTRIC),
        (AlertCode.N64, GAS),
        (AlertCode.N908, ELECTRIC),
        (AlertCode.N908, GAS),
        (AlertCode.N911, CSP_NORTH),
    ]
    assert decision.alerts[0].body.device_id == hub(1).eui
    failed = decision.alerts[2].body
    assert (failed.campaign_id, failed.device_id, failed.failure_reason) == (None, hub(2).eui, "No power")
    assert (decision.alerts[-1].body.request_id, decision.alerts[-1].body.response_code) == (
        sent.request_id,
        ResponseCode.I99,
    )


def test_a_user_that_is_responsible_twice_hears_once():
    both = hub(1, import_supplier=THIRD, gas_supplier=THIRD)
    assert _heard(_report([activation(both.eui, AT)], [both])[1])[:-1] == [(AlertCode.N64, THIRD)]


def test_a_hub_without_suppliers_alerts_nobody():
    alone = hub(1, import_supplier=None, gas_supplier=None)
    assert _heard(_report([activation(alone.eui, AT)], [alone])[1]) == [(AlertCode.N911, CSP_NORTH)]


def test_the_roles_that_hear_are_a_setting():
    policy = Policy(alert_roles=frozenset({Role.GT, Role.ED, Role.GS, Role.OU}))
    full = hub(1, electricity_distributor=GRID, gas_transporter=PIPES)
    heard = _heard(_report([activation(full.eui, AT)], [full], policy=policy)[1])
    assert [recipient for _, recipient in heard[:-1]] == [GAS, GRID, PIPES]


def test_foreign_and_unknown_hubs_are_refused_alike_and_named_once():
    foreign = hub(2, region=Region.SOUTH)
    reported = [activation(each, AT) for each in (foreign.eui, hub(1).eui, eui(5))]
    reported.append(activation(eui(5), AT - HOUR))
    _, decision = _report(reported, [hub(1), foreign])
    assert decision.code is ResponseCode.W113001
    assert decision.payload == FirmwareActivationWarning(invalid=(foreign.eui, eui(5)))
    assert decision.changes == (ActivationsRecorded((RecordedActivation(reported[1]),)),)
    assert decision.alerts[-1].body.response_code is ResponseCode.W113001


def test_nothing_acceptable():
    with pytest.raises(Rejected) as caught:
        _report([activation(eui(5), AT), activation(hub(2).eui, AT)], [hub(2, region=Region.SOUTH)])
    assert caught.value.code is ResponseCode.E113003
    assert "2 hubs" in caught.value.reason


def test_an_activation_in_the_future_refuses_the_whole_report():
    latest = LATER + POLICY.clock_tolerance
    assert _report([activation(hub(1).eui, latest)], [hub(1)])[1].code is ResponseCode.I99
    with pytest.raises(Rejected) as caught:
        _report([activation(hub(1).eui, AT), activation(eui(7), latest + timedelta(seconds=1))], [hub(1)])
    assert caught.value.code is ResponseCode.E113004
    assert eui(7) in caught.value.reason


@pytest.mark.parametrize("again", [activation(hub(1).eui, AT), activation(hub(1).eui, AT, FAILURE)])
def test_a_result_recorded_already_changes_nothing_and_is_not_refused(again):
    recorded = frozenset({(hub(1).eui, VERSION, AT)})
    known = hub(1, last_activation_at=AT, membership=IN_PILOT)
    _, decision = _report([again], [known], PILOT, recorded=recorded)
    assert (decision.code, decision.changes) == (ResponseCode.I99, ())
    assert _heard(decision) == [(AlertCode.N911, CSP_NORTH)]


def test_a_result_repeated_in_the_report_counts_once():
    _, decision = _report([activation(hub(1).eui, AT)] * 3, [hub(1, membership=IN_PILOT)], PILOT)
    assert len(decision.changes[0].activations) == 1
    assert _saved(decision)[CampaignEvent.RESULTS_COUNTED].campaign.results_reported == 1
    assert [code for code, _ in _heard(decision)].count(AlertCode.N64) == 2


@pytest.mark.parametrize("version", [VERSION, "9"])
def test_what_is_older_than_the_newest_goes_into_the_history_and_does_nothing_else(version):
    known = hub(1, membership=IN_PILOT, last_activation_at=AT)
    old = activation(known.eui, AT - HOUR, FAILURE, version)
    _, decision = _report([old], [known], PILOT)
    assert decision.changes == (ActivationsRecorded((RecordedActivation(old, effective=False),)),)
    assert _heard(decision) == [(AlertCode.N911, CSP_NORTH)]


def test_what_is_older_than_another_in_the_same_report():
    new, old = activation(hub(1).eui, AT), activation(hub(1).eui, AT - HOUR)
    _, decision = _report([new, old], [hub(1)])
    assert [each.effective for each in decision.changes[0].activations] == [True, False]
    _, decision = _report([old, new], [hub(1)])
    assert [each.effective for each in decision.changes[0].activations] == [True, True]


def test_of_the_same_time_but_another_version_is_not_older():
    known = hub(1, last_activation_at=AT)
    _, decision = _report([activation(known.eui, AT)], [known], recorded=frozenset({(known.eui, "9", AT)}))
    assert decision.changes[0].activations[0].effective is True


def test_a_result_in_a_campaign_names_it_and_counts():
    reported = [activation(hub(1).eui, AT), activation(hub(2).eui, AT, FAILURE)]
    hubs = [hub(1, membership=IN_PILOT), hub(2, membership=IN_PILOT)]
    _, decision = _report(reported, hubs, replace(PILOT, results_reported=3, results_failed=2))
    assert decision.changes[0].activations == tuple(RecordedActivation(each, CID, Phase.PILOT) for each in reported)
    saved = _saved(decision)
    assert list(saved) == [CampaignEvent.RESULTS_COUNTED]
    campaign = saved[CampaignEvent.RESULTS_COUNTED].campaign
    assert (campaign.results_reported, campaign.results_failed) == (5, 3)
    assert decision.alerts[2].body.campaign_id == CID


@pytest.mark.parametrize(
    ("membership", "campaign"),
    [
        (None, PILOT),
        (IN_PILOT, replace(PILOT, firmware_version="9")),
        (replace(IN_PILOT, campaign_id=OTHER), PILOT),
    ],
)
def test_a_result_that_no_campaign_covers(membership, campaign):
    _, decision = _report([activation(hub(1).eui, AT, FAILURE)], [hub(1, membership=membership)], campaign)
    assert decision.changes == (ActivationsRecorded((RecordedActivation(activation(hub(1).eui, AT, FAILURE)),)),)
    assert decision.alerts[0].body.campaign_id is None


def test_a_hub_that_is_not_allotted_counts_in_no_tally():
    early = hub(1, membership=Membership(CID, Phase.PILOT, default_supplier=ELECTRIC))
    _, decision = _report([activation(early.eui, AT)], [early], CAMPAIGNS[Stage.PILOT_CONSULTATION], devices=1)
    saved = _saved(decision)
    assert list(saved) == [CampaignEvent.RESULTS_COUNTED]
    assert saved[CampaignEvent.RESULTS_COUNTED].campaign.results_reported == 1


@pytest.mark.parametrize("stage", [Stage.PILOT_CONFIRMED, Stage.PILOT, Stage.PILOT_COMPLETE, Stage.PAUSED])
def test_the_last_silent_hub_reports(stage):
    known = hub(1, membership=IN_PILOT)
    _, decision = _report(
        [activation(known.eui, AT)], [known], CAMPAIGNS[stage], tallies={Phase.PILOT: Tally(10, 7, 2)}
    )
    times = _saved(decision)[CampaignEvent.PHASE_TIMES]
    assert times.reason == "Every hub of the Pilot has reported."
    assert times.campaign.pilot.all_reported is True
    assert times.campaign.stage is stage
    assert times.campaign.results_reported == 1


def test_the_last_silent_hub_of_the_safe_launch_reports():
    known = hub(1, membership=replace(IN_PILOT, phase=Phase.SAFE_LAUNCH))
    tallies = {Phase.PILOT: Tally(5, 1, 1), Phase.SAFE_LAUNCH: Tally(3, 2)}
    _, decision = _report([activation(known.eui, AT)], [known], CAMPAIGNS[Stage.SAFE_LAUNCH], tallies=tallies)
    campaign = _saved(decision)[CampaignEvent.PHASE_TIMES].campaign
    assert (campaign.pilot.all_reported, campaign.safe_launch.all_reported) == (False, True)


@pytest.mark.parametrize("outcome", ActivationResult)
def test_a_replaced_outcome_makes_no_hub_speak_for_another(outcome):
    known = hub(1, membership=replace(IN_PILOT, outcome=outcome))
    _, decision = _report([activation(known.eui, AT)], [known], PILOT, tallies={Phase.PILOT: Tally(2, 0, 1)})
    assert list(_saved(decision)) == [CampaignEvent.RESULTS_COUNTED]


def test_two_results_of_one_hub_in_a_report_make_it_speak_once():
    known = hub(1, membership=IN_PILOT)
    reported = [activation(known.eui, AT - HOUR, FAILURE), activation(known.eui, AT)]
    _, decision = _report(reported, [known], PILOT, tallies={Phase.PILOT: Tally(2)})
    assert list(_saved(decision)) == [CampaignEvent.RESULTS_COUNTED]
    _, decision = _report(reported, [known], PILOT, tallies={Phase.PILOT: Tally(1)})
    assert list(_saved(decision)) == [CampaignEvent.RESULTS_COUNTED, CampaignEvent.PHASE_TIMES]


def test_a_phase_that_had_all_results_is_not_told_again():
    campaign = replace(PILOT, pilot=replace(PILOT.pilot, all_reported=True))
    known = hub(1, membership=replace(IN_PILOT, outcome=FAILURE))
    _, decision = _report([activation(known.eui, AT)], [known], campaign, tallies={Phase.PILOT: Tally(1, 0, 1)})
    assert list(_saved(decision)) == [CampaignEvent.RESULTS_COUNTED]


def _batch(failed, succeeded):
    hubs = [hub(n, membership=IN_PILOT) for n in range(failed + succeeded)]
    reported = [activation(each.eui, AT, FAILURE if n < failed else SUCCESS) for n, each in enumerate(hubs)]
    return reported, hubs


@pytest.mark.parametrize(
    ("failed", "succeeded", "threshold", "paused"),
    [
        (1, 19, "5", False),  # exactly the threshold
        (2, 18, "5", True),
        (19, 0, "5", False),  # too few to judge
        (20, 0, "5", True),
        (1, 19, "4.99", True),
        (1, 29, "0", True),
        (0, 30, "0", False),
        (20, 0, "100", False),
    ],
)
@pytest.mark.parametrize("stage", [Stage.PILOT, Stage.SAFE_LAUNCH])
def test_the_failure_threshold(failed, succeeded, threshold, paused, stage):
    campaign = replace(CAMPAIGNS[stage], failure_threshold=Decimal(threshold))
    _, decision = _report(*_batch(failed, succeeded), campaign, devices=100)
    moved = _saved(decision).get(CampaignEvent.STAGE_CHANGED)
    assert (moved is not None) is paused
    alerts = [each for each in decision.alerts if each.code is AlertCode.N906]
    assert len(alerts) == (2 if paused else 0)


def test_a_threshold_pause_says_why_and_to_whom():
    _, decision = _report(*_batch(3, 21), PILOT, devices=100)
    moved = _saved(decision)[CampaignEvent.STAGE_CHANGED]
    reason = "3 of 24 results are failures, 12.5 %: more than the failure threshold of 5 %."
    assert moved.reason == reason
    assert (moved.campaign.stage, moved.campaign.paused_from) == (Stage.PAUSED, Stage.PILOT)
    assert (moved.campaign.paused_at, moved.campaign.results_reported) == (LATER, 24)
    assert _heard(decision)[-3:] == [
        (AlertCode.N906, ELECTRIC),
        (AlertCode.N906, DCC),
        (AlertCode.N911, CSP_NORTH),
    ]
    assert decision.alerts[-2].body.reason == reason


def test_earlier_results_count_towards_the_threshold():
    campaign = replace(PILOT, results_reported=19, results_failed=1)
    assert CampaignEvent.STAGE_CHANGED in _saved(_report(*_batch(1, 0), campaign)[1])
    assert CampaignEvent.STAGE_CHANGED not in _saved(_report(*_batch(0, 1), campaign)[1])


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.PILOT, Stage.SAFE_LAUNCH, Stage.COMPLETE, Stage.ABORTED}))
def test_no_other_stage_is_paused_by_failures(stage):
    campaign = paused_from(Stage.PILOT, AT) if stage is Stage.PAUSED else CAMPAIGNS[stage]
    _, decision = _report(*_batch(25, 0), campaign, devices=100)
    assert list(_saved(decision)) == [CampaignEvent.RESULTS_COUNTED]


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.DRAFT, Stage.COMPLETE, Stage.ABORTED}))
def test_results_are_taken_in_every_stage_that_can_hold_hubs(stage):
    phase = Phase.SAFE_LAUNCH if CAMPAIGNS[stage].safe_launch_schedule else Phase.PILOT
    known = hub(1, membership=replace(IN_PILOT, phase=phase))
    _, decision = _report([activation(known.eui, AT)], [known], CAMPAIGNS[stage], tallies={phase: Tally(2)})
    assert decision.changes[0].activations == (RecordedActivation(activation(known.eui, AT), CID, phase),)
    assert _saved(decision)[CampaignEvent.RESULTS_COUNTED].campaign.stage is stage


def test_a_pause_by_the_threshold_wins_over_the_end_of_the_phase():
    _, decision = _report(*_batch(20, 0), PILOT, devices=20)
    events = [each.event for each in decision.changes[1:]]
    assert events == [CampaignEvent.RESULTS_COUNTED, CampaignEvent.PHASE_TIMES, CampaignEvent.STAGE_CHANGED]
    last = decision.changes[-1].campaign
    assert (last.stage, last.pilot.all_reported, last.pilot.ended_at) == (Stage.PAUSED, True, None)


def test_one_report_touches_several_campaigns_each_by_itself():
    other = replace(PILOT, campaign_id=OTHER)
    hubs = [hub(1, membership=replace(IN_PILOT, campaign_id=OTHER)), hub(2, membership=IN_PILOT)]
    found = {
        CID: CampaignFacts(PILOT, PARTS, {Phase.PILOT: Tally(10)}),
        OTHER: CampaignFacts(other, {}, {Phase.PILOT: Tally(1)}),
    }
    sent = request(
        ReportFirmwareActivation(activations=tuple(activation(each.eui, AT, FAILURE) for each in hubs)), CSP_NORTH
    )
    given = replace(facts(CSP_NORTH), hubs={each.eui: each for each in hubs}, campaigns=found)
    decision = decide(sent, given, LATER, POLICY)
    saved = [(each.campaign.campaign_id, each.event) for each in decision.changes[1:]]
    assert saved == [
        (OTHER, CampaignEvent.RESULTS_COUNTED),
        (OTHER, CampaignEvent.PHASE_TIMES),
        (CID, CampaignEvent.RESULTS_COUNTED),
    ]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from(ActivationResult)), max_size=25))
def test_the_newest_result_of_each_hub_decides_whatever_the_order(drawn):
    """Against a count made from the newest results alone."""
    hubs = [hub(n, membership=IN_PILOT) for n in range(4)]
    reported = [activation(hubs[n].eui, AT - hours * HOUR, result) for n, hours, result in drawn]
    if not reported:
        return
    _, decision = _report(reported, hubs, PILOT, tallies={Phase.PILOT: Tally(3)})
    recorded = decision.changes[0].activations
    keys = [(each.activation.device_id, each.activation.at) for each in recorded]
    assert sorted(keys) == sorted({(each.device_id, each.at) for each in reported})
    newest = {}
    for each in recorded:
        device, at = each.activation.device_id, each.activation.at
        assert each.effective is (device not in newest or at > newest[device])
        if each.effective:
            newest[device] = at
    counted = _saved(decision)[CampaignEvent.RESULTS_COUNTED].campaign
    effective = [each.activation for each in recorded if each.effective]
    assert counted.results_reported == len(effective)
    assert counted.results_failed == sum(each.result is FAILURE for each in effective)
    assert (CampaignEvent.PHASE_TIMES in _saved(decision)) is (len(newest) == 3)
    assert len(decision.alerts) == 2 * len(effective) + 1


def _calls(number):
    """Count the calls that a report of so many activations makes."""
    hubs = [hub(n, membership=IN_PILOT) for n in range(number)]
    reported = tuple(activation(each.eui, AT) for each in hubs)
    given = facts(CSP_NORTH, PILOT, hubs={each.eui: each for each in hubs}, tallies={Phase.PILOT: Tally(number)})
    sent = request(ReportFirmwareActivation(activations=reported), CSP_NORTH)
    made = 0

    def count(frame, event, argument):
        nonlocal made
        made += event in ("call", "c_call")

    gc.disable()  # what the collector calls meanwhile is the garbage of other tests, not this report's work
    sys.setprofile(count)
    try:
        decide(sent, given, LATER, POLICY)
    finally:
        sys.setprofile(None)
        gc.enable()
    return made


def test_the_work_grows_with_the_report_and_no_faster():
    assert _calls(2_000) < 10.1 * _calls(200)
