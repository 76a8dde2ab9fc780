"""What a decision changes, as data; the store carries it out and writes the history from it.

Changes are carried out in the order given. A campaign and a participation are saved whole; hubs travel as whole lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from chfw_sr.messages import EUI, Activation, CampaignID, Phase, Window
from chfw_sr.quick import quick

from .model import Campaign, Participation


class CampaignEvent(StrEnum):
    """Why a campaign was saved: the kind of its row in the history."""

    CREATED = "CampaignCreated"
    STAGE_CHANGED = "StageChanged"
    DEADLINE_MOVED = "DeadlineMoved"
    PHASE_TIMES = "PhaseTimesSet"
    RESULTS_COUNTED = "ResultsCounted"
    STATUS_REPORTED = "StatusReported"


@quick
@dataclass(frozen=True, slots=True)
class CampaignSaved:
    """A campaign came to be or changed; `reason` is written to the history."""

    campaign: Campaign
    event: CampaignEvent
    reason: str | None = None


class PreferenceEvent(StrEnum):
    """Why a participation was saved: the kind of its row in the history."""

    INVITED = "PilotPlanPublished"
    PREFERENCES_UPDATED = "PreferencesUpdated"
    PREFERENCES_DELETED = "PreferencesDeleted"
    PLAN_CONFIRMED = "PlanConfirmed"
    SAFE_LAUNCH_PUBLISHED = "SafeLaunchPublished"


@quick
@dataclass(frozen=True, slots=True)
class ParticipationSaved:
    """A Supplier's part in a campaign came to be or changed."""

    participation: Participation
    event: PreferenceEvent


@dataclass(frozen=True, slots=True)
class DefaultListSet:
    """The Default Pilot List was divided: each lead Supplier's hubs, in list order. The hubs are held from now on."""

    campaign_id: CampaignID
    parts: Mapping[EUI, tuple[EUI, ...]]


@quick
@dataclass(frozen=True, slots=True)
class NominationsReplaced:
    """A Supplier's Preferred Pilot List is now this one, in list order; empty if it was withdrawn."""

    campaign_id: CampaignID
    supplier: EUI
    hubs: tuple[EUI, ...]


@dataclass(frozen=True, slots=True)
class Lot:
    """The hubs of one Supplier that one window takes, in list order."""

    supplier: EUI
    window: Window
    hubs: tuple[EUI, ...]


@dataclass(frozen=True, slots=True)
class PilotAllotted:
    """The pilot was confirmed: hubs in a lot get their window, every other hub of the plan is let go.

    A result that was reported before counts in the hub's cell.
    """

    campaign_id: CampaignID
    lots: tuple[Lot, ...]


@dataclass(frozen=True, slots=True)
class RankRange:
    """The remaining target hubs from rank `first` up to, not including, `last`, in order of EUI from 0."""

    window: Window
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SafeLaunchAllotted:
    """The Safe Launch takes in all hubs that `Facts.remaining` counted, by rank."""

    campaign_id: CampaignID
    ranges: tuple[RankRange, ...]


@quick
@dataclass(frozen=True, slots=True)
class RecordedActivation:
    """A result to record.

    Attributes:
        campaign_id: the campaign that covers it, if one does.
        phase: the phase in which the campaign holds the hub.
        effective: False for one that is older than the newest recorded: it goes into the history and does nothing else.
    """

    activation: Activation
    campaign_id: CampaignID | None = None
    phase: Phase | None = None
    effective: bool = True


@quick
@dataclass(frozen=True, slots=True)
class ActivationsRecorded:
    """Results were reported: inventory, memberships and cells follow."""

    activations: tuple[RecordedActivation, ...]


Change = (
    CampaignSaved
    | ParticipationSaved
    | DefaultListSet
    | NominationsReplaced
    | PilotAllotted
    | SafeLaunchAllotted
    | ActivationsRecorded
)
