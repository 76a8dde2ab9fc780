"""What a decision needs to know, as data: `Needs` goes to the store, `Facts` come back.

A decision names its needs from the request alone; the store answers them in a few statements, whatever the size of its
tables. Every need is off unless asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chfw_sr.messages import EUI, CampaignID
from chfw_sr.quick import quick

from .model import CampaignFacts, Cell, Hub, OwnLists, PlanRow, User

ActivationKey = tuple[EUI, str, datetime]
"""Hub, firmware version and time: what makes a result the same result."""


@quick
@dataclass(frozen=True, slots=True)
class Needs:
    """What to look up.

    Attributes:
        user: the originator.
        campaign: a campaign to lock and load, with its tallies and the participation of `user`.
        hubs: hubs to load and lock, with their places in live campaigns.
        hub_campaigns: also lock and load every live campaign that holds one of `hubs`.
        everybody: the participations of all Suppliers in each of these campaigns: few decisions look at anybody else's.
        activations: results of which to tell whether they are recorded already.
        responsible: whether `user` is responsible, in any role, for a target hub of the campaign.
        own_lists: the lists of `user` in the campaign.
        own_safe_launch: the hubs of `user` in the Safe Launch, in order of EUI; None if more than one list can hold.
        plan: every hub of the Default Pilot List and of the preferences.
        remaining: how many target hubs are left to activate, by lead Supplier; fixed for this transaction, so that the
            Safe Launch that is then allotted takes in exactly these.
        cells: the campaign's cells.
    """

    user: EUI | None = None
    campaign: CampaignID | None = None
    hubs: tuple[EUI, ...] = ()
    hub_campaigns: bool = False
    everybody: bool = False
    activations: tuple[ActivationKey, ...] = ()
    responsible: bool = False
    own_lists: bool = False
    own_safe_launch: bool = False
    plan: bool = False
    remaining: bool = False
    cells: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Facts:
    """The answers to `Needs`, field by field; what was not asked for is empty.

    Attributes:
        user: the originator; None if there is no such User.
        operators: the EUIs of all Users in the role DCC, in order; always given.
        campaigns: by CampaignID; one that does not exist is absent.
        hubs: by EUI; one that does not exist is absent.
        recorded: those of the activations asked for that are recorded already.
        remaining: hubs left by lead Supplier; `None` counts hubs that have no Supplier.
    """

    user: User | None = None
    operators: tuple[EUI, ...] = ()
    campaigns: Mapping[CampaignID, CampaignFacts] = field(default_factory=dict)
    hubs: Mapping[EUI, Hub] = field(default_factory=dict)
    recorded: frozenset[ActivationKey] = frozenset()
    responsible: bool = False
    own_lists: OwnLists = field(default_factory=OwnLists)
    own_safe_launch: tuple[EUI, ...] | None = None
    plan: tuple[PlanRow, ...] = ()
    remaining: Mapping[EUI | None, int] = field(default_factory=dict)
    cells: tuple[Cell, ...] = ()
