"""The nouns of the domain: Users, hubs, campaigns and what Suppliers said about them (wire contract §2 and §3).

All are frozen; a decision makes new ones. Every date and time is aware and in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Self

from chfw_sr.messages import (
    EUI,
    ActivationResult,
    CampaignID,
    DeviceBounds,
    HubStatus,
    Period,
    Phase,
    Region,
    Role,
    Stage,
    UserStatus,
    Window,
)
from chfw_sr.quick import quick

SUPPLIER_ROLES = frozenset({Role.IS, Role.GS})
"""The roles that make a User a Supplier here."""


@dataclass(frozen=True, slots=True)
class User:
    """A party with an EUI; `regions` are those that a CSP operates."""

    eui: EUI
    name: str
    roles: frozenset[Role]
    status: UserStatus = UserStatus.ACTIVE
    regions: frozenset[Region] = frozenset()


@quick
@dataclass(frozen=True, slots=True)
class Membership:
    """A hub's place in the one live campaign that holds it.

    Attributes:
        campaign_id: the campaign.
        phase: the later phase that holds the hub.
        default_supplier: whose part of the Default Pilot List names it, if it is there.
        nominated_by: the Supplier whose Preferred Pilot List names it, if one does.
        allotted: True once it has a window in `phase`.
        outcome: the newest result reported for it in this phase.
    """

    campaign_id: CampaignID
    phase: Phase
    default_supplier: EUI | None = None
    nominated_by: EUI | None = None
    allotted: bool = False
    outcome: ActivationResult | None = None


@quick
@dataclass(frozen=True, slots=True)
class Hub:
    """A Communications Hub as the inventory has it, with its place in a live campaign."""

    eui: EUI
    manufacturer: str
    model: str
    firmware_version: str
    region: Region
    status: HubStatus
    import_supplier: EUI | None = None
    gas_supplier: EUI | None = None
    electricity_distributor: EUI | None = None
    gas_transporter: EUI | None = None
    last_activation_at: datetime | None = None
    membership: Membership | None = None

    @property
    def lead_supplier(self) -> EUI | None:
        """The import supplier where there is one, else the gas supplier (wire contract §2)."""
        return self.import_supplier or self.gas_supplier

    def is_supplied_by(self, user: EUI) -> bool:
        """Tell whether this User is a responsible Supplier of the hub."""
        return user in (self.import_supplier, self.gas_supplier)

    def responsible(self, role: Role) -> EUI | None:
        """Give the responsible User in one of the roles IS, GS, ED and GT; None in any other."""
        match role:
            case Role.IS:
                return self.import_supplier
            case Role.GS:
                return self.gas_supplier
            case Role.ED:
                return self.electricity_distributor
            case Role.GT:
                return self.gas_transporter
            case _:
                return None


@quick
@dataclass(frozen=True, slots=True)
class PhaseTimes:
    """When a phase is planned to run and when it did.

    Attributes:
        starts_at: start of the first window that has hubs; None before allotment.
        ends_at: end of the last window that has hubs.
        started_at: when it began; None if it never ran.
        ended_at: when it ended, however it did.
        all_reported: True once no hub of the phase is silent.
        cut_short: True if it was ended by hand before its last window ended and before every hub had reported.
    """

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    all_reported: bool = False
    cut_short: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Campaign:
    """A firmware campaign.

    Attributes:
        operator: the DCC User that created it.
        regions: never empty; a campaign created without regions has all of them.
        failure_threshold: percentage of failed results above which the campaign pauses itself.
        paused_from: the stage to return to; only while paused.
        results_reported: results taken since creation or the last Resume; what the threshold is measured on.
        results_failed: the failures among them.
        next_status_at: when the next N909 is due; only while a phase runs.
        ended_from: the stage in which it was ended by hand.
    """

    campaign_id: CampaignID
    operator: EUI
    manufacturer: str
    model: str
    firmware_version: str
    regions: frozenset[Region]
    pilot_period: Period
    safe_launch_period: Period | None
    minimum_notice_days: int
    pilot_devices: DeviceBounds | None
    failure_threshold: Decimal
    created_at: datetime
    stage: Stage = Stage.DRAFT
    paused_from: Stage | None = None
    paused_at: datetime | None = None
    response_deadline: datetime | None = None
    default_schedule: tuple[Window, ...] | None = None
    safe_launch_schedule: tuple[Window, ...] | None = None
    pilot: PhaseTimes = field(default_factory=PhaseTimes)
    safe_launch: PhaseTimes = field(default_factory=PhaseTimes)
    results_reported: int = 0
    results_failed: int = 0
    next_status_at: datetime | None = None
    ended_from: Stage | None = None
    ended_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """True until the campaign is `Complete` or `Aborted`; only a live campaign holds hubs."""
        return self.stage not in (Stage.COMPLETE, Stage.ABORTED)

    def times(self, phase: Phase) -> PhaseTimes:
        """Give when this phase is planned to run and when it did."""
        return self.pilot if phase is Phase.PILOT else self.safe_launch

    def with_times(self, phase: Phase, times: PhaseTimes) -> Self:
        """Give this campaign with other times for one phase."""
        return replace(self, pilot=times) if phase is Phase.PILOT else replace(self, safe_launch=times)

    def fits(self, hub: Hub) -> bool:
        """Tell whether the hub's model and region are the campaign's and it does not run the version already."""
        return (
            hub.manufacturer == self.manufacturer
            and hub.model == self.model
            and hub.region in self.regions
            and hub.firmware_version != self.firmware_version
        )


@quick
@dataclass(frozen=True, slots=True)
class Participation:
    """A Supplier's part in a campaign: what it was given, what it prefers, what was confirmed.

    Attributes:
        default_devices: hubs in its part of the Default Pilot List.
        nominated_devices: hubs in its Preferred Pilot List; None if it gave none.
        preferred_schedule: its Preferred Pilot Schedule; None if it gave none.
        pilot_devices: hubs in its confirmed Pilot List.
        safe_launch_devices: hubs in its part of the Safe Launch.
    """

    campaign_id: CampaignID
    supplier: EUI
    default_devices: int = 0
    nominated_devices: int | None = None
    preferred_schedule: tuple[Window, ...] | None = None
    pilot_devices: int = 0
    safe_launch_devices: int = 0


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One hub of a plan that is to be confirmed."""

    hub: EUI
    default_supplier: EUI | None
    default_position: int | None
    nominated_by: EUI | None
    nominated_position: int | None
    outcome: ActivationResult | None = None


@quick
@dataclass(frozen=True, slots=True)
class Cell:
    """The hubs of one phase that share Supplier, network parties, region and window: every count is a sum of cells.

    Attributes:
        devices: hubs allotted.
        activated: hubs whose newest result in this phase is a success.
        failed: hubs whose newest result in this phase is a failure.
    """

    phase: Phase
    supplier: EUI | None
    electricity_distributor: EUI | None
    gas_transporter: EUI | None
    region: Region
    window_id: int
    starts_at: datetime
    ends_at: datetime
    devices: int
    activated: int = 0
    failed: int = 0


@quick
@dataclass(frozen=True, slots=True)
class Tally:
    """The sums over all cells of a phase."""

    devices: int = 0
    activated: int = 0
    failed: int = 0

    @property
    def silent(self) -> int:
        """Hubs that have not reported."""
        return self.devices - self.activated - self.failed


@quick
@dataclass(frozen=True, slots=True)
class OwnLists:
    """One Supplier's lists in a campaign, each in list order; None where there is none."""

    default: tuple[EUI, ...] | None = None
    preferred: tuple[EUI, ...] | None = None
    confirmed: tuple[EUI, ...] | None = None


@quick
@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """A campaign, locked for this transaction, with its sums and with Suppliers.

    Attributes:
        participations: those that were asked for, in order of Supplier; `everybody` gives all.
        complete: whether these are all that there are.
    """

    campaign: Campaign
    participations: Mapping[EUI, Participation] = field(default_factory=dict)
    tallies: Mapping[Phase, Tally] = field(default_factory=dict)
    complete: bool = True

    @property
    def everybody(self) -> Mapping[EUI, Participation]:
        """The participations of all Suppliers.

        Raises:
            Incomplete: if not all were asked for.
        """
        if not self.complete:
            raise Incomplete(self.campaign.campaign_id)
        return self.participations


class Incomplete(LookupError):  # noqa: N818 - it names what was found
    """A decision needs the participations of all Suppliers in a campaign, and they were not asked for."""
