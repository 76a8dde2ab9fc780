"""Learns what needs ask for, of a whole batch at once, and takes its locks.

The order of locks is the same for everyone: models, campaigns by CampaignID, hubs by EUI. Whatever is decided upon is
read by a statement that comes after those that took the locks, or by the one that took them. A batch that is
anticipated takes all its locks in one go, so that two batches wait for each other in one direction only.

About a campaign that does not exist the same statements are asked as about one of others, so that nobody can tell the
two apart by the time that an answer takes.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.facts import ActivationKey, Needs
from chfw_sr.campaign.model import CampaignFacts, Hub, OwnLists, Participation
from chfw_sr.messages import EUI, MAX_DEVICE_LIST, CampaignID, Phase, Region

from . import lookups
from .dialects import SqlDialect
from .lookups import CAMPAIGN, PART, PROOFS, RESULT, TARGETS, USER
from .mapping import to_campaign, to_cell, to_hub, to_hubs, to_outcome, to_participation, to_tallies, to_user
from .witnesses import Witnesses
from .workspace import BULK, Ahead, Known, Part, Row, Wanted

_PHASES = {phase.value: phase for phase in Phase}


class Loader:
    """Learns in one transaction.

    Args:
        connection: in a transaction.
        dialect: its dialect.
        known: what is known already, and learns.
        witnesses: what proved before that Users are responsible.
    """

    def __init__(self, connection: AsyncConnection, dialect: SqlDialect, known: Known, witnesses: Witnesses) -> None:
        self._connection = connection
        self._dialect = dialect
        self._known = known
        self._witnesses = witnesses
        self._locked: set[EUI] = set()

    async def learn(self, needs: Sequence[Needs]) -> None:
        """Lock and load what is not known; hubs of longer lists are locked, and put together by `load_hubs`."""
        wanted = Wanted.of(needs, self._known, self._locked)
        if wanted.users or self._known.operators is None:
            await self._learn_users(wanted.users)
        if not self._dialect.single_writer:
            await self._lock_models(wanted)
        await self.learn_campaigns(wanted.campaigns)
        await self._lock_hubs(wanted.bulk)
        await self._learn_hubs(wanted.hubs, {each.campaign for each in needs if each.campaign and each.hubs})
        if wanted.held:
            await self.learn_campaigns(self._known.holders(wanted.held & self._known.hubs.keys()))
        if wanted.keys:
            recorded = await self.recorded(wanted.keys)
            self._known.recorded |= {key: key in recorded for key in wanted.keys}
        await self._learn_parts(wanted)
        await self._learn_cells(wanted.cells)

    async def _ask(
        self,
        build: Callable[[SqlDialect], Select[Any]],
        hubs: Iterable[EUI] | None = None,
        **tables: tuple[Sequence[Any], Iterable[Sequence[Any]]],
    ) -> Sequence[Any]:
        """Execute a statement over tables that are given, or wanted hubs."""
        parameters: dict[str, Any] = {} if hubs is None else {"wanted": self._dialect.listing(hubs)}
        for name, (columns, data) in tables.items():
            parameters |= self._dialect.giving(name, columns, list(data))
        return await self._dialect.run(self._connection, build, parameters)

    async def _learn_users(self, named: Iterable[EUI]) -> None:
        found = await self._ask(lookups.users_named, wanted=(USER, _single(named)))
        known = self._known
        known.operators = tuple(EUI(row.eui) for row in found if row.is_operator)
        known.users |= dict.fromkeys(named) | {EUI(row.eui): to_user(row) for row in found}

    async def _lock_models(self, wanted: Wanted) -> None:
        """Lock models, and name the campaigns that are to be locked for the hubs that they hold."""
        hubs = wanted.bulk | dict.fromkeys(sorted(wanted.hubs))
        shared: Sequence[Any] = ()
        owned: Sequence[Any] = ()
        if hubs:
            shared = await self._ask(lookups.models_of_hubs, hubs)
        if wanted.launches:
            owned = await self._ask(lookups.models_of_campaigns, wanted=(CAMPAIGN, _single(wanted.launches)))
        await self._dialect.lock_models(
            self._connection,
            [(row.manufacturer, row.model) for row in shared],
            [(row.manufacturer, row.model) for row in owned],
        )
        if held := wanted.held & hubs.keys():
            holders = await self._ask(lookups.holders_of_hubs, sorted(held))
            found = {row.campaign_id for row in holders if row.campaign_id is not None}
            wanted.campaigns |= found - self._known.campaigns.keys()

    async def learn_campaigns(self, ids: Iterable[CampaignID]) -> None:
        """Lock and load campaigns, with participations and tallies."""
        named = {each for each in ids if each not in self._known.campaigns}
        if not named:
            return
        found = await self._ask(lookups.campaigns_named, wanted=(CAMPAIGN, _single(named)))
        parts: dict[str, dict[EUI, Participation]] = {row.campaign_id: {} for row in found}
        for row in await self._ask(lookups.participations_of, wanted=(CAMPAIGN, _single(named))):
            parts[row.campaign_id][EUI(row.supplier)] = to_participation(row)
        self._known.campaigns |= dict.fromkeys(named)
        for row in found:
            facts = CampaignFacts(to_campaign(row), parts[row.campaign_id], to_tallies(row))
            self._known.campaigns[facts.campaign.campaign_id] = facts

    async def _lock_hubs(self, hubs: Collection[EUI]) -> None:
        """Lock hubs; as many as fit one list are known by it too, and need not be looked for again in their turn."""
        if not hubs or self._dialect.single_writer:
            return
        self._locked.update(hubs)
        if len(hubs) > MAX_DEVICE_LIST:
            await self._ask(lookups.hubs_counted, hubs)
        else:
            self._known.ahead = Ahead(frozenset(hubs), await self._ask(lookups.hubs_locked_alike, hubs))

    async def load_hubs(self, hubs: Collection[EUI]) -> dict[EUI, Hub]:
        """Load hubs that are locked, with their places in live campaigns; what is not there is absent."""
        ahead = self._known.ahead
        alike = ahead.rows if ahead and ahead.are(hubs) else await self._ask(lookups.hubs_alike, hubs)
        return to_hubs(alike, await self._ask(lookups.places_alike, hubs))

    async def _learn_hubs(self, hubs: set[EUI], campaigns: set[CampaignID]) -> None:
        if not hubs:
            return
        searched = frozenset(campaigns)
        named = sorted(hubs)
        found = await self._ask(lookups.hubs_named, named)
        rows: dict[EUI, dict[tuple[CampaignID, Phase], Row]] = {EUI(row.eui): {} for row in found}
        places = await self._ask(lookups.rows_of_hubs, named, searched=(CAMPAIGN, _single(searched)))
        for hub, campaign_id, phase, default, nominated, cell_id, outcome, held in places:
            if hub in rows:
                rows[hub][campaign_id, _PHASES[phase]] = Row(default, nominated, cell_id, to_outcome(outcome), held)
        self._known.hubs |= dict.fromkeys(hubs)
        for each in found:
            hub = to_hub(*each)
            self._known.learn_hub(hub, rows[hub.eui], searched)

    async def recorded(self, keys: Iterable[ActivationKey]) -> frozenset[ActivationKey]:
        """Give those of the results that are recorded."""
        found = await self._ask(lookups.results_recorded, wanted=(RESULT, sorted(keys)))
        return frozenset((EUI(hub), version, at) for hub, version, at in found)

    async def _learn_parts(self, wanted: Wanted) -> None:
        """Learn of Users' parts in campaigns; longer lists are left where they are."""
        await self._learn_responsible(sorted(wanted.parts))
        lists = {part for part in wanted.lists if self._is_short(part)}
        nominated = lists | {part for part in wanted.nominating if self._is_short(part)}
        if nominated:
            self._known.nominated |= {part: {} for part in nominated}
            for row in await self._ask(lookups.hubs_nominated, wanted=(PART, sorted(nominated))):
                self._known.nominated[row.campaign_id, row.nominated_by][row.hub] = row.default_supplier
        if lists:
            default = _by_part(await self._ask(lookups.hubs_listed, wanted=(PART, sorted(lists))))
            confirmed = _by_part(await self._ask(lookups.hubs_confirmed, wanted=(PART, sorted(lists))))
            for part in lists:
                self._known.listed[part] = OwnLists(default.get(part), None, confirmed.get(part))

    def _is_short(self, part: Part) -> bool:
        """Tell whether a User's lists in a campaign are to be kept, by what the campaign says of them."""
        found = self._known.campaigns.get(part[0])
        own = found.participations.get(part[1]) if found else None
        return own is None or max(own.default_devices, own.nominated_devices or 0, own.pilot_devices) <= BULK

    async def _learn_responsible(self, parts: Sequence[Part]) -> None:
        """Look for a target, before and after the campaign's version, and then for a hub that was one.

        Where a hub proved it before, that one is looked at first.
        """
        left = dict(enumerate(parts))
        await self._try_witnesses(left)
        for build in (lookups.targets_found, lookups.former_targets_found):
            if not left:
                return
            targets = [row for number, part in left.items() for row in self._targets(number, part)]
            for number, witness in await self._ask(build, wanted=(TARGETS, targets)):
                if witness is not None and number in left:
                    self._witnesses.remember(left[number], EUI(witness))
                    self._known.learn_responsible(left.pop(number), EUI(witness))
        for part in left.values():
            self._known.learn_responsible(part, None)

    async def _try_witnesses(self, left: dict[int, Part]) -> None:
        """Learn of the parts that are still proved by the hubs that proved them before; they leave."""
        proofs = []
        regions = {}
        for number, part in left.items():
            witness, found = self._witnesses.of(part), self._known.campaigns[part[0]]
            if witness is not None and found is not None:
                target = found.campaign
                proofs.append((number, witness, part[1], target.manufacturer, target.model, target.firmware_version))
                regions[number] = target.regions
        if not proofs:
            return
        for number, witness, region in await self._ask(lookups.proofs_found, wanted=(PROOFS, proofs)):
            if region in regions[number]:
                self._known.learn_responsible(left.pop(number), EUI(witness))

    def _targets(self, number: int, part: Part) -> Iterable[tuple[Any, ...]]:
        found = self._known.campaigns[part[0]]
        if found is None:
            yield from ((number, *part, "", "", region.value, "") for region in Region)
            return
        campaign = found.campaign
        for region in sorted(campaign.regions):
            yield number, *part, campaign.manufacturer, campaign.model, region.value, campaign.firmware_version

    async def _learn_cells(self, campaigns: set[CampaignID]) -> None:
        if campaigns:
            self._known.cells |= {each: {} for each in campaigns}
            for row in await self._ask(lookups.cells_of, wanted=(CAMPAIGN, _single(campaigns))):
                self._known.cells[row.campaign_id][row.id] = to_cell(row)


def _single(values: Iterable[str]) -> list[tuple[str]]:
    return [(each,) for each in sorted(values)]


def _by_part(rows: Sequence[Any]) -> Mapping[Part, tuple[EUI, ...]]:
    """Deal hubs out to the lists that they are on; a row is a campaign, a User and a hub."""
    lists: dict[Part, list[EUI]] = {}
    for campaign_id, user, hub in rows:
        lists.setdefault((campaign_id, user), []).append(hub)
    return {part: tuple(hubs) for part, hubs in lists.items()}
