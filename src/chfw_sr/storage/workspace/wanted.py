"""What has to be asked of the database, for many needs at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chfw_sr.campaign.facts import ActivationKey, Needs
from chfw_sr.messages import EUI, CampaignID

from .known import Known, Part

BULK = 1000
"""Hubs from which a list is left to the database: it is not kept in memory, and not carried out there."""

MOST_HUBS = 20_000
"""Hubs that are loaded ahead for one batch; those beyond are put together when their turn comes."""


@dataclass(slots=True)
class Wanted:
    """What is not known and asked for.

    Attributes:
        hubs: to lock and to load.
        bulk: to lock, but not to keep one by one; in the order in which they are named.
        participants: parts of which to learn whether there is a participation.
        everybody: campaigns of which to learn all participations.
        held: hubs, known or not, of which also the campaigns that hold them are to be locked and loaded.
        launches: campaigns whose models are to be owned.
        parts: of which to learn whether the User is responsible.
        nominating: of which the Preferred Pilot List may be replaced.
        lists: of which to learn all lists.
    """

    users: set[EUI] = field(default_factory=set)
    campaigns: set[CampaignID] = field(default_factory=set)
    participants: set[Part] = field(default_factory=set)
    everybody: set[CampaignID] = field(default_factory=set)
    hubs: set[EUI] = field(default_factory=set)
    bulk: dict[EUI, None] = field(default_factory=dict)
    held: set[EUI] = field(default_factory=set)
    keys: set[ActivationKey] = field(default_factory=set)
    launches: set[CampaignID] = field(default_factory=set)
    parts: set[Part] = field(default_factory=set)
    nominating: set[Part] = field(default_factory=set)
    lists: set[Part] = field(default_factory=set)
    cells: set[CampaignID] = field(default_factory=set)

    @classmethod
    def of(cls, many: Sequence[Needs], known: Known, locked: Iterable[EUI]) -> "Wanted":
        """Add up needs, but for what is known.

        Args:
            many: the needs.
            known: what need not be asked for.
            locked: hubs that need not be locked again.
        """
        wanted = cls()
        for needs in many:
            wanted._add(needs, known)
        for others in (locked, wanted.hubs, known.hubs):
            for eui in wanted.bulk.keys() & others:
                del wanted.bulk[eui]
        return wanted

    def _add(self, needs: Needs, known: Known) -> None:
        if needs.user is not None and needs.user not in known.users:
            self.users.add(needs.user)
        if len(needs.hubs) > BULK or len(self.hubs) + len(needs.hubs) > MOST_HUBS:
            self.bulk |= dict.fromkeys(needs.hubs)
        else:
            self.hubs.update(eui for eui in needs.hubs if eui not in known.hubs)
            self.keys.update(key for key in needs.activations if key not in known.recorded)
        if needs.hub_campaigns:
            self.held.update(needs.hubs)
        if needs.campaign is not None:
            self._add_campaign(needs, needs.campaign, known)

    def _add_campaign(self, needs: Needs, campaign_id: CampaignID, known: Known) -> None:
        if campaign_id not in known.campaigns:
            self.campaigns.add(campaign_id)
        if needs.remaining:
            self.launches.add(campaign_id)
        if needs.everybody and not known.is_complete(campaign_id):
            self.everybody.add(campaign_id)
        if needs.cells and campaign_id not in known.cells:
            self.cells.add(campaign_id)
        if needs.user is None:
            return
        part = (campaign_id, needs.user)
        if not known.has_participation(part):
            self.participants.add(part)
        if needs.responsible and part not in known.witnesses:
            self.parts.add(part)
        if needs.own_lists and not known.has_lists(part):
            self.lists.add(part)
        if _may_nominate(needs) and part not in known.nominated:
            self.nominating.add(part)


def _may_nominate(needs: Needs) -> bool:
    """Tell whether a list may be replaced in memory: 11.6 and 11.7 ask for no more than this."""
    reads = needs.own_lists or needs.own_safe_launch or needs.cells
    return needs.responsible and not reads and len(needs.hubs) <= BULK
