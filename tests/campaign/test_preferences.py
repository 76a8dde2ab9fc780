"""11.6 and 11.7: what is accepted, what is refused, and why."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.campaign.changes import NominationsReplaced, ParticipationSaved, PreferenceEvent
from chfw_sr.campaign.decisions import decide, needs_of
from chfw_sr.campaign.model import Membership, Participation
from chfw_sr.messages import (
    AlertCode,
    DeletePilotPreferences,
    DeviceBounds,
    HubStatus,
    Phase,
    PilotPreferencesWarning,
    Region,
    Rejected,
    ResponseCode,
    Stage,
    UpdatePilotPreferences,
)

from .examples import (
    CAMPAIGNS,
    CID,
    DAY,
    DEADLINE,
    ELECTRIC,
    GAS,
    HOUR,
    NOW,
    OTHER,
    POLICY,
    THIRD,
    VERSION,
    eui,
    facts,
    hub,
    paused_from,
    request,
    window,
)

OPEN = CAMPAIGNS[Stage.PILOT_CONSULTATION]
PART = Participation(CID, ELECTRIC, default_devices=3)
MINE = (window(7, NOW + 21 * DAY, holds=2), window(8, NOW + 22 * DAY, holds=1))


def _update(hubs=None, listed=None, schedule=None, campaign=OPEN, part=PART, user=ELECTRIC, now=NOW, **known):
    hubs = hubs or []
    if listed is None and hubs:
        listed = tuple(each.eui for each in hubs)
    sent = request(UpdatePilotPreferences(campaign_id=CID, preferred_list=listed, preferred_schedule=schedule), user)
    known = {"participations": {part.supplier: part} if part else {}} | known
    return sent, decide(sent, facts(user, campaign, hubs={each.eui: each for each in hubs}, **known), now, POLICY)


def _refused(**given):
    with pytest.raises(Rejected) as caught:
        _update(**given)
    return caught.value


def test_needs_are_the_hubs_named_once_each():
    sent = request(UpdatePilotPreferences(campaign_id=CID, preferred_list=(eui(2), eui(1), eui(2))), ELECTRIC)
    needs = needs_of(sent)
    assert (needs.user, needs.campaign, needs.hubs, needs.responsible) == (ELECTRIC, CID, (eui(2), eui(1)), True)
    only_schedule = request(UpdatePilotPreferences(campaign_id=CID, preferred_schedule=MINE), ELECTRIC)
    assert needs_of(only_schedule).hubs == ()


def test_a_list_and_a_schedule_accepted_whole():
    hubs = [hub(3), hub(1), hub(2)]
    sent, decision = _update(hubs, schedule=MINE)
    assert (decision.code, decision.payload) == (ResponseCode.I99, None)
    assert decision.changes == (
        ParticipationSaved(
            replace(PART, nominated_devices=3, preferred_schedule=MINE), PreferenceEvent.PREFERENCES_UPDATED
        ),
        NominationsReplaced(CID, ELECTRIC, tuple(each.eui for each in hubs)),
    )
    (alert,) = decision.alerts
    assert (alert.code, alert.recipient) == (AlertCode.N902, ELECTRIC)
    assert (alert.body.accepted, alert.body.refused, alert.body.request_id) == (3, 0, sent.request_id)


def test_a_schedule_alone_keeps_the_list():
    part = replace(PART, nominated_devices=2)
    _, decision = _update(schedule=MINE, part=part)
    assert decision.changes == (
        ParticipationSaved(replace(part, preferred_schedule=MINE), PreferenceEvent.PREFERENCES_UPDATED),
    )
    assert (decision.alerts[0].body.accepted, decision.alerts[0].body.refused) == (0, 0)


def test_a_list_alone_keeps_the_schedule():
    part = replace(PART, preferred_schedule=MINE)
    _, decision = _update([hub(1)], part=part)
    assert decision.changes[0].participation == replace(part, nominated_devices=1)


def test_a_responsible_supplier_without_a_part_may_take_part():
    _, decision = _update([hub(1)], part=None, user=GAS, responsible=True)
    assert decision.changes[0].participation == Participation(CID, GAS, nominated_devices=1)


def _in(campaign_id=CID, **changes):
    return Membership(campaign_id, Phase.PILOT, **changes)


REFUSED = [
    (None, "invalid"),
    (hub(1, import_supplier=THIRD, gas_supplier=None), "invalid"),
    (hub(1, status=HubStatus.SUSPENDED), "not_commissioned"),
    (hub(1, model="CH-2"), "not_applicable_firmware"),
    (hub(1, manufacturer="Other"), "not_applicable_firmware"),
    (hub(1, firmware_version=VERSION), "not_applicable_firmware"),
    (hub(1, membership=_in(OTHER)), "other_request_in_progress"),
    (hub(1, membership=_in(nominated_by=GAS)), "already_nominated"),
]
ACCEPTED = [
    hub(1),
    hub(1, import_supplier=GAS, gas_supplier=ELECTRIC),
    hub(1, membership=_in(default_supplier=GAS)),
    hub(1, membership=_in(nominated_by=ELECTRIC)),
]


@pytest.mark.parametrize(("faulty", "reason"), REFUSED)
def test_each_reason_to_refuse_a_hub(faulty, reason):
    known = [each for each in (hub(2), faulty) if each is not None]
    sent, decision = _update(known, listed=(eui(0x1001), eui(0x1002)))
    warning = PilotPreferencesWarning(**{reason: (eui(0x1001),)})
    assert (decision.code, decision.payload) == (ResponseCode.W110601, warning)
    (alert,) = decision.alerts
    assert (alert.code, alert.body.warning, alert.body.request_id) == (AlertCode.N903, warning, sent.request_id)
    assert (alert.body.accepted, alert.body.refused) == (1, 1)
    assert decision.changes[1].hubs == (eui(0x1002),)


def test_a_hub_of_a_region_that_is_not_the_campaigns():
    campaign = replace(OPEN, regions=frozenset({Region.SOUTH}))
    _, decision = _update([hub(1), hub(2, region=Region.SOUTH)], campaign=campaign)
    assert decision.payload == PilotPreferencesWarning(not_applicable_firmware=(eui(0x1001),))


@pytest.mark.parametrize("accepted", ACCEPTED)
def test_hubs_that_are_accepted(accepted):
    assert _update([accepted])[1].code is ResponseCode.I99


def test_the_first_reason_counts():
    """A hub with every fault, losing one after the other, goes through the lists in their order."""
    faulty = hub(
        1,
        import_supplier=THIRD,
        gas_supplier=None,
        status=HubStatus.PENDING,
        firmware_version=VERSION,
        membership=_in(OTHER, nominated_by=GAS),
    )
    seen = []
    for cure in (
        {"import_supplier": ELECTRIC},
        {"status": HubStatus.COMMISSIONED},
        {"firmware_version": "0"},
        {"membership": _in(nominated_by=GAS)},
        {},
    ):
        payload = _update([faulty, hub(2)])[1].payload
        seen += [name for name in PilotPreferencesWarning.model_fields if getattr(payload, name)]
        faulty = replace(faulty, **cure)
    assert seen == ["invalid", "not_commissioned", "not_applicable_firmware", "other_request_in_progress",
                    "already_nominated"]  # fmt: skip


def test_repeats_are_duplicates_whatever_became_of_the_first():
    listed = (eui(0x1001), eui(9), eui(0x1001), eui(9), eui(0x1001))
    _, decision = _update([hub(1)], listed=listed)
    assert decision.payload == PilotPreferencesWarning(invalid=(eui(9),), duplicate=(eui(0x1001), eui(9), eui(0x1001)))
    assert decision.changes[1].hubs == (eui(0x1001),)


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8]), min_size=1, max_size=30))
def test_every_entry_is_accepted_or_refused_once_in_list_order(numbers):
    hubs = [replace(each, eui=eui(i)) for i, (each, _) in enumerate(REFUSED) if each] + [replace(hub(1), eui=eui(8))]
    listed = tuple(map(eui, numbers))
    if 8 not in numbers:
        assert _refused(hubs=hubs, listed=listed).code is ResponseCode.E110603
        return
    _, decision = _update(hubs, listed=listed)
    warning = decision.payload or PilotPreferencesWarning()
    lists = [getattr(warning, name) for name in PilotPreferencesWarning.model_fields]
    accepted = decision.changes[1].hubs
    assert sorted(each for part in (*lists, accepted) for each in part) == sorted(listed)
    first_mentions = list(dict.fromkeys(listed))
    for part in (*lists[:-1], accepted):
        positions = [first_mentions.index(each) for each in part]
        assert positions == sorted(positions)
    body = decision.alerts[0].body
    assert (body.accepted, body.refused) == (len(accepted), len(listed) - len(accepted))


@pytest.mark.parametrize("known", [{"campaign": None}, {"part": None}, {"part": replace(PART, supplier=GAS)}])
def test_unknown_and_not_for_this_user_are_told_alike(known):
    error = _refused(hubs=[hub(1)], **known)
    assert error.code is ResponseCode.E110601
    assert error.reason == _refused(hubs=[hub(1)], campaign=None, part=None).reason


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.PILOT_CONSULTATION}))
def test_wrong_stage(stage):
    error = _refused(hubs=[hub(1)], campaign=CAMPAIGNS[stage])
    assert error.code is ResponseCode.E110602
    assert stage in error.reason


@pytest.mark.parametrize("late", [0 * HOUR, HOUR])
def test_past_the_deadline(late):
    error = _refused(hubs=[hub(1)], now=DEADLINE + late)
    assert error.code is ResponseCode.E110602
    assert "2026-03-15T09:00:00Z" in error.reason


def test_just_before_the_deadline():
    campaign = replace(OPEN, minimum_notice_days=0)
    assert _update([hub(1)], campaign=campaign, now=DEADLINE - HOUR)[1].code is ResponseCode.I99


def test_a_paused_consultation_takes_nothing():
    assert _refused(hubs=[hub(1)], campaign=paused_from(Stage.PILOT_CONSULTATION, NOW)).code is ResponseCode.E110602


def test_no_hub_acceptable():
    assert _refused(listed=(eui(1), eui(1))).code is ResponseCode.E110603


@pytest.mark.parametrize(("number", "fits"), [(1, False), (2, True), (3, True), (4, False)])
def test_bounds_count_what_is_accepted(number, fits):
    campaign = replace(OPEN, pilot_devices=DeviceBounds(minimum=2, maximum=3))
    given = {"hubs": [hub(n) for n in range(number)] + [hub(99, model="X")], "campaign": campaign}
    if fits:
        assert _update(**given)[1].code is ResponseCode.W110601
    else:
        error = _refused(**given)
        assert error.code is ResponseCode.E110604
        assert f"{number} hubs" in error.reason
        assert "2 to 3" in error.reason


@pytest.mark.parametrize(
    "schedule",
    [
        (window(1, DEADLINE - HOUR),),
        (window(1, NOW + 17 * DAY),),
        (window(1, NOW + 48 * DAY),),
        (window(1, NOW + 20 * DAY), window(1, NOW + 22 * DAY)),
        (window(1, NOW + 20 * DAY), window(2, NOW + 20 * DAY + HOUR)),
        (window(1, NOW + 20 * DAY, 0 * DAY),),
    ],
)
def test_invalid_schedules(schedule):
    error = _refused(schedule=schedule)
    assert error.code is ResponseCode.E110605
    assert error.reason.startswith("Window ")


def test_a_preferred_window_may_not_start_before_the_deadline():
    campaign = replace(OPEN, response_deadline=NOW + 20 * DAY, minimum_notice_days=0)
    error = _refused(schedule=(window(4, NOW + 19 * DAY),), campaign=campaign)
    assert error.code is ResponseCode.E110605
    assert "response deadline" in error.reason


def test_the_notice_counts_from_the_request():
    campaign = replace(OPEN, minimum_notice_days=19)
    assert _update(schedule=(window(1, NOW + 20 * DAY),), campaign=campaign)[1].code is ResponseCode.I99
    error = _refused(schedule=(window(1, NOW + 20 * DAY),), campaign=campaign, now=NOW + 2 * DAY)
    assert error.code is ResponseCode.E110605


SMALL = (window(1, NOW + 20 * DAY, holds=1), window(2, NOW + 25 * DAY, holds=1))


@pytest.mark.parametrize(
    "given",
    [
        {"hubs": [hub(1), hub(2), hub(3)], "schedule": SMALL},  # new list, new schedule
        {"hubs": [hub(1), hub(2), hub(3)], "part": replace(PART, preferred_schedule=SMALL)},  # new list, stored one
        {"hubs": [hub(1), hub(2), hub(3)], "campaign": replace(OPEN, default_schedule=SMALL)},  # and the default's
        {"schedule": SMALL, "part": replace(PART, nominated_devices=3, default_devices=1)},  # stored list
        {"schedule": SMALL, "part": PART},  # the default part
    ],
)
def test_the_schedule_that_counts_must_hold_the_list_that_counts(given):
    error = _refused(**given)
    assert error.code is ResponseCode.E110606
    assert error.reason == "The schedule holds 2 hubs, and the list has 3."


@pytest.mark.parametrize(
    "given",
    [
        {"hubs": [hub(1), hub(2)], "schedule": SMALL},
        {"schedule": SMALL, "part": replace(PART, nominated_devices=2, default_devices=9)},
        {"schedule": SMALL, "part": None, "responsible": True},
    ],
)
def test_a_list_that_just_fits(given):
    assert _update(**given)[1].code is ResponseCode.I99


def _delete(campaign=OPEN, part=PART, now=NOW, **known):
    sent = request(DeletePilotPreferences(campaign_id=CID), ELECTRIC)
    known = {"participations": {part.supplier: part} if part else {}} | known
    return sent, decide(sent, facts(ELECTRIC, campaign, **known), now, POLICY)


@pytest.mark.parametrize("given", [{"nominated_devices": 2}, {"preferred_schedule": MINE}])
def test_preferences_are_deleted(given):
    sent, decision = _delete(part=replace(PART, **given))
    assert (decision.code, decision.payload) == (ResponseCode.I99, None)
    assert decision.changes == (
        ParticipationSaved(PART, PreferenceEvent.PREFERENCES_DELETED),
        NominationsReplaced(CID, ELECTRIC, ()),
    )
    (alert,) = decision.alerts
    assert (alert.code, alert.recipient, alert.body.request_id) == (AlertCode.N910, ELECTRIC, sent.request_id)


@pytest.mark.parametrize("given", [{"part": PART}, {"part": None, "responsible": True}])
def test_deleting_nothing_succeeds_and_changes_nothing(given):
    _, decision = _delete(**given)
    assert (decision.code, decision.changes) == (ResponseCode.I99, ())
    assert [each.code for each in decision.alerts] == [AlertCode.N910]


def test_delete_needs_no_hubs():
    needs = needs_of(request(DeletePilotPreferences(campaign_id=CID), ELECTRIC))
    assert (needs.campaign, needs.hubs, needs.responsible) == (CID, (), True)


@pytest.mark.parametrize("given", [{"campaign": None}, {"part": None}])
def test_deleting_in_a_campaign_that_is_not_seen(given):
    with pytest.raises(Rejected) as caught:
        _delete(**given)
    assert caught.value.code is ResponseCode.E110701


@pytest.mark.parametrize(
    "given",
    [{"now": DEADLINE}, *({"campaign": CAMPAIGNS[stage]} for stage in Stage if stage is not Stage.PILOT_CONSULTATION)],
)
def test_deleting_too_late_or_too_early(given):
    with pytest.raises(Rejected) as caught:
        _delete(**given)
    assert caught.value.code is ResponseCode.E110702
