"""What a unit of work knows of the tables: what was loaded under its locks, as changed since.

Whatever is absent is unknown, and must be asked for; None stands for "there is no such thing".
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chfw_sr.campaign.facts import ActivationKey, Facts, Needs
from chfw_sr.campaign.model import CampaignFacts, Cell, Hub, Membership, OwnLists, Participation, User
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase

Part = tuple[CampaignID, EUI]
"""A User's part in a campaign."""

Place = tuple[CampaignID, Phase]

_NOT_LISTED = OwnLists()


@dataclass(slots=True)
class Row:
    """A hub's row in one phase of a campaign."""

    default_supplier: EUI | None = None
    nominated_by: EUI | None = None
    cell_id: int | None = None
    outcome: ActivationResult | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the inventory says of the hubs of a long list, as it was read when they were locked.

    Attributes:
        hubs: that were asked for, whether they exist or not.
        rows: for all that are alike.
    """

    hubs: frozenset[EUI]
    rows: Sequence[Any]

    def are(self, hubs: Collection[EUI]) -> bool:
        """Tell whether these are the hubs, all of them and no others."""
        return len(hubs) == len(self.hubs) and self.hubs.issuperset(hubs)


class Known:
    """The known part of the tables.

    Attributes:
        users: by EUI; they do not change within a unit of work.
        operators: all of them; None if they are unknown.
        campaigns: with tallies, and with those participations that were asked for.
        parts: of which is known whether there is a participation; `campaigns` have it then.
        hubs: what the inventory says; `hub` gives them with their places.
        rows: of known hubs, in live campaigns that hold them and in those that were searched.
        searched: the campaigns of which a known hub's rows are known, whether the campaign lives or holds it or not.
        recorded: whether a result is recorded.
        witnesses: of a User that is responsible for a target of a campaign, the hub that proves it; None if it is not.
        nominated: a Supplier's Preferred Pilot List, in order, each hub with the default Supplier of its row.
        listed: a Supplier's lists but for the preferred one.
        cells: of a campaign, by id.
        ahead: a long list that was locked, until anything changes that it tells.
    """

    def __init__(self) -> None:
        self.users: dict[EUI, User | None] = {}
        self.operators: tuple[EUI, ...] | None = None
        self.forget()

    def forget(self) -> None:
        """Forget everything that can change."""
        self.campaigns: dict[CampaignID, CampaignFacts | None] = {}
        self.parts: set[Part] = set()
        self.hubs: dict[EUI, Hub | None] = {}
        self.rows: dict[EUI, dict[Place, Row]] = {}
        self.searched: dict[EUI, frozenset[CampaignID]] = {}
        self.recorded: dict[ActivationKey, bool] = {}
        self.witnesses: dict[Part, EUI | None] = {}
        self.nominated: dict[Part, dict[EUI, EUI | None]] = {}
        self.listed: dict[Part, OwnLists] = {}
        self.cells: dict[CampaignID, dict[int, Cell]] = {}
        self.ahead: Ahead | None = None
        self._proved: dict[EUI, list[Part]] = {}
        self._strangers: dict[EUI, list[Part]] = {}
        self._replaced: set[EUI] = set()

    # ---------------------------------------------------------------------------------------------------- answering

    def covers(self, needs: Needs) -> bool:
        """Tell whether everything is known that `answer` takes to answer these needs."""
        return (
            self.operators is not None
            and (needs.user is None or needs.user in self.users)
            and all(map(self.hubs.__contains__, needs.hubs))
            and all(map(self.recorded.__contains__, needs.activations))
            and all(self._covers(each, needs) for each in self.named(needs))
            and (needs.campaign is None or self._covers_own(needs, needs.campaign))
        )

    def _covers(self, campaign_id: CampaignID, needs: Needs) -> bool:
        if self.campaigns.get(campaign_id) is None:
            return campaign_id in self.campaigns
        return not needs.everybody or self.is_complete(campaign_id)

    def _covers_own(self, needs: Needs, campaign_id: CampaignID) -> bool:
        if self.campaigns[campaign_id] is None:
            return True
        if needs.cells and campaign_id not in self.cells:
            return False
        part = (campaign_id, needs.user) if needs.user is not None else None
        return part is None or (
            self.has_participation(part)
            and (not needs.responsible or part in self.witnesses)
            and (not needs.own_lists or self.has_lists(part))
        )

    def is_complete(self, campaign_id: CampaignID) -> bool:
        """Tell whether all participations in a campaign are known."""
        found = self.campaigns.get(campaign_id)
        return found is not None and found.complete

    def has_participation(self, part: Part) -> bool:
        """Tell whether it is known if a Supplier takes part in a campaign, and how."""
        return part in self.parts or self.is_complete(part[0])

    def has_lists(self, part: Part) -> bool:
        """Tell whether a User's lists in a campaign are known."""
        return part in self.nominated and part in self.listed

    def answer(self, needs: Needs) -> Facts:
        """Answer needs that are covered; `own_lists` as far as they are known.

        `own_safe_launch`, `plan` and `remaining` are not answered: only the tables know.
        """
        user, campaign_id = needs.user, needs.campaign
        assert self.operators is not None
        found = self.campaigns[campaign_id] if campaign_id is not None else None
        part = None if found is None or user is None else (found.campaign.campaign_id, user)
        return Facts(
            user=None if user is None else self.users[user],
            operators=self.operators,
            campaigns=self.asked(needs),
            hubs={eui: hub for eui in needs.hubs if (hub := self.hub(eui)) is not None},
            recorded=frozenset(key for key in needs.activations if self.recorded[key]),
            responsible=needs.responsible and part is not None and self.witnesses[part] is not None,
            own_lists=self._own_lists(part) if needs.own_lists and part and self.has_lists(part) else _NOT_LISTED,
            cells=tuple(self.cells[found.campaign.campaign_id].values()) if needs.cells and found is not None else (),
        )

    def named(self, needs: Needs) -> set[CampaignID]:
        """Name the campaigns that needs ask for, as far as they are known; `hub_campaigns` of known hubs."""
        named = set(self.holders(needs.hubs)) if needs.hub_campaigns else set()
        if needs.campaign is not None:
            named.add(needs.campaign)
        return named

    def asked(self, needs: Needs, more: Iterable[CampaignID] = ()) -> Mapping[CampaignID, CampaignFacts]:
        """Give campaigns, each with those participations that needs ask for.

        Args:
            needs: which campaigns, and whose participations.
            more: campaigns that hold hubs of the needs, where those are not known.
        """
        found = {each: self.campaigns[each] for each in sorted({*self.named(needs), *more})}
        return {each: _cut(facts, needs) for each, facts in found.items() if facts is not None}

    def holders(self, hubs: Iterable[EUI]) -> Iterable[CampaignID]:
        """Name the campaigns that hold known hubs, once for each hub."""
        for eui in hubs:
            hub = self.hub(eui)
            if hub is not None and hub.membership is not None:
                yield hub.membership.campaign_id

    def _own_lists(self, part: Part) -> OwnLists:
        others = self.listed[part]
        return OwnLists(others.default, tuple(self.nominated[part]) or None, others.confirmed)

    # ----------------------------------------------------------------------------------------------------- learning

    def learn_responsible(self, part: Part, witness: EUI | None) -> None:
        """Learn whether a User is responsible for a target of a campaign, and which hub proves it."""
        self.witnesses[part] = witness
        if witness is None:
            self._strangers.setdefault(part[1], []).append(part)
        else:
            self._proved.setdefault(witness, []).append(part)

    def learn_participations(self, campaign_id: CampaignID, found: Iterable[Participation], *, everybody: bool) -> None:
        """Learn participations of a known campaign; what is known of others stays as it has become.

        Args:
            campaign_id: of which.
            found: some that are not known, or all.
            everybody: whether these are all.
        """
        facts = self.campaigns[campaign_id]
        if facts is not None:
            parts = {**{each.supplier: each for each in found}, **facts.participations}
            complete = everybody or facts.complete
            self.campaigns[campaign_id] = CampaignFacts(
                facts.campaign, dict(sorted(parts.items())), facts.tallies, complete
            )

    def learn_hub(self, hub: Hub, rows: dict[Place, Row], searched: frozenset[CampaignID]) -> None:
        """Learn a hub: its data, and its rows in live campaigns and in those that were searched."""
        self.rows[hub.eui] = rows
        self.searched[hub.eui] = searched
        self.hubs[hub.eui] = hub
        if rows:
            self._replaced.add(hub.eui)

    def hub(self, eui: EUI) -> Hub | None:
        """Give a known hub, with its place; None if there is no such hub."""
        hub = self.hubs[eui]
        if hub is not None and eui in self._replaced:
            self._replaced.discard(eui)
            membership = self._membership(self.rows[eui])
            hub = self.hubs[eui] = _with(hub, membership, hub.firmware_version, hub.last_activation_at)
        return hub

    def row(self, eui: EUI, place: Place) -> Row | None:
        """Give a known hub's row in a phase of a campaign."""
        return self.rows[eui].get(place) if eui in self.rows else None

    # ----------------------------------------------------------------------------------------------------- changing

    def replace(self, eui: EUI) -> None:
        """Note that a known hub's rows changed: it is put together anew when it is asked for."""
        self._replaced.add(eui)

    def renew(self, hub: Hub, firmware_version: str, last_activation_at: datetime) -> None:
        """Change what the inventory says of a known hub."""
        self.hubs[hub.eui] = _with(hub, hub.membership, firmware_version, last_activation_at)
        self._replaced.add(hub.eui)
        self.ahead = None

    def _membership(self, rows: Mapping[Place, Row]) -> Membership | None:
        """Give a hub's place: of a live campaign that holds it, in the later phase; a hub has one such campaign."""
        held = [(phase, campaign_id, row) for (campaign_id, phase), row in rows.items() if row.held]
        living = [each for each in held if self._is_live(each[1])]
        if not living:
            return None
        phase, campaign_id, row = living[0] if len(living) == 1 else max(living, key=lambda each: each[0])
        return Membership(
            campaign_id, phase, row.default_supplier, row.nominated_by, row.cell_id is not None, row.outcome
        )

    def _is_live(self, campaign_id: CampaignID) -> bool:
        known = self.campaigns.get(campaign_id)
        return known is None or known.campaign.is_live

    def disturb(self, hub: Hub | None, eui: EUI) -> None:
        """Forget who is responsible for a campaign's targets, as far as that may hang on this hub.

        Args:
            hub: whose firmware version changed, or which came into a campaign or left it; None if it is unknown.
            eui: of the hub.
        """
        for part in self._proved.pop(eui, ()):
            self.witnesses.pop(part, None)
        if not self._strangers:
            return
        parties = (
            list(self._strangers)
            if hub is None
            else (hub.import_supplier, hub.gas_supplier, hub.electricity_distributor, hub.gas_transporter)
        )
        for user in parties:
            for part in self._strangers.pop(user, ()) if user is not None else ():
                self.witnesses.pop(part, None)


def _cut(facts: CampaignFacts, needs: Needs) -> CampaignFacts:
    """Leave out participations that needs do not ask for."""
    if needs.everybody:
        return facts
    own = facts.participations.get(needs.user) if needs.user and needs.campaign == facts.campaign.campaign_id else None
    return CampaignFacts(facts.campaign, {} if own is None else {own.supplier: own}, facts.tallies, complete=False)


def _with(hub: Hub, membership: Membership | None, firmware_version: str, last_activation_at: datetime | None) -> Hub:
    """Give a hub with another place and other results; quicker than `dataclasses.replace`."""
    return Hub(
        hub.eui,
        hub.manufacturer,
        hub.model,
        firmware_version,
        hub.region,
        hub.status,
        hub.import_supplier,
        hub.gas_supplier,
        hub.electricity_distributor,
        hub.gas_transporter,
        last_activation_at,
        membership,
    )
