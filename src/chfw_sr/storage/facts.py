"""Answers to `Needs`: from what is known, learnt where it is not, and from the tables what is too big to be kept."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.campaign.model import Campaign, Cell, Hub, OwnLists, Participation, PlanRow
from chfw_sr.messages import EUI, MAX_DEVICE_LIST, CampaignID, Phase
from chfw_sr.service.ports import Claim, Claimed

from .dialects import Question, SqlDialect
from .inbox import Inbox
from .loading import Loader
from .lookups import hubs_alike, places_alike, trust_revision
from .mapping import to_cell, to_hubs, to_participation, to_plan_row
from .safe_launch import SafeLaunches
from .tables import campaign_hubs, cells, participations
from .witnesses import Witnesses
from .workspace import BULK, Known


class FactFinder:
    """Answers needs in one transaction, of which everything that was decided is written.

    Args:
        connection: in a transaction.
        dialect: its dialect.
        known: what is known.
        safe_launches: which remembers what was counted.
        witnesses: which remember what proved that Users are responsible.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        dialect: SqlDialect,
        known: Known,
        safe_launches: SafeLaunches,
        witnesses: Witnesses,
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._known = known
        self._loader = Loader(connection, dialect, known, witnesses)
        self._safe_launches = safe_launches
        self._revision: int | None = None

    async def claim(self, inbox: Inbox, claims: Sequence[Claim]) -> Sequence[Claimed]:
        """Claim RequestIDs; in passing, learn of their originators, who will be asked for next, and the revision."""
        originators = {claim.request_id.originator for claim in claims}
        users, learn_users = self._loader.about_users(originators - self._known.users.keys())
        trust = Question(trust_revision, {}, is_asked=True)
        found, named, trusted = await self._dialect.ask(self._connection, [inbox.looking_for(claims), users, trust])
        learn_users(named)
        self._revision = trusted[0].value
        return inbox.claim(claims, found)

    async def trust_revision(self) -> int:
        """Give the register's revision."""
        if self._revision is None:
            ((self._revision,),) = await self._dialect.run(self._connection, trust_revision)
        return self._revision

    async def learn(self, needs: Sequence[Needs]) -> None:
        """Learn what needs ask for, and take all their locks."""
        await self._loader.learn(needs)

    async def plan_anew(self) -> None:
        """From now on, statements are about very many rows."""
        await self._loader.plan_anew()

    def take_ids(self, count: int) -> int | None:
        """Take consecutive ids of the outbox that were reserved since the last lock was; give the first.

        Returns:
            None if there are not so many.
        """
        ids = self._loader.ids
        if len(ids) < count:
            return None
        self._loader.ids = ids[count:]
        return ids[0]

    def forget_ids(self) -> None:
        """Take no more of the ids that were reserved: there was another lock to wait for."""
        self._loader.ids = range(0)

    def recall(self, needs: Needs) -> Facts | None:
        """Answer needs from what is known; None if that is not enough."""
        beyond = needs.own_safe_launch or needs.plan or needs.remaining or _is_bulky(needs)
        return None if beyond or not self._known.covers(needs) else self._known.answer(needs)

    async def answer(self, needs: Needs) -> Facts:
        """Answer needs; campaigns and hubs asked for are locked."""
        if _is_bulky(needs) or not self._known.covers(needs):
            await self._loader.learn([needs])
        facts = await self._bulk(needs) if _is_bulky(needs) else self._known.answer(needs)
        mine = facts.campaigns.get(needs.campaign) if needs.campaign else None
        part = None if needs.user is None or needs.campaign is None else (needs.campaign, needs.user)
        is_listed = needs.own_lists and part is not None and not self._known.has_lists(part)
        if is_listed or needs.own_safe_launch or needs.plan or needs.remaining:
            await self._loader.plan_anew()
        if is_listed and part is not None:
            facts = replace(facts, own_lists=await self._own_lists(*part))
        if needs.own_safe_launch and part is not None:  # also of a campaign that is not there: nobody is to notice
            own = await self._own_safe_launch(*part)
            facts = replace(facts, own_safe_launch=own if mine else None)
        if mine is None:
            return facts
        campaign = mine.campaign
        if needs.plan:
            facts = replace(facts, plan=await self._plan(campaign))
        if needs.remaining:
            facts = replace(facts, remaining=await self._safe_launches.count(campaign))
        return facts

    async def _bulk(self, needs: Needs) -> Facts:
        """Answer needs of which the hubs were locked, and are not to be kept."""
        loaded = await self._loader.load_hubs(needs.hubs) if needs.hubs else {}
        others = replace(needs, hubs=(), activations=(), hub_campaigns=False)
        holders: set[CampaignID] = set()
        if needs.hub_campaigns:
            holders = {hub.membership.campaign_id for hub in loaded.values() if hub.membership}
            await self._loader.lock_campaigns(holders)
            if needs.everybody:
                await self._loader.learn_everybody(holders)
        facts = self._known.answer(others)
        recorded = await self._loader.recorded(needs.activations) if needs.activations else frozenset()
        return replace(facts, hubs=loaded, campaigns=self._known.asked(others, holders), recorded=recorded)

    async def _own_lists(self, campaign_id: CampaignID, user: EUI) -> OwnLists:
        row = campaign_hubs.c
        named = select(row.hub).where(row.campaign_id == campaign_id, row.phase == Phase.PILOT.value)
        confirmed = (
            select(row.hub)
            .join(cells, cells.c.id == row.cell_id)
            .where(cells.c.campaign_id == campaign_id, cells.c.phase == Phase.PILOT.value)
            .where(cells.c.supplier == user)
        )
        return OwnLists(
            default=await self._list(named.where(row.default_supplier == user).order_by(row.default_position)),
            preferred=await self._list(named.where(row.nominated_by == user).order_by(row.nominated_position)),
            confirmed=await self._list(confirmed.order_by(row.position)),
        )

    async def _list(self, query: Any) -> tuple[EUI, ...] | None:
        return tuple((await self._connection.scalars(query)).all()) or None

    async def _own_safe_launch(self, campaign_id: CampaignID, user: EUI) -> tuple[EUI, ...] | None:
        own = and_(
            cells.c.campaign_id == campaign_id,
            cells.c.phase == Phase.SAFE_LAUNCH.value,
            cells.c.supplier == user,
        )
        devices = await self._connection.scalar(select(func.sum(cells.c.devices)).where(own))
        if devices is not None and devices > MAX_DEVICE_LIST:
            return None
        query = select(campaign_hubs.c.hub).join_from(cells, campaign_hubs, campaign_hubs.c.cell_id == cells.c.id)
        return tuple((await self._connection.scalars(query.where(own).order_by(campaign_hubs.c.hub))).all())

    async def _plan(self, campaign: Campaign) -> tuple[PlanRow, ...]:
        row = campaign_hubs.c
        columns = (row.default_supplier, row.default_position, row.nominated_by, row.nominated_position, row.outcome)
        query = select(row.hub, *columns).where(row.campaign_id == campaign.campaign_id, row.phase == Phase.PILOT.value)
        found = await self._connection.execute(query.order_by(row.hub))
        return tuple(map(to_plan_row, found))


def _is_bulky(needs: Needs) -> bool:
    return len(needs.hubs) > BULK or len(needs.activations) > BULK


async def load_hub(connection: AsyncConnection, dialect: SqlDialect, eui: EUI) -> Hub | None:
    """Load a hub with its place in a live campaign; None if there is no such hub."""
    named = {"wanted": dialect.listing([eui])}
    found = await dialect.run(connection, hubs_alike, named)
    places = await dialect.run(connection, places_alike, named)
    return to_hubs(found, places).get(eui)


async def load_participations(connection: AsyncConnection, ids: Sequence[str]) -> tuple[Participation, ...]:
    """Load the participations of campaigns, in order of Supplier."""
    query = select(participations).where(participations.c.campaign_id.in_(ids)).order_by(participations.c.supplier)
    return tuple(map(to_participation, await connection.execute(query)))


async def load_cells(connection: AsyncConnection, campaign_id: CampaignID) -> tuple[Cell, ...]:
    """Load the cells of a campaign, in the order of their making."""
    query = select(cells).where(cells.c.campaign_id == campaign_id).order_by(cells.c.id)
    return tuple(map(to_cell, await connection.execute(query)))
