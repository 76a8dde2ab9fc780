"""A campaign as a person would keep it on paper: hubs in sets, a stage, a deadline, one window a phase.

Knows nothing of the product but the names of stages and actions. It has no failure threshold (the tests set it to
100 %) and no schedules of a Supplier's own.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chfw_sr.messages import Action, Phase, Stage

STEPS = {
    Stage.DRAFT: {Stage.PILOT_CONSULTATION},
    Stage.PILOT_CONSULTATION: {Stage.PILOT_CONFIRMED},
    Stage.PILOT_CONFIRMED: {Stage.PILOT},
    Stage.PILOT: {Stage.PILOT_COMPLETE},
    Stage.PILOT_COMPLETE: {Stage.SAFE_LAUNCH_SCHEDULED, Stage.COMPLETE},
    Stage.SAFE_LAUNCH_SCHEDULED: {Stage.SAFE_LAUNCH, Stage.COMPLETE},
    Stage.SAFE_LAUNCH: {Stage.COMPLETE},
}
"""Where a stage may lead, pauses and aborts apart; what is not here is illegal."""

ENDS = {Stage.COMPLETE, Stage.ABORTED}


@dataclass
class Place:
    """A hub's place in the campaign, and the newest result reported for it there."""

    phase: Phase = Phase.PILOT
    success: bool | None = None


@dataclass
class Model:
    """What the campaign must look like."""

    leads: dict[str, str]
    responsible: dict[str, set[str]]
    stage: Stage | None = None
    before_pause: Stage | None = None
    paused_at: datetime | None = None
    deadline: datetime | None = None
    windows: dict[Phase, tuple[datetime, datetime]] = field(default_factory=dict)
    default: set[str] = field(default_factory=set)
    nominated: dict[str, set[str]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    allotted: dict[Phase, dict[str, bool | None]] = field(default_factory=dict)
    updated: set[str] = field(default_factory=set)
    recorded: set[tuple[str, datetime]] = field(default_factory=set)

    @property
    def open(self) -> bool:
        """True if the Suppliers may say what they prefer."""
        return self.stage is Stage.PILOT_CONSULTATION

    def publish(self, hubs: set[str], deadline: datetime, window: tuple[datetime, datetime]) -> None:
        self.stage, self.deadline, self.windows[Phase.PILOT] = Stage.PILOT_CONSULTATION, deadline, window
        self.default = set(hubs)
        self.places = {hub: Place() for hub in hubs}

    def acceptable(self, supplier: str, hubs: list[str]) -> set[str]:
        others = {hub for other, theirs in self.nominated.items() if other != supplier for hub in theirs}
        return {hub for hub in hubs if supplier in self.responsible[hub]} - others - self.updated

    def nominate(self, supplier: str, hubs: set[str]) -> None:
        self.withdraw(supplier, but=hubs)  # a hub that stays in the list keeps its result
        self.nominated[supplier] = hubs
        for hub in hubs:
            self.places.setdefault(hub, Place())

    def withdraw(self, supplier: str, but: frozenset[str] | set[str] = frozenset()) -> None:
        for hub in self.nominated.pop(supplier, set()) - self.default - but:
            del self.places[hub]

    def launch(self, window: tuple[datetime, datetime]) -> None:
        self.stage, self.windows[Phase.SAFE_LAUNCH] = Stage.SAFE_LAUNCH_SCHEDULED, window
        left = set(self.leads) - self.updated
        self.places |= {hub: Place(Phase.SAFE_LAUNCH) for hub in left}
        self.allotted[Phase.SAFE_LAUNCH] = dict.fromkeys(left)

    def permits(self, action: Action) -> bool:
        if self.stage is None or self.stage in ENDS:
            return False
        match action:
            case Action.PAUSE:
                return self.stage not in {Stage.DRAFT, Stage.PAUSED}
            case Action.RESUME:
                return self.stage is Stage.PAUSED
            case Action.COMPLETE:
                return Stage.COMPLETE in STEPS.get(self.stage, ())
            case _:
                return True

    def act(self, action: Action, now: datetime) -> None:
        match action:
            case Action.PAUSE:
                self.before_pause, self.paused_at, self.stage = self.stage, now, Stage.PAUSED
            case Action.RESUME:
                self.stage, self.before_pause = self.before_pause, None
                if self.open:
                    self.deadline += now - self.paused_at
            case Action.COMPLETE | Action.ABORT:
                self.stage = Stage.COMPLETE if action is Action.COMPLETE else Stage.ABORTED
                self.places.clear()

    def report(self, hub: str, *, success: bool, at: datetime) -> bool:
        """Take a result; False if it was taken before."""
        if (hub, at) in self.recorded:
            return False
        self.recorded.add((hub, at))
        if success:
            self.updated.add(hub)
        place = self.places.get(hub)
        if place is not None:
            place.success = success
            if hub in self.allotted.get(place.phase, ()):
                self.allotted[place.phase][hub] = success
        return True

    def counts(self, phase: Phase) -> tuple[int, int, int]:
        """Hubs that have a window in a phase, those that succeeded, those that failed."""
        results = list(self.allotted.get(phase, {}).values())
        return len(results), results.count(True), results.count(False)

    def catch_up(self, now: datetime) -> None:
        """Do what the clock owes."""
        while self._step(now):
            pass

    def _step(self, now: datetime) -> bool:
        pilot, safe = self.windows.get(Phase.PILOT), self.windows.get(Phase.SAFE_LAUNCH)
        if self.open and self.deadline <= now:
            self._confirm()
        elif self.stage is Stage.PILOT_CONFIRMED and pilot[0] <= now:
            self.stage = Stage.PILOT
        elif self.stage is Stage.PILOT and (pilot[1] <= now or self._all_reported(Phase.PILOT)):
            self.stage = Stage.PILOT_COMPLETE
        elif self.stage is Stage.SAFE_LAUNCH_SCHEDULED and safe[0] <= now:
            self.stage = Stage.SAFE_LAUNCH
        elif self.stage is Stage.SAFE_LAUNCH and (safe[1] <= now or self._all_reported(Phase.SAFE_LAUNCH)):
            self.stage = Stage.COMPLETE
            self.places.clear()
        else:
            return False
        return True

    def _confirm(self) -> None:
        self.stage = Stage.PILOT_CONFIRMED
        taken = set().union(*self.nominated.values())
        kept = taken | {hub for hub in self.default if self.leads[hub] not in self.nominated}
        self.places = {hub: place for hub, place in self.places.items() if hub in kept}
        self.allotted[Phase.PILOT] = {hub: place.success for hub, place in self.places.items()}

    def _all_reported(self, phase: Phase) -> bool:
        results = self.allotted[phase].values()
        return bool(results) and None not in results


NOTICE = timedelta(days=7)
"""What the campaign leaves between a schedule and its first window, unless it says otherwise."""
