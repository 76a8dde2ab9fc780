"""Learns what needs ask for, of a whole batch at once, and takes its locks.

The order of locks is the same for everyone: models, campaigns by CampaignID, hubs by EUI. Whatever is decided upon is
read by a statement that comes after those that took the locks, or by the one that took them; all that is left to be
read then is asked together. A batch that is anticipated takes all its locks in one go, so that two batches wait for
each other in one direction only.

About a campaign that does not exist the same statements are asked as about one of others, so that nobody can tell the
two apart by the time that an answer takes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.facts import ActivationKey, Needs
from chfw_sr.campaign.model import CampaignFacts, Hub, OwnLists
from chfw_sr.messages import EUI, MAX_DEVICE_LIST, CampaignID, Phase, Region

from . import lookups
from .dialects import Question, SqlDialect
from .lookups import CAMPAIGN, PART, PROOFS, RESULT, TARGETS, USER
from .mapping import to_campaign, to_cell, to_hub, to_hubs, to_outcome, to_participation, to_tallies, to_user
from .witnesses import Witnesses
from .workspace import Ahead, Known, Part, Row, Wanted

_PHASES = {phase.value: phase for phase in Phase}

_Build = Callable[[SqlDialect], Select[Any]]
_Table = tuple[Sequence[Any], Sequence[Sequence[Any]]]
"""Columns, and rows of a table that is given."""


_Lesson = tuple[Question, Callable[[Sequence[Any]], None]]
"""What is asked together with others, and what takes its rows."""


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
        self._plans_anew = False
        self.ids = range(0)
        """Ids of the outbox that were reserved when all locks had been taken."""

    async def learn(self, needs: Sequence[Needs]) -> None:
        """Lock and load what is not known; hubs of longer lists are locked, and put together by `load_hubs`."""
        wanted = Wanted.of(needs, self._known, self._locked)
        if wanted.users or self._known.operators is None:
            await self._ask_together([self.about_users(wanted.users)])
        if wanted.bulk:
            await self.plan_anew()
        found: list[Any] = []
        models = [] if self._dialect.single_writer else [self._locking_models(wanted)]
        campaigns = self._locking_campaigns(wanted.campaigns, wanted.held & {*wanted.hubs, *wanted.bulk})
        hubs = Question(lookups.hubs_named, self._given(sorted(wanted.hubs)), is_asked=bool(wanted.hubs)), found.extend
        if wanted.bulk:
            await self._lock([*models, campaigns])
            await self._lock_hubs(wanted.bulk)
            await self._lock([hubs])
        else:
            await self._lock([*models, campaigns, hubs])
        searched = frozenset(each.campaign for each in needs if each.campaign and each.hubs)
        lessons = [*self._about_hubs(wanted, found, searched), *self._about_campaigns(wanted)]
        await self._ask_together([*lessons, *self._reserving(lessons)])
        if wanted.held:
            await self.lock_campaigns(self._known.holders(wanted.held & self._known.hubs.keys()))
        for some in needs:
            if some.everybody and some.hub_campaigns:
                await self.learn_everybody(self._known.holders(self._known.hubs.keys() & some.hubs))
        await self._search_responsible(wanted.parts)

    async def plan_anew(self) -> None:
        """From now on, statements are about very many rows."""
        if not self._plans_anew:
            self._plans_anew = True
            await self._dialect.plan_anew(self._connection)

    # ------------------------------------------------------------------------------------------------------- asking

    def _given(self, hubs: Iterable[EUI] | None = None, **tables: _Table) -> Mapping[str, Any]:
        """Give the parameters of a statement over tables that are given, or wanted hubs."""
        given: dict[str, Any] = {} if hubs is None else {"wanted": self._dialect.listing(hubs)}
        for name, (columns, data) in tables.items():
            given |= self._dialect.giving(name, columns, data)
        return given

    async def _ask(self, build: _Build, hubs: Iterable[EUI] | None = None, **tables: _Table) -> Sequence[Any]:
        return await self._dialect.run(self._connection, build, self._given(hubs, **tables))

    async def _ask_together(self, lessons: Sequence[_Lesson]) -> None:
        """Ask at once what no lock hangs on any more, and learn the answers in the order of the questions."""
        answers = await self._dialect.ask(self._connection, [question for question, _ in lessons])
        for (_, learn), rows in zip(lessons, answers, strict=True):
            learn(rows)

    async def _lock(self, lessons: Sequence[_Lesson]) -> None:
        """Lock in the order of the questions, and learn the answers."""
        if any(question.is_asked for question, _ in lessons):
            self.ids = range(0)
            answers = await self._dialect.lock(self._connection, [question for question, _ in lessons])
            for (_, learn), rows in zip(lessons, answers, strict=True):
                learn(rows)

    def _reserving(self, beside: Sequence[_Lesson]) -> Iterator[_Lesson]:
        """Reserve ids beside questions, if there are any."""
        reserving = self._dialect.reserving()
        if reserving is not None:
            is_asked = any(question.is_asked for question, _ in beside)
            yield replace(reserving, is_asked=is_asked), self._learn_ids

    def _learn_ids(self, rows: Sequence[Any]) -> None:
        for first, behind in rows:
            self.ids = range(first, behind)

    # ------------------------------------------------------------------------------------------------ users, models

    def about_users(self, named: Collection[EUI]) -> _Lesson:
        """Ask of Users that are named, and of operators."""
        given = self._given(users=(USER, _single(named)))
        return Question(lookups.users_named, given, is_asked=True), partial(self._learn_users, named)

    def _learn_users(self, named: Iterable[EUI], found: Sequence[Any]) -> None:
        known = self._known
        known.operators = tuple(EUI(row.eui) for row in found if row.is_operator)
        known.users |= dict.fromkeys(named) | {EUI(row.eui): to_user(row) for row in found}

    def _locking_models(self, wanted: Wanted) -> _Lesson:
        hubs = wanted.bulk | dict.fromkeys(sorted(wanted.hubs))
        given = {"modelled": self._dialect.listing(hubs), **self._given(launched=(CAMPAIGN, _single(wanted.launches)))}
        return Question(lookups.models_locked, given, is_asked=bool(hubs or wanted.launches)), _learn_nothing

    # ---------------------------------------------------------------------------------------------------- campaigns

    async def lock_campaigns(self, ids: Iterable[CampaignID]) -> None:
        """Lock and load campaigns, with tallies."""
        await self._lock([self._locking_campaigns(ids)])

    def _locking_campaigns(self, ids: Iterable[CampaignID], held: Collection[EUI] = ()) -> _Lesson:
        """Lock campaigns that are not known, and those that hold hubs, as it is seen before any lock is had."""
        named = {each for each in ids if self._known.campaigns.get(each) is None}
        given = {"held": self._dialect.listing(sorted(held)), **self._given(campaigns=(CAMPAIGN, _single(named)))}
        locking = Question(lookups.campaigns_locked, given, is_asked=bool(named or held))
        return locking, partial(self._learn_campaigns, named)

    def _learn_campaigns(self, named: Iterable[CampaignID], rows: Sequence[Any]) -> None:
        known = self._known.campaigns
        known |= dict.fromkeys(named)
        for row in rows:
            if known.get(CampaignID(row.campaign_id)) is None:
                facts = CampaignFacts(to_campaign(row), {}, to_tallies(row), complete=False)
                known[facts.campaign.campaign_id] = facts

    async def learn_everybody(self, ids: Iterable[CampaignID]) -> None:
        """Learn all participations in campaigns that are locked."""
        wanted = {each for each in ids if self._known.campaigns[each] and not self._known.is_complete(each)}
        if wanted:
            found = await self._ask(lookups.participations_of, everybody=(CAMPAIGN, _single(wanted)))
            self._learn_all(wanted, found)

    def _about_campaigns(self, wanted: Wanted) -> Iterator[_Lesson]:
        """Ask of campaigns that are locked; of participations first, for they tell how long lists are."""
        everybody, celled = _single(wanted.everybody), _single(wanted.cells)
        participants, listed = sorted(wanted.participants), sorted(wanted.lists)
        nominating = sorted(wanted.lists | wanted.nominating)
        given = self._given
        of_all = given(everybody=(CAMPAIGN, everybody))
        yield (
            Question(lookups.participations_of, of_all, is_asked=bool(everybody)),
            partial(self._learn_all, wanted.everybody),
        )
        of_some = given(participants=(PART, participants))
        yield (
            Question(lookups.participations_named, of_some, is_asked=bool(participants)),
            partial(self._learn_participants, participants),
        )
        named = given(nominating=(PART, nominating))
        yield (
            Question(lookups.hubs_nominated, named, is_asked=bool(nominating)),
            partial(self._learn_nominated, nominating),
        )
        own = given(listed=(PART, listed))
        yield Question(lookups.hubs_listed, own, is_asked=bool(listed)), partial(self._learn_listed, listed)
        yield Question(lookups.hubs_confirmed, own, is_asked=bool(listed)), self._learn_confirmed
        in_cells = given(celled=(CAMPAIGN, celled))
        yield Question(lookups.cells_of, in_cells, is_asked=bool(celled)), partial(self._learn_cells, wanted.cells)
        yield from self._about_responsible(wanted.parts)

    def _learn_all(self, ids: Iterable[CampaignID], rows: Sequence[Any]) -> None:
        found = list(map(to_participation, rows))
        for campaign_id in ids:
            own = [each for each in found if each.campaign_id == campaign_id]
            self._known.learn_participations(campaign_id, own, everybody=True)

    def _learn_participants(self, parts: Iterable[Part], rows: Sequence[Any]) -> None:
        self._known.parts.update(parts)
        for part in map(to_participation, rows):
            self._known.learn_participations(part.campaign_id, [part], everybody=False)

    def _is_short(self, part: Part) -> bool:
        """Tell whether a User's lists in a campaign are to be kept, by what the campaign says of them."""
        found = self._known.campaigns.get(part[0])
        own = found.participations.get(part[1]) if found else None
        return own is None or lookups.is_short(own)

    def _learn_nominated(self, parts: Iterable[Part], rows: Sequence[Any]) -> None:
        self._known.nominated |= {part: {} for part in parts if self._is_short(part)}
        for campaign_id, user, hub, default_supplier in rows:
            self._known.nominated[campaign_id, user][hub] = default_supplier

    def _learn_listed(self, parts: Iterable[Part], rows: Sequence[Any]) -> None:
        default = _by_part(rows)
        self._known.listed |= {part: OwnLists(default.get(part)) for part in parts if self._is_short(part)}

    def _learn_confirmed(self, rows: Sequence[Any]) -> None:
        for part, confirmed in _by_part(rows).items():
            self._known.listed[part] = replace(self._known.listed[part], confirmed=confirmed)

    def _learn_cells(self, campaigns: Iterable[CampaignID], rows: Sequence[Any]) -> None:
        self._known.cells |= {each: {} for each in campaigns}
        for row in rows:
            self._known.cells[row.campaign_id][row.id] = to_cell(row)

    # --------------------------------------------------------------------------------------------------------- hubs

    async def _lock_hubs(self, hubs: Collection[EUI]) -> None:
        """Lock hubs; as many as fit one list are known by it too, and need not be looked for again in their turn."""
        if not hubs or self._dialect.single_writer:
            return
        self._locked.update(hubs)
        self.ids = range(0)
        if len(hubs) > MAX_DEVICE_LIST:
            await self._ask(lookups.hubs_counted, hubs)
        else:
            self._known.ahead = Ahead(frozenset(hubs), await self._ask(lookups.hubs_locked_alike, hubs))

    async def load_hubs(self, hubs: Collection[EUI]) -> dict[EUI, Hub]:
        """Load hubs that are locked, with their places in live campaigns; what is not there is absent."""
        ahead = self._known.ahead
        alike = ahead.rows if ahead and ahead.are(hubs) else await self._ask(lookups.hubs_alike, hubs)
        return to_hubs(alike, await self._ask(lookups.places_alike, hubs))

    def _about_hubs(self, wanted: Wanted, found: Sequence[Any], searched: frozenset[CampaignID]) -> Iterator[_Lesson]:
        """Ask of hubs that are locked.

        Args:
            wanted: which.
            found: what the inventory says of them.
            searched: campaigns in which their rows are wanted as well, whether they hold them or not.
        """
        hubs, keys = sorted(wanted.hubs), sorted(wanted.keys)
        given = self._given(hubs, searched=(CAMPAIGN, _single(searched)))
        yield (
            Question(lookups.rows_of_hubs, given, is_asked=bool(hubs)),
            partial(self._learn_hubs, hubs, found, searched),
        )
        yield (
            Question(lookups.results_recorded, self._given(results=(RESULT, keys)), is_asked=bool(keys)),
            partial(self._learn_recorded, keys),
        )

    def _learn_hubs(
        self, hubs: Iterable[EUI], found: Sequence[Any], searched: frozenset[CampaignID], places: Sequence[Any]
    ) -> None:
        rows: dict[EUI, dict[tuple[CampaignID, Phase], Row]] = {EUI(row.eui): {} for row in found}
        for hub, campaign_id, phase, default, nominated, cell_id, outcome, held in places:
            if hub in rows:
                rows[hub][campaign_id, _PHASES[phase]] = Row(default, nominated, cell_id, to_outcome(outcome), held)
        self._known.hubs |= dict.fromkeys(hubs)
        for each in found:
            hub = to_hub(*each)
            self._known.learn_hub(hub, rows[hub.eui], searched)

    def _learn_recorded(self, keys: Iterable[ActivationKey], rows: Sequence[Any]) -> None:
        recorded = _results(rows)
        self._known.recorded |= {key: key in recorded for key in keys}

    async def recorded(self, keys: Iterable[ActivationKey]) -> frozenset[ActivationKey]:
        """Give those of the results that are recorded."""
        return _results(await self._ask(lookups.results_recorded, results=(RESULT, sorted(keys))))

    # --------------------------------------------------------------------------------------------------- responsible

    def _about_responsible(self, parts: Collection[Part]) -> Iterator[_Lesson]:
        """Ask whether hubs still prove what they proved before, and search where no proof is remembered."""
        proofs, unproved = [], []
        for part in sorted(parts):
            witness, found = self._witnesses.of(part), self._known.campaigns[part[0]]
            if witness is not None and found is not None:
                target = found.campaign
                proofs.append((*part, witness, target.manufacturer, target.model, target.firmware_version))
            else:
                unproved.append(part)
        proved = self._given(proofs=(PROOFS, proofs))
        yield Question(lookups.proofs_found, proved, is_asked=bool(proofs)), self._learn_proved
        yield self._searching(unproved)

    def _learn_proved(self, rows: Sequence[Any]) -> None:
        """Learn of the parts that are still proved by the hubs that proved them before."""
        for campaign_id, user, witness, region in rows:
            found = self._known.campaigns[campaign_id]
            if found is not None and region in found.campaign.regions:
                self._known.learn_responsible((campaign_id, user), EUI(witness))

    async def _search_responsible(self, parts: Iterable[Part]) -> None:
        """Search where what was remembered is no proof any more."""
        if left := sorted(part for part in parts if part not in self._known.witnesses):
            await self._ask_together([self._searching(left)])

    def _searching(self, parts: Sequence[Part]) -> _Lesson:
        """Search for a target, or for a hub that was one, for each of some parts."""
        targets = [row for number, part in enumerate(parts) for row in self._targets(number, part)]
        given = self._given(targets=(TARGETS, targets))
        return Question(lookups.targets_found, given, is_asked=bool(targets)), partial(self._learn_found, parts)

    def _learn_found(self, parts: Sequence[Part], rows: Sequence[Any]) -> None:
        """Learn who is responsible, and by which hub; of whom there is none, that he is not."""
        found = {number: EUI(witness) for number, witness in rows if witness is not None}
        for number, part in enumerate(parts):
            witness = found.get(number)
            if witness is not None:
                self._witnesses.remember(part, witness)
            self._known.learn_responsible(part, witness)

    def _targets(self, number: int, part: Part) -> Iterable[tuple[Any, ...]]:
        found = self._known.campaigns[part[0]]
        if found is None:
            yield from ((number, *part, "", "", region.value, "") for region in Region)
            return
        campaign = found.campaign
        for region in sorted(campaign.regions):
            yield number, *part, campaign.manufacturer, campaign.model, region.value, campaign.firmware_version


def _learn_nothing(_rows: Sequence[Any]) -> None:
    """Learn nothing of what was locked."""


def _single(values: Iterable[str]) -> list[tuple[str]]:
    return [(each,) for each in sorted(values)]


def _results(rows: Iterable[Any]) -> frozenset[ActivationKey]:
    return frozenset((EUI(hub), version, at) for hub, version, at in rows)


def _by_part(rows: Sequence[Any]) -> Mapping[Part, tuple[EUI, ...]]:
    """Deal hubs out to the lists that they are on; a row is a campaign, a User and a hub."""
    lists: dict[Part, list[EUI]] = {}
    for campaign_id, user, hub in rows:
        lists.setdefault((campaign_id, user), []).append(hub)
    return {part: tuple(hubs) for part, hubs in lists.items()}
