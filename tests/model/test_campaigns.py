"""Whole campaigns at random, signed octets through the processor, against the model.

After every step: the stage and the deadline of a consultation are the model's, every change of stage was a legal one
and was told once, the counts of both phases are the model's, each request had exactly one outcome alert and each result
its alerts.

`CHFW_SR_MODEL_EXAMPLES=2000 pytest tests/model` is the longer run (`make model`).
"""

import asyncio
import os
from collections import Counter
from datetime import timedelta
from xml.etree import ElementTree as ET

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from chfw_sr.messages import (
    Action,
    Activation,
    ActivationResult,
    DeletePilotPreferences,
    Period,
    Phase,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReadCampaignStatus,
    ReportFirmwareActivation,
    Stage,
    UpdateCampaignState,
    UpdatePilotPreferences,
    Window,
)
from chfw_sr.service.outcome import Ending
from chfw_sr.service.ports import MessageKind
from tests.model.campaign import NOTICE, STEPS, Model
from tests.service.world import ALPHA, CAMPAIGN, DAY, GASCO, HUBS, NORTH, OPERATOR, START, World, create
from tests.wire.makers import SR

EXAMPLES = int(os.environ.get("CHFW_SR_MODEL_EXAMPLES", "20"))
OUTCOME_ALERTS = {"N902", "N903", "N904", "N910", "N911"}
PILOT_PERIOD = Period(start=START, end=START + 800 * DAY)

hubs = st.sampled_from([hub.eui for hub in HUBS])
suppliers = st.sampled_from([ALPHA, GASCO])
waits = st.sampled_from([1, 24, 49, 24 * 8, 24 * 9])


class Campaigns(RuleBasedStateMachine):
    """One campaign, ten hubs, two Suppliers."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = self.loop.run_until_complete(World().populate())
        self.model = Model(
            leads={hub.eui: hub.lead_supplier for hub in HUBS},
            responsible={hub.eui: {hub.import_supplier, hub.gas_supplier} - {None} for hub in HUBS},
        )
        self.told = []
        self.stages = []

    def teardown(self):
        self.loop.close()

    @property
    def now(self):
        return self.world.clock.now()

    def send(self, sender, body, *, legal, reads=False):
        """Send a request, and check that it is taken if the model says so, with one outcome alert to its sender."""
        outcome = self.loop.run_until_complete(self.world.send(sender, body))
        assert (outcome.ending is Ending.DONE) == legal, outcome
        assert outcome.ending in {Ending.DONE, Ending.REFUSED}
        self.listen()
        outcomes = [(each.recipient, each.type) for each in self.told if each.type in OUTCOME_ALERTS]
        assert len(outcomes) == (0 if reads and legal else 1), outcomes
        assert all(recipient == sender for recipient, _ in outcomes)
        assert (("N904" in dict(map(reversed, outcomes))) is not legal) or (reads and legal)
        return outcome

    def listen(self):
        published = self.loop.run_until_complete(self.world.published())
        self.told = [each for each in published if each.kind is MessageKind.ALERT]
        self.stages += [
            (root.findtext(f".//{{{SR}}}PreviousStage"), root.findtext(f".//{{{SR}}}Stage"))
            for each in self.told
            if (each.recipient, each.type) == (OPERATOR, "N906")
            for root in [ET.fromstring(each.octets)]
        ]

    def settle(self):
        self.model.catch_up(self.now)
        self.compare()

    def compare(self):
        view = self.loop.run_until_complete(self.world.store.queries.campaign(CAMPAIGN))
        assert view.campaign.stage is self.model.stage
        if self.model.open:
            assert view.campaign.response_deadline == self.model.deadline
        for phase in Phase:
            cells = [cell for cell in view.cells if cell.phase is phase]
            found = tuple(sum(getattr(cell, name) for cell in cells) for name in ("devices", "activated", "failed"))
            assert found == self.model.counts(phase), phase
        history = self.loop.run_until_complete(self.world.store.queries.campaign_history(CAMPAIGN, 1000))
        changes = Counter(row.kind for row in history)["StageChanged"]
        assert changes == len(self.stages)
        assert [new for _, new in self.stages[:-1]] == [old for old, _ in self.stages[1:]]
        if self.stages:
            assert self.stages[-1][1] == self.model.stage
        self.check_stages()

    def check_stages(self):
        """Every change that was told is one that there is; a resumed campaign is where it was paused."""
        paused_from = None
        for old, new in ((Stage(old), Stage(new)) for old, new in self.stages):
            if old is Stage.PAUSED:
                legal = {paused_from, Stage.ABORTED}
            else:
                legal = STEPS[old] | {Stage.ABORTED} | (set() if old is Stage.DRAFT else {Stage.PAUSED})
            assert new in legal, (old, new)
            paused_from = old if new is Stage.PAUSED else None

    @initialize(first=st.sets(hubs, min_size=1), at_once=st.integers(0, 3))
    def created(self, first, at_once):
        body = create().model_copy(update={"pilot_period": PILOT_PERIOD, "failure_threshold": 100})
        self.send(OPERATOR, body, legal=True)
        self.model.stage = Stage.DRAFT
        self.settle()
        if at_once:
            self.publish(first)

    @precondition(lambda self: self.model.stage is Stage.DRAFT or not self.stages or len(self.stages) % 3 == 0)
    @rule(hubs=st.sets(hubs, min_size=1))
    def publish_again(self, hubs):
        self.publish(hubs)

    def publish(self, hubs):
        fresh = hubs - self.model.updated
        window = (self.now + NOTICE + DAY, self.now + NOTICE + 2 * DAY)
        legal = self.model.stage is Stage.DRAFT and window[1] <= PILOT_PERIOD.end and fresh == hubs
        body = PublishPilotPlan(
            campaign_id=CAMPAIGN,
            response_deadline=self.now + 2 * DAY,
            default_schedule=(Window(window_id=1, start=window[0], end=window[1]),),
            default_list=tuple(sorted(hubs)),
        )
        self.send(OPERATOR, body, legal=legal)
        if legal:
            self.model.publish(hubs, body.response_deadline, window)
        self.settle()

    @rule(supplier=suppliers, hubs=st.lists(hubs, min_size=1, max_size=6, unique=True))
    def nominate(self, supplier, hubs):
        accepted = self.model.acceptable(supplier, hubs)
        legal = self.model.open and bool(accepted)
        outcome = self.send(
            supplier, UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=tuple(hubs)), legal=legal
        )
        if legal:
            assert outcome.code == ("I99" if len(accepted) == len(hubs) else "W110601")
            self.model.nominate(supplier, accepted)
        self.settle()

    @precondition(lambda self: self.model.nominated or self.model.stage is Stage.PILOT_CONFIRMED)
    @rule(supplier=suppliers)
    def withdraw(self, supplier):
        if self.model.open and supplier not in self.model.nominated:
            supplier = next(iter(self.model.nominated))
        legal = self.model.open
        self.send(supplier, DeletePilotPreferences(campaign_id=CAMPAIGN), legal=legal)
        if legal:
            self.model.withdraw(supplier)
        self.settle()

    @rule(action=st.sampled_from(Action))
    def act_by_hand(self, action):
        if action is Action.ABORT and len(self.stages) < 6:
            return  # else few campaigns would come far
        self.act(action)

    def act(self, action):
        legal = self.model.permits(action)
        self.send(OPERATOR, UpdateCampaignState(campaign_id=CAMPAIGN, action=action, reason="By hand"), legal=legal)
        if legal:
            self.model.act(action, self.now)
        self.settle()

    @precondition(lambda self: self.model.permits(Action.PAUSE))
    @rule(hours=waits)
    def interrupt(self, hours):
        """A pause that is over: drawn step by step, few consultations would see its end."""
        self.act(Action.PAUSE)
        self.wait(hours)
        self.act(Action.RESUME)

    @precondition(lambda self: self.model.stage is not Stage.DRAFT)
    @rule(hub=hubs, success=st.booleans())
    def report(self, hub, success):
        reason = None if success else "No signal"
        result = ActivationResult.SUCCESS if success else ActivationResult.FAILURE
        one = Activation(device_id=hub, firmware_version="02.00", at=self.now, result=result, failure_reason=reason)
        new = self.model.report(hub, success=success, at=self.now)
        self.send(NORTH, ReportFirmwareActivation(activations=(one,)), legal=True)
        hears = [each.recipient for each in self.told if each.type in {"N64", "N908"}]
        assert sorted(hears) == (sorted(self.model.responsible[hub]) if new else [])
        self.settle()

    @precondition(lambda self: self.model.stage in {Stage.PILOT, Stage.PILOT_COMPLETE, Stage.SAFE_LAUNCH})
    @rule()
    def launch(self):
        window = (self.now + NOTICE + DAY, self.now + NOTICE + 2 * DAY)
        legal = self.model.stage is Stage.PILOT_COMPLETE and len(self.model.updated) < len(HUBS)
        schedule = (Window(window_id=1, start=window[0], end=window[1]),)
        self.send(OPERATOR, PublishSafeLaunchSchedule(campaign_id=CAMPAIGN, schedule=schedule), legal=legal)
        if legal:
            self.model.launch(window)
        self.settle()

    @rule()
    def read(self):
        outcome = self.send(OPERATOR, ReadCampaignStatus(campaign_id=CAMPAIGN), legal=True, reads=True)
        assert outcome.code == "I0"

    @rule(hours=waits)
    def wait_for_a_while(self, hours):
        self.wait(hours)

    def wait(self, hours):
        self.world.clock.set(self.now + timedelta(hours=hours))
        self.loop.run_until_complete(self.world.clockwork.tick())
        self.listen()
        assert not OUTCOME_ALERTS & {each.type for each in self.told}
        self.settle()


Campaigns.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCampaigns = Campaigns.TestCase
