"""A store in its simplest form: it answers needs and carries out changes, with dictionaries and no hurry.

What the real stores do in sets, this does hub by hub; it says what `Needs` and `Change` mean.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace

from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignSaved,
    DefaultListSet,
    NominationsReplaced,
    ParticipationSaved,
    PilotAllotted,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.clock import decide_step, due_at, needs_of_step
from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.decisions import decide, needs_of
from chfw_sr.campaign.facts import Facts
from chfw_sr.campaign.model import CampaignFacts, Cell, Incomplete, Membership, OwnLists, PlanRow, Tally
from chfw_sr.messages import EUI, ActivationResult, HubStatus, Phase, Role, Window


@dataclass
class Place:
    """A hub's place in the live campaign that holds it."""

    campaign_id: str
    phase: Phase = Phase.PILOT
    default_supplier: EUI | None = None
    default_position: int | None = None
    nominated_by: EUI | None = None
    nominated_position: int | None = None
    allotted: bool = False
    outcome: ActivationResult | None = None


@dataclass
class Slot:
    """A hub's window in a phase; kept after the campaign's end."""

    supplier: EUI | None
    window: Window
    outcome: ActivationResult | None = None


class World:
    def __init__(self, users, hubs, policy: Policy):
        self.users = {user.eui: user for user in users}
        self.hubs = {each.eui: each for each in hubs}
        self.policy = policy
        self.campaigns = {}
        self.parts = defaultdict(dict)
        self.places: dict[EUI, Place] = {}
        self.slots: dict[tuple, dict[EUI, Slot]] = defaultdict(dict)
        self.recorded = set()
        self.history = []

    # The sentence of the service, in short.

    def submit(self, request, now):
        needs = needs_of(request)
        try:
            decision = decide(request, self.answer(needs), now, self.policy)
        except Incomplete:
            decision = decide(request, self.answer(replace(needs, everybody=True)), now, self.policy)
        self.apply(decision)
        return decision

    def step(self, campaign_id, now):
        facts = self.answer(needs_of_step(self.campaigns[campaign_id], now))
        decision = decide_step(facts, campaign_id, now, self.policy)
        self.apply(decision)
        return decision

    def tick(self, now):
        decisions = []
        for campaign_id in sorted(self.campaigns):
            while (due := due_at(self.campaigns[campaign_id])) is not None and due <= now:
                decisions.append(self.step(campaign_id, now))
                assert len(decisions) < 100, "the clock does not come to rest"
        return decisions

    # Needs to facts.

    def answer(self, needs):
        ids = {needs.campaign} if needs.campaign in self.campaigns else set()
        if needs.hub_campaigns:
            ids |= {self.places[each].campaign_id for each in needs.hubs if each in self.places}
        campaign = self.campaigns.get(needs.campaign)
        return Facts(
            user=self.users.get(needs.user),
            operators=tuple(sorted(each.eui for each in self.users.values() if Role.DCC in each.roles)),
            campaigns={each: self.found(each, needs) for each in sorted(ids)},
            hubs={each: self.placed(each) for each in needs.hubs if each in self.hubs},
            recorded=frozenset(needs.activations) & self.recorded,
            responsible=needs.responsible and campaign is not None and self.is_responsible(needs.user, campaign),
            own_lists=self.own_lists(needs.user, needs.campaign) if needs.own_lists else OwnLists(),
            own_safe_launch=self.own_safe_launch(needs) if needs.own_safe_launch else None,
            plan=self.plan(needs.campaign) if needs.plan else (),
            remaining=Counter(self.hubs[each].lead_supplier for each in self.left(campaign)) if needs.remaining else {},
            cells=self.cells(needs.campaign) if needs.cells else (),
        )

    def found(self, campaign_id, needs):
        asked = [needs.user] if campaign_id == needs.campaign else []
        return CampaignFacts(
            self.campaigns[campaign_id],
            {eui: part for eui, part in self.parts[campaign_id].items() if needs.everybody or eui in asked},
            {phase: self.tally(campaign_id, phase) for phase in Phase if self.slots[campaign_id, phase]},
            complete=needs.everybody,
        )

    def placed(self, eui):
        place = self.places.get(eui)
        if place is None:
            return self.hubs[eui]
        membership = Membership(
            place.campaign_id, place.phase, place.default_supplier, place.nominated_by, place.allotted, place.outcome
        )
        return replace(self.hubs[eui], membership=membership)

    def is_responsible(self, user, campaign):
        return any(
            campaign.fits(each)
            and user in (each.import_supplier, each.gas_supplier, each.electricity_distributor, each.gas_transporter)
            for each in self.hubs.values()
        )

    def plan(self, campaign_id):
        return tuple(
            PlanRow(
                eui,
                place.default_supplier,
                place.default_position,
                place.nominated_by,
                place.nominated_position,
                place.outcome,
            )
            for eui, place in self.places.items()
            if place.campaign_id == campaign_id
        )

    def own_lists(self, user, campaign_id):
        plan = self.plan(campaign_id)
        default = sorted((row.default_position, row.hub) for row in plan if row.default_supplier == user)
        preferred = sorted((row.nominated_position, row.hub) for row in plan if row.nominated_by == user)
        slots = self.slots[campaign_id, Phase.PILOT]
        return OwnLists(
            tuple(each for _, each in default) or None,
            tuple(each for _, each in preferred) or None,
            tuple(each for each, slot in slots.items() if slot.supplier == user) or None,
        )

    def own_safe_launch(self, needs):
        slots = self.slots[needs.campaign, Phase.SAFE_LAUNCH]
        return tuple(sorted(each for each, slot in slots.items() if slot.supplier == needs.user))

    def left(self, campaign):
        if campaign is None:
            return []
        return sorted(
            each.eui
            for each in self.hubs.values()
            if campaign.fits(each)
            and each.status is HubStatus.COMMISSIONED
            and (each.eui not in self.places or self.places[each.eui].campaign_id == campaign.campaign_id)
        )

    def cells(self, campaign_id):
        groups = Counter()
        for phase in Phase:
            for eui, slot in self.slots[campaign_id, phase].items():
                hub, win = self.hubs[eui], slot.window
                key = (
                    phase,
                    slot.supplier,
                    hub.electricity_distributor,
                    hub.gas_transporter,
                    hub.region,
                    win.window_id,
                    win.start,
                    win.end,
                )
                groups[key, "devices"] += 1
                groups[key, slot.outcome] += 1
        return tuple(
            Cell(*key, number, groups[key, ActivationResult.SUCCESS], groups[key, ActivationResult.FAILURE])
            for (key, kind), number in list(groups.items())
            if kind == "devices"
        )

    def tally(self, campaign_id, phase):
        outcomes = Counter(slot.outcome for slot in self.slots[campaign_id, phase].values())
        return Tally(outcomes.total(), outcomes[ActivationResult.SUCCESS], outcomes[ActivationResult.FAILURE])

    # Changes carried out.

    def apply(self, decision):
        for change in decision.changes:
            self.history.append(change)
            match change:
                case CampaignSaved(campaign):
                    self.campaigns[campaign.campaign_id] = campaign
                    if not campaign.is_live:
                        self.let_go(campaign.campaign_id, ())
                case ParticipationSaved(part):
                    self.parts[part.campaign_id][part.supplier] = part
                case DefaultListSet(campaign_id, parts):
                    for supplier, hubs in parts.items():
                        for position, eui in enumerate(hubs):
                            assert eui not in self.places
                            self.places[eui] = Place(campaign_id, default_supplier=supplier, default_position=position)
                case NominationsReplaced(campaign_id, supplier, hubs):
                    self.nominate(campaign_id, supplier, hubs)
                case PilotAllotted(campaign_id, lots):
                    self.let_go(campaign_id, {each for lot in lots for each in lot.hubs})
                    for lot in lots:
                        for eui in lot.hubs:
                            self.allot(campaign_id, Phase.PILOT, eui, lot.supplier, lot.window)
                case SafeLaunchAllotted(campaign_id, ranges):
                    left = self.left(self.campaigns[campaign_id])
                    assert ranges[-1].last == len(left)
                    for each in ranges:
                        for eui in left[each.first : each.last]:
                            self.places[eui] = Place(campaign_id, Phase.SAFE_LAUNCH)
                            lead = self.hubs[eui].lead_supplier
                            self.allot(campaign_id, Phase.SAFE_LAUNCH, eui, lead, each.window)
                case ActivationsRecorded(activations):
                    for each in activations:
                        self.record(each)

    def let_go(self, campaign_id, but):
        for eui, place in list(self.places.items()):
            if place.campaign_id == campaign_id and eui not in but:
                del self.places[eui]

    def nominate(self, campaign_id, supplier, hubs):
        for eui, place in list(self.places.items()):
            if place.campaign_id == campaign_id and place.nominated_by == supplier:
                place.nominated_by = place.nominated_position = None
                if place.default_supplier is None:
                    del self.places[eui]
        for position, eui in enumerate(hubs):
            place = self.places.setdefault(eui, Place(campaign_id))
            assert place.campaign_id == campaign_id
            assert place.nominated_by is None
            place.nominated_by, place.nominated_position = supplier, position

    def allot(self, campaign_id, phase, eui, supplier, window):
        place = self.places[eui]
        place.allotted = True
        self.slots[campaign_id, phase][eui] = Slot(supplier, window, place.outcome)

    def record(self, recorded):
        activation = recorded.activation
        self.recorded.add((activation.device_id, activation.firmware_version, activation.at))
        if not recorded.effective:
            return
        hub = replace(self.hubs[activation.device_id], last_activation_at=activation.at)
        if activation.result is ActivationResult.SUCCESS:
            hub = replace(hub, firmware_version=activation.firmware_version)
        self.hubs[hub.eui] = hub
        if recorded.campaign_id is not None:
            place = self.places[hub.eui]
            assert (place.campaign_id, place.phase) == (recorded.campaign_id, recorded.phase)
            place.outcome = activation.result
            if place.allotted:
                self.slots[place.campaign_id, place.phase][hub.eui].outcome = activation.result
