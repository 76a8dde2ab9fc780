"""Whole campaigns against a simple store: one told step by step, and any number made up by Hypothesis."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chfw_sr.campaign.clock import due_at
from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.model import User
from chfw_sr.campaign.status import PhaseResult, phase_result, status_for
from chfw_sr.campaign.transitions import RUNNING, TRANSITIONS, Back
from chfw_sr.messages import (
    RESPONSES,
    SERVICE_REFERENCES,
    Action,
    ActivationResult,
    AlertCode,
    CampaignID,
    CreateFirmwareCampaign,
    DeletePilotPreferences,
    DeviceBounds,
    HubStatus,
    Phase,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReadSafeLaunchSchedule,
    Region,
    Rejected,
    ReportFirmwareActivation,
    ResponseCode,
    Role,
    Stage,
    UpdateCampaignState,
    UpdatePilotPreferences,
)

from .examples import (
    ACB,
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
    PILOT_PERIOD,
    SAFE_LAUNCH_PERIOD,
    THIRD,
    USERS,
    VERSION,
    activation,
    hub,
    request,
    window,
)
from .world import World

SUPPLIERS = (ELECTRIC, GAS, THIRD)
POLICY = Policy(threshold_minimum=4)
PAUSABLE = set(Stage) - {Stage.DRAFT, Stage.PAUSED, Stage.COMPLETE, Stage.ABORTED}


def _codes(decision, *, but=()):
    return Counter(each.code for each in decision.alerts if each.code not in but)


def test_a_campaign_from_its_creation_to_its_end():
    """Three Suppliers: one takes the default, one sends preferences, one joins by a nomination alone."""
    hubs = [hub(n, electricity_distributor=GRID) for n in range(4)]
    hubs += [hub(n, import_supplier=None, gas_supplier=GAS) for n in range(4, 7)]
    hubs += [hub(n, import_supplier=THIRD, gas_supplier=None) for n in range(7, 10)]
    world = World(USERS.values(), hubs, POLICY)
    euis = [each.eui for each in hubs]
    create = CreateFirmwareCampaign(
        campaign_id=CID,
        manufacturer="Acme",
        model="CH-1",
        firmware_version=VERSION,
        pilot_period=PILOT_PERIOD,
        failure_threshold=Decimal(60),
    )
    world.submit(request(create, DCC), NOW)
    first, second = window(1, NOW + 20 * DAY, holds=2), window(2, NOW + 22 * DAY)
    plan = PublishPilotPlan(
        campaign_id=CID,
        response_deadline=NOW + 10 * DAY,
        default_schedule=(first, second),
        default_list=tuple(euis[:6]),
    )
    assert _codes(world.submit(request(plan, DCC), NOW))[AlertCode.N901] == 2

    mine = (window(5, NOW + 25 * DAY),)
    preferred = UpdatePilotPreferences(
        campaign_id=CID, preferred_list=(euis[6], euis[7], euis[0]), preferred_schedule=mine
    )
    decision = world.submit(request(preferred, GAS), NOW + DAY)
    assert decision.code is ResponseCode.W110601
    assert decision.payload.invalid == (euis[7],)
    joined = UpdatePilotPreferences(campaign_id=CID, preferred_list=(euis[8],))
    assert world.submit(request(joined, THIRD), NOW + DAY).code is ResponseCode.I99

    assert world.tick(NOW + 9 * DAY) == []
    (confirmed,) = world.tick(NOW + 10 * DAY)
    lists = {each.recipient: each.body.pilot_list for each in confirmed.alerts if each.code is AlertCode.N905}
    assert lists == {ELECTRIC: tuple(euis[1:4]), GAS: (euis[6], euis[0]), THIRD: (euis[8],)}
    own = world.submit(request(ReadPilotPlan(campaign_id=CID), GAS), NOW + 11 * DAY).payload
    assert (own.confirmed_list, own.confirmed_schedule, own.default_list) == ((euis[6], euis[0]), mine, None)
    assert euis[4] not in world.places

    (started,) = world.tick(first.start)
    assert started.changes[0].campaign.stage is Stage.PILOT
    at = second.start
    report = ReportFirmwareActivation(
        activations=(
            *(activation(each, at) for each in (euis[1], euis[2], euis[6], euis[8])),
            activation(euis[3], at, ActivationResult.FAILURE),
        )
    )
    decision = world.submit(request(report, CSP_NORTH), at + HOUR)
    assert _codes(decision) == {AlertCode.N64: 6, AlertCode.N908: 2, AlertCode.N911: 1}
    assert _codes(world.tick(at + HOUR)[0]) == {AlertCode.N909: 4}
    late = at + 2 * HOUR
    world.submit(request(ReportFirmwareActivation(activations=(activation(euis[0], late),)), CSP_NORTH), late)
    (ended,) = world.tick(late)
    campaign = ended.changes[0].campaign
    assert (campaign.stage, campaign.pilot.ended_at) == (Stage.PILOT_COMPLETE, late)
    assert phase_result(campaign, Phase.PILOT, world.tally(CID, Phase.PILOT)) is PhaseResult.ENDED_WITH_FAILURES

    launch = PublishSafeLaunchSchedule(
        campaign_id=CID, schedule=(window(1, NOW + 60 * DAY, holds=2), window(2, NOW + 62 * DAY))
    )
    decision = world.submit(request(launch, DCC), NOW + 50 * DAY)
    counts = {each.recipient: each.body.device_count for each in decision.alerts if each.code is AlertCode.N907}
    assert counts == {ELECTRIC: 1, GAS: 2, THIRD: 2}
    safe = world.submit(request(ReadSafeLaunchSchedule(campaign_id=CID), GAS), NOW + 50 * DAY).payload
    assert safe.devices == (euis[4], euis[5])
    world.tick(NOW + 60 * DAY)
    done = tuple(activation(each, NOW + 60 * DAY) for each in (euis[3], euis[4], euis[5], euis[7], euis[9]))
    world.submit(request(ReportFirmwareActivation(activations=done), CSP_NORTH), NOW + 61 * DAY)
    grid = world.submit(request(ReadCampaignStatus(campaign_id=CID), GRID), NOW + 61 * DAY).payload
    assert (grid.pilot.activated, grid.pilot.failed, grid.safe_launch.activated) == (3, 1, 1)
    world.tick(NOW + 61 * DAY)
    campaign = world.campaigns[CID]
    assert (campaign.stage, campaign.ended_from) == (Stage.COMPLETE, None)
    tally = world.tally(CID, Phase.SAFE_LAUNCH)
    assert phase_result(campaign, Phase.SAFE_LAUNCH, tally) is PhaseResult.SUCCEEDED
    assert world.places == {}
    assert {each.firmware_version for each in world.hubs.values()} == {VERSION}


HUBS = [
    *(hub(n, electricity_distributor=GRID) for n in range(4)),
    *(hub(n, import_supplier=None) for n in range(4, 8)),
    *(hub(n, import_supplier=THIRD, gas_supplier=THIRD) for n in range(8, 12)),
    hub(12, import_supplier=None, gas_supplier=None),
    hub(13, status=HubStatus.PENDING),
    hub(14, region=Region.SOUTH),
    hub(15, model="CH-2"),
]
EUIS = [each.eui for each in HUBS]
IDS = st.sampled_from([CID, OTHER])
LISTS = st.lists(st.sampled_from(EUIS), min_size=1, max_size=8).map(tuple)
NICE_LISTS = st.lists(st.sampled_from(EUIS[:12]), min_size=1, max_size=10, unique=True).map(tuple)

OWN_LISTS = {
    supplier: st.lists(
        st.sampled_from([each.eui for each in HUBS[:12] if each.is_supplied_by(supplier)]), min_size=1, unique=True
    ).map(tuple)
    for supplier in SUPPLIERS
}


class Life(RuleBasedStateMachine):
    """Any requests at any time, in any order; the clock runs in between, now and then late."""

    @initialize(
        bounds=st.none() | st.just(DeviceBounds(minimum=1, maximum=5)),
        threshold=st.sampled_from(["5", "50", "100"]),
        period=st.sampled_from([None, SAFE_LAUNCH_PERIOD]),
        hubs=NICE_LISTS,
    )
    def begin(self, bounds, threshold, period, hubs):
        everyone = [*USERS.values(), User(ACB, "Suspicious", frozenset({Role.ES}))]
        self.world = World(everyone, HUBS, POLICY)
        self.now = NOW
        for campaign_id in (CID, OTHER):
            self.create(campaign_id, bounds, threshold, period)
        self.publish(CID, hubs, 3, [None])

    def in_stage(self, *stages):
        """Tell whether a campaign is in one of these stages: rules that need one are not tried in vain."""
        return any(each.stage in stages for each in self.world.campaigns.values())

    def choose(self, draw, *stages):
        """Choose a campaign, one in the right stage nine times out of ten."""
        fitting = [each.campaign_id for each in self.world.campaigns.values() if each.stage in stages]
        return draw(st.sampled_from(fitting * 9 + [CID, OTHER]))

    def send(self, body, originator):
        sent = request(body, originator)
        before = dict(self.world.campaigns)
        try:
            decision = self.world.submit(sent, self.now)
        except Rejected as error:
            self.refused(error)
            return None
        if SERVICE_REFERENCES[sent.srv].read:
            assert (decision.code, decision.changes, decision.alerts) == (ResponseCode.I0, (), ())
            return decision
        outcome = {AlertCode.N902, AlertCode.N903, AlertCode.N910, AlertCode.N911}
        assert [each for each in decision.alerts if each.code in outcome] == [decision.alerts[-1]]
        assert decision.alerts[-1].recipient == originator
        assert decision.alerts[-1].body.request_id == sent.request_id
        self.moves(decision, before)
        return decision

    def refused(self, error):
        assert RESPONSES[error.code].raised
        assert error.code.is_error
        assert error.reason.endswith(".")

    def moves(self, decision, before):
        """Each change of stage is a row of the table and is told to all who take part, and to nobody else."""
        told = {}
        for each in decision.alerts:
            if each.code is AlertCode.N906:
                body = each.body
                told.setdefault((body.campaign_id, body.previous, body.stage), []).append(each.recipient)
        moved = set()
        for campaign_id, campaign in self.world.campaigns.items():
            was = before.get(campaign_id)
            if was is not None and was.stage is not campaign.stage:
                moved.add((campaign_id, was.stage, campaign.stage))
                rows = {to for (stage, _), to in TRANSITIONS.items() if stage is was.stage}
                assert campaign.stage in rows or (Back.PAUSED_FROM in rows and campaign.stage is was.paused_from)
        assert set(told) == moved
        for (campaign_id, *_), recipients in told.items():
            assert recipients == [*sorted(self.world.parts[campaign_id]), DCC]

    def create(self, campaign_id, bounds, threshold, period):
        body = CreateFirmwareCampaign(
            campaign_id=CampaignID(campaign_id),
            manufacturer="Acme",
            model="CH-1",
            firmware_version=VERSION,
            pilot_period=PILOT_PERIOD,
            safe_launch_period=period,
            minimum_notice_days=1,
            pilot_devices=bounds,
            failure_threshold=Decimal(threshold),
        )
        self.send(body, DCC)

    @precondition(lambda self: self.in_stage(Stage.DRAFT) and self.now < PILOT_PERIOD.start)
    @rule(
        campaign_id=IDS,
        hubs=LISTS | NICE_LISTS,
        deadline=st.integers(1, 20),
        limits=st.lists(st.none() | st.integers(1, 4), min_size=1, max_size=3),
    )
    def publish(self, campaign_id, hubs, deadline, limits):
        schedule = tuple(
            window(i + 1, PILOT_PERIOD.start + 3 * i * DAY, 2 * DAY, limit) for i, limit in enumerate(limits)
        )
        body = PublishPilotPlan(
            campaign_id=campaign_id,
            response_deadline=NOW + deadline * DAY,
            default_schedule=schedule,
            default_list=hubs,
        )
        decision = self.send(body, DCC)
        if decision is not None:
            assert _codes(decision)[AlertCode.N901] == len(self.world.parts[campaign_id])

    @precondition(lambda self: self.in_stage(Stage.PILOT_CONSULTATION))
    @rule(
        data=st.data(),
        supplier=st.sampled_from(SUPPLIERS),
        own=st.none() | st.booleans(),
        limits=st.none() | st.lists(st.none() | st.integers(1, 3), min_size=1, max_size=3),
    )
    def prefer(self, data, supplier, own, limits):
        campaign_id = self.choose(data.draw, Stage.PILOT_CONSULTATION)
        hubs = None if own is None else data.draw(OWN_LISTS[supplier] if own else LISTS)
        if hubs is None and limits is None:
            return
        schedule = limits and tuple(
            window(i + 1, PILOT_PERIOD.start + (2 + 4 * i) * DAY, DAY, limit) for i, limit in enumerate(limits)
        )
        body = UpdatePilotPreferences(campaign_id=campaign_id, preferred_list=hubs, preferred_schedule=schedule)
        self.send(body, supplier)

    @precondition(lambda self: self.in_stage(Stage.PILOT_CONSULTATION))
    @rule(data=st.data(), supplier=st.sampled_from(SUPPLIERS))
    def withdraw(self, data, supplier):
        campaign_id = self.choose(data.draw, Stage.PILOT_CONSULTATION)
        if self.send(DeletePilotPreferences(campaign_id=campaign_id), supplier) is not None:
            assert self.world.own_lists(supplier, campaign_id).preferred is None

    @precondition(lambda self: self.in_stage(Stage.PILOT_COMPLETE))
    @rule(
        data=st.data(),
        limits=st.lists(st.none() | st.integers(1, 8), min_size=1, max_size=3),
        wait=st.integers(1, 9),
    )
    def launch(self, data, limits, wait):
        campaign_id = self.choose(data.draw, Stage.PILOT_COMPLETE)
        campaign = self.world.campaigns.get(campaign_id)
        period = campaign and campaign.safe_launch_period
        start = max(self.now + wait * DAY, period.start if period else self.now)
        schedule = tuple(window(i + 1, start + 2 * i * DAY, DAY, limit) for i, limit in enumerate(limits))
        decision = self.send(PublishSafeLaunchSchedule(campaign_id=campaign_id, schedule=schedule), DCC)
        if decision is not None:
            announced = sum(each.body.device_count for each in decision.alerts if each.code is AlertCode.N907)
            without = [slot for slot in self.world.slots[campaign_id, Phase.SAFE_LAUNCH].values() if not slot.supplier]
            assert announced + len(without) == self.world.tally(campaign_id, Phase.SAFE_LAUNCH).devices

    @precondition(lambda self: self.in_stage(*PAUSABLE))
    @rule(data=st.data())
    def pause(self, data):
        self.change_state(self.choose(data.draw, *PAUSABLE), Action.PAUSE)

    @precondition(lambda self: self.in_stage(Stage.PAUSED))
    @rule(data=st.data())
    def resume(self, data):
        self.change_state(self.choose(data.draw, Stage.PAUSED), Action.RESUME)

    @rule(campaign_id=IDS, action=st.sampled_from([Action.ABORT, Action.COMPLETE]), sure=st.integers(0, 9))
    def end(self, campaign_id, action, sure):
        if sure == 7:
            self.change_state(campaign_id, action)

    def change_state(self, campaign_id, action):
        self.send(UpdateCampaignState(campaign_id=campaign_id, action=action, reason="Because"), DCC)

    @rule(
        results=st.lists(
            st.tuples(
                st.sampled_from(EUIS),
                st.integers(0, 3),
                st.sampled_from([ActivationResult.SUCCESS] * 3 + [ActivationResult.FAILURE]),
                st.sampled_from([VERSION] * 5 + ["03.00.00"]),
            ),
            min_size=1,
            max_size=12,
        )
    )
    def report(self, results):
        body = ReportFirmwareActivation(
            activations=tuple(
                activation(eui, self.now - hours * HOUR, result, version) for eui, hours, result, version in results
            )
        )
        self.send(body, CSP_NORTH)

    @rule(
        campaign_id=IDS,
        user=st.sampled_from([*USERS, ACB]),
        body=st.sampled_from([ReadPilotPlan, ReadSafeLaunchSchedule, ReadCampaignStatus]),
    )
    def read(self, campaign_id, user, body):
        self.send(body(campaign_id=campaign_id), user)

    @rule(hours=st.integers(1, 24 * 12), late=st.booleans())
    def wait(self, hours, late):
        self.now += timedelta(hours=hours)
        if not late:
            self.run_clock()

    @precondition(lambda self: any(due_at(each) for each in self.world.campaigns.values()))
    @rule()
    def wait_until_due(self):
        self.now = max(self.now, min(filter(None, map(due_at, self.world.campaigns.values()))))
        self.run_clock()

    def run_clock(self):
        for campaign_id in sorted(self.world.campaigns):
            reports = 0
            while (due := due_at(self.world.campaigns[campaign_id])) is not None and due <= self.now:
                before = dict(self.world.campaigns)
                decision = self.world.step(campaign_id, self.now)
                assert decision.code is None
                assert decision.changes
                self.moves(decision, before)
                reports += AlertCode.N909 in _codes(decision)
            assert reports <= 1

    @invariant()
    def parts_and_tallies_agree(self):
        for campaign_id in self.world.campaigns:
            for phase, field in ((Phase.PILOT, "pilot_devices"), (Phase.SAFE_LAUNCH, "safe_launch_devices")):
                of_supplier = Counter(slot.supplier for slot in self.world.slots[campaign_id, phase].values())
                for supplier, part in self.world.parts[campaign_id].items():
                    assert getattr(part, field) == of_supplier[supplier]

    @invariant()
    def no_window_holds_more_than_it_may(self):
        for (_, phase), slots in self.world.slots.items():
            taken = Counter((slot.supplier if phase is Phase.PILOT else None, slot.window) for slot in slots.values())
            for (_, each), number in taken.items():
                assert each.max_devices is None or number <= each.max_devices

    @invariant()
    def dates_fit_the_stage(self):
        for campaign in self.world.campaigns.values():
            running = campaign.stage in RUNNING
            assert (campaign.next_status_at is not None) is running
            assert (campaign.paused_from is not None) is (campaign.stage is Stage.PAUSED)
            assert (campaign.ended_at is not None) is not campaign.is_live
            for phase in Phase:
                times = campaign.times(phase)
                tally = self.world.tally(campaign.campaign_id, phase)
                assert times.all_reported is (tally.devices > 0 and tally.silent == 0)
                assert times.ended_at is None or times.started_at is not None
                assert not (times.cut_short and campaign.is_live)
                phase_result(campaign, phase, tally)

    @invariant()
    def only_live_campaigns_hold_hubs_and_counts_add_up(self):
        for eui, place in self.world.places.items():
            assert self.world.campaigns[place.campaign_id].is_live
            assert self.world.hubs[eui].model == "CH-1"
        for campaign_id, campaign in self.world.campaigns.items():
            status = status_for(campaign, self.world.cells(campaign_id), None, self.now)
            tally = self.world.tally(campaign_id, Phase.PILOT)
            assert (status.pilot.devices, status.pilot.activated) == (tally.devices, tally.activated)


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
