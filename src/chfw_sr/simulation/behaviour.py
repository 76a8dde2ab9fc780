"""How everybody behaves: the DCC operator, the Suppliers, and the hubs with the CSPs that report for them.

Suppliers answer in time, late or not at all; with a list, a schedule or both; whole, in part, twice, or take it back;
sometimes they name a hub that is not theirs. Hubs activate in bursts at the beginning of their windows; some fail and
succeed when tried again, some fail for good, some stay silent.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from random import Random

from chfw_sr.campaign.model import Hub
from chfw_sr.messages import (
    EUI,
    MAX_ACTIVATIONS,
    MAX_DEVICE_LIST,
    Action,
    Activation,
    ActivationResult,
    Alert,
    Body,
    CampaignID,
    CampaignStageChanged,
    CreateFirmwareCampaign,
    DeletePilotPreferences,
    HubStatus,
    Period,
    PilotPlanConfirmed,
    PilotPlanPublished,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReadSafeLaunchSchedule,
    Region,
    ReportFirmwareActivation,
    SafeLaunchSchedulePublished,
    Stage,
    UpdateCampaignState,
    UpdatePilotPreferences,
    Window,
)

from .nation import MANUFACTURER, MODEL, NEW_VERSION, Nation

REASONS = ("Image authentication failed", "No power during activation", "Radio link lost", "Watchdog reset")

FAILURE, SILENCE, CURED = 0.02, 0.01, 0.6
"""Shares of hubs that fail at first, of those that say nothing, and of failures that succeed when tried again."""

FOREIGN = 0.25
"""Share of Preferred Pilot Lists that name a hub that is not the Supplier's."""

MAX_PILOT = 200
"""Hubs of one Supplier in the Default Pilot List, at most."""

REPORTS = 240
"""Reports of a CSP over the whole campaign, unless more is to be told at once than one may hold."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Somebody means to send something."""

    at: datetime
    sender: EUI
    body: Body


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a campaign is to happen, from its beginning and its length."""

    begins: datetime
    length: timedelta

    def after(self, share: float) -> datetime:
        """Give the instant after a share of the length."""
        return _cut(self.begins + share * self.length)

    @property
    def deadline(self) -> datetime:
        """Until when Suppliers may answer."""
        return self.after(0.2)

    @property
    def pilot(self) -> Period:
        """The Pilot."""
        return Period(start=self.after(0.25), end=self.after(0.5))

    @property
    def safe_launch(self) -> Period:
        """The Safe Launch."""
        return Period(start=self.after(0.6), end=self.after(0.95))

    def windows(self, period: Period, number: int, hubs: int) -> tuple[Window, ...]:
        """Divide a period into windows with a pause after each, and hubs among them; the last takes what remains."""
        share = (period.end - period.start) / number
        return tuple(
            Window(
                window_id=place + 1,
                start=_cut(period.start + place * share),
                end=_cut(period.start + (place + 0.6) * share),
                max_devices=None if place == number - 1 else max(1, -(-hubs // number)),
            )
            for place in range(number)
        )


def _cut(at: datetime) -> datetime:
    """Cut to milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


class Answer(StrEnum):
    """How a Supplier answers a Default Pilot List."""

    WHOLE = "whole"
    LIST = "list"
    SCHEDULE = "schedule"
    TWICE = "twice"
    TAKEN_BACK = "taken back"
    LATE = "late"
    NONE = "none"


_ANSWERS = {
    Answer.WHOLE: 34,
    Answer.LIST: 18,
    Answer.SCHEDULE: 10,
    Answer.TWICE: 8,
    Answer.TAKEN_BACK: 4,
    Answer.LATE: 8,
    Answer.NONE: 18,
}
"""Out of a hundred Suppliers."""


class Simulation:
    """One campaign in a nation.

    Args:
        nation: who and what there is.
        campaign_id: of the campaign.
        timetable: when.
    """

    def __init__(self, nation: Nation, campaign_id: CampaignID, timetable: Timetable) -> None:
        self.nation = nation
        self.timetable = timetable
        self.over = False
        self._campaign_id = campaign_id
        self._place: dict[EUI, tuple[Region, EUI | None]] = {}
        self._own: defaultdict[EUI, list[EUI]] = defaultdict(list)
        for hub in self._targets():
            self._place[hub.eui] = (hub.region, hub.lead_supplier)
            if hub.lead_supplier:
                self._own[hub.lead_supplier].append(hub.eui)
        self._activated: set[EUI] = set()
        self._launched = False
        self._told: set[tuple[EUI, str]] = set()

    def _dice(self, *about: str) -> Random:
        """Give the random numbers of one thing, so that nothing hangs on the order in which things are heard of."""
        return Random(" ".join((str(self.nation.seed), self._campaign_id, *about)))  # noqa: S311 - to be repeatable

    def _targets(self) -> Iterator[Hub]:
        return (hub for chunk in self.nation.hubs() for hub in chunk if hub.status is HubStatus.COMMISSIONED)

    # ------------------------------------------------------------------------------------------------- the DCC operator

    def begin(self) -> list[Plan]:
        """Give what the operator does by itself: create the campaign, publish the plan, ask how it goes."""
        times = self.timetable
        create = CreateFirmwareCampaign(
            campaign_id=self._campaign_id,
            manufacturer=MANUFACTURER,
            model=MODEL,
            firmware_version=NEW_VERSION,
            regions=self.nation.regions,
            pilot_period=times.pilot,
            safe_launch_period=times.safe_launch,
            minimum_notice_days=0,
        )
        publish = PublishPilotPlan(
            campaign_id=self._campaign_id,
            response_deadline=times.deadline,
            default_schedule=times.windows(times.pilot, 5, MAX_PILOT),
            default_list=self._default_list(),
        )
        operator = self.nation.operator.eui
        read = ReadCampaignStatus(campaign_id=self._campaign_id)
        return [
            Plan(times.begins, operator, create),
            Plan(times.after(0.01), operator, publish),
            *(Plan(times.after(share / 100), operator, read) for share in range(5, 100, 10)),
        ]

    def _default_list(self) -> tuple[EUI, ...]:
        dice = self._dice("default list")
        parts = [
            dice.sample(own, min(len(own), MAX_PILOT, max(1, len(own) // 20))) for _, own in sorted(self._own.items())
        ]
        return tuple(sorted(eui for part in parts for eui in part))[:MAX_DEVICE_LIST]

    def _publish_safe_launch(self, now: datetime) -> Iterator[Plan]:
        period = self.timetable.safe_launch
        at = _between(self._dice("safe launch"), now, now + (period.start - now) / 2)
        left = len(self._place) - len(self._activated)
        body = PublishSafeLaunchSchedule(
            campaign_id=self._campaign_id, schedule=self.timetable.windows(period, 10, left)
        )
        yield Plan(at, self.nation.operator.eui, body)

    # --------------------------------------------------------------------------------------------------- what is heard

    def heard(self, alert: Alert, now: datetime) -> list[Plan]:
        """Give what a User does about an alert; told twice, it does nothing the second time.

        Args:
            alert: as it was received.
            now: when.
        """
        if (alert.recipient, repr(alert.body)) in self._told:
            return []
        match alert.body:
            case PilotPlanPublished():
                plans = list(self._consider(alert.recipient, alert.body, now))
            case PilotPlanConfirmed():
                plans = list(self._activate(alert.body.pilot_list, alert.body.schedule, now))
            case SafeLaunchSchedulePublished():
                plans = list(self._launch(alert.recipient, alert.body.schedule, now))
            case CampaignStageChanged():
                plans = list(self._follow(alert.recipient, alert.body, now))
            case _:
                return []
        self._told.add((alert.recipient, repr(alert.body)))
        return plans

    def _follow(self, recipient: EUI, changed: CampaignStageChanged, now: datetime) -> Iterator[Plan]:
        if recipient != self.nation.operator.eui:
            return
        self.over = changed.stage in (Stage.COMPLETE, Stage.ABORTED)
        if changed.stage is Stage.PILOT_COMPLETE:
            yield from self._publish_safe_launch(now)
        if changed.stage is Stage.PAUSED:  # too many failures, which the CSPs have looked into by then
            body = UpdateCampaignState(
                campaign_id=self._campaign_id, action=Action.RESUME, reason="The failures were looked into."
            )
            yield Plan(now + self.timetable.length * 0.01, recipient, body)

    # -------------------------------------------------------------------------------------------------------- Suppliers

    def _consider(self, supplier: EUI, plan: PilotPlanPublished, now: datetime) -> Iterator[Plan]:
        dice = self._dice("answer", supplier)
        (answer,) = dice.choices(list(_ANSWERS), list(_ANSWERS.values()))
        deadline = plan.response_deadline
        at = _between(dice, now, now + (deadline - now) * 0.9)
        yield Plan(_between(dice, now, at), supplier, ReadPilotPlan(campaign_id=self._campaign_id))
        if answer is Answer.NONE:
            return
        later = _between(dice, at, deadline)
        if answer is Answer.LATE:
            at = deadline + self.timetable.length * 0.01
        yield Plan(at, supplier, self._preferences(supplier, answer, plan, dice))
        if answer is Answer.TWICE:
            yield Plan(later, supplier, self._preferences(supplier, Answer.LIST, plan, dice))
        if answer is Answer.TAKEN_BACK:
            yield Plan(later, supplier, DeletePilotPreferences(campaign_id=self._campaign_id))

    def _preferences(
        self, supplier: EUI, answer: Answer, plan: PilotPlanPublished, dice: Random
    ) -> UpdatePilotPreferences:
        listed = None
        if answer is not Answer.SCHEDULE:
            kept = [eui for eui in plan.default_list if dice.random() < 0.7]
            own = self._own[supplier]
            more = dice.sample(own, min(len(own), dice.randint(1, max(1, len(kept)))))
            foreign = [dice.choice(list(self._place))] if dice.random() < FOREIGN else []
            listed = tuple(dict.fromkeys((*kept, *more, *foreign)))[:MAX_DEVICE_LIST]
        schedule = None
        if answer not in (Answer.LIST, Answer.TAKEN_BACK):
            hubs = len(plan.default_list if listed is None else listed)
            schedule = self.timetable.windows(self.timetable.pilot, dice.randint(1, 4), hubs)
        return UpdatePilotPreferences(campaign_id=self._campaign_id, preferred_list=listed, preferred_schedule=schedule)

    # -------------------------------------------------------------------------------------------------- hubs and CSPs

    def _launch(self, recipient: EUI, schedule: Sequence[Window], now: datetime) -> Iterator[Plan]:
        """All remaining hubs follow one schedule; whoever hears of it first sets them going."""
        at = _between(self._dice("read", recipient), now, now + self.timetable.length * 0.02)
        yield Plan(at, recipient, ReadSafeLaunchSchedule(campaign_id=self._campaign_id))
        if not self._launched:
            self._launched = True
            yield from self._activate([eui for eui in self._place if eui not in self._activated], schedule, now)

    def _activate(self, hubs: Sequence[EUI], schedule: Sequence[Window], now: datetime) -> Iterator[Plan]:
        """Let hubs activate in the windows that the service allots them (wire contract §3), and their CSPs report."""
        results: list[Activation] = []
        waiting = iter(hubs)
        for window in sorted(schedule, key=lambda each: each.start):
            for eui in islice(waiting, window.max_devices):
                results += self._results(eui, window)
        yield from self._reports(results, now)

    def _results(self, eui: EUI, window: Window) -> Iterator[Activation]:
        dice = self._dice(eui, window.start.isoformat())
        chance = dice.random()
        if chance < SILENCE or eui in self._activated:
            return
        at = window.start + (window.end - window.start) * dice.betavariate(1.2, 4)
        if chance < SILENCE + FAILURE:
            yield _result(eui, at, dice.choice(REASONS))
            if dice.random() >= CURED:
                return
            at += self.timetable.length * dice.uniform(0.002, 0.02)
        self._activated.add(eui)
        yield _result(eui, at)

    def _reports(self, results: Iterable[Activation], now: datetime) -> Iterator[Plan]:
        """Gather results by region and by the report that tells them."""
        every = self.timetable.length / REPORTS
        gathered: defaultdict[tuple[Region, int], list[Activation]] = defaultdict(list)
        for each in results:
            if each.device_id in self._place:
                region, _ = self._place[each.device_id]
                gathered[region, (each.at - self.timetable.begins) // every + 1].append(each)
        for (region, number), found in gathered.items():
            at = max(now, self.timetable.begins + number * every)
            found.sort(key=lambda each: each.at)
            for first in range(0, len(found), MAX_ACTIVATIONS):
                part = tuple(found[first : first + MAX_ACTIVATIONS])
                yield Plan(at, self.nation.providers[region].eui, ReportFirmwareActivation(activations=part))


def _between(dice: Random, first: datetime, last: datetime) -> datetime:
    return first + (last - first) * dice.random()


def _result(eui: EUI, at: datetime, reason: str | None = None) -> Activation:
    return Activation(
        device_id=eui,
        firmware_version=NEW_VERSION,
        at=_cut(at),
        result=ActivationResult.SUCCESS if reason is None else ActivationResult.FAILURE,
        failure_reason=reason,
    )
