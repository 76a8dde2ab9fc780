"""Answers to `Needs`, in a few statements whatever the size of the tables.

The order of locks is the same for everyone: models, campaigns by CampaignID, hubs by EUI. Whatever is decided upon is
read by a statement that comes after those that took the locks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import FromClause, and_, column, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.facts import ActivationKey, Facts, Needs
from chfw_sr.campaign.model import Campaign, CampaignFacts, Cell, Hub, OwnLists, Participation, PlanRow
from chfw_sr.messages import EUI, MAX_DEVICE_LIST, CampaignID, Phase

from .columns import KEY
from .dialects import SqlDialect
from .mapping import HUB, MEMBERSHIP, to_campaign, to_cell, to_hub, to_participation, to_plan_row, to_tallies, to_user
from .safe_launch import SafeLaunches
from .tables import LIVE, activations, campaign_hubs, campaigns, cells, hubs, participations, users

_RESPONSIBLE = (hubs.c.import_supplier, hubs.c.gas_supplier, hubs.c.electricity_distributor, hubs.c.gas_transporter)


class FactFinder:
    """Answers needs in one transaction.

    Args:
        connection: in a transaction.
        dialect: its dialect.
        safe_launches: which remembers what was counted.
    """

    def __init__(self, connection: AsyncConnection, dialect: SqlDialect, safe_launches: SafeLaunches) -> None:
        self._connection = connection
        self._dialect = dialect
        self._safe_launches = safe_launches

    async def answer(self, needs: Needs) -> Facts:
        """Answer needs; campaigns and hubs asked for are locked."""
        if not self._dialect.single_writer:
            await self._lock(needs)
        found = await self._connection.execute(
            select(users).where(or_(users.c.eui == needs.user, users.c.is_operator)).order_by(users.c.eui)
        )
        known = found.all()
        loaded = await load_hubs(self._connection, self._dialect, needs.hubs)
        campaign_facts = await self._campaigns(needs, loaded)
        mine = campaign_facts.get(needs.campaign) if needs.campaign else None
        campaign = mine.campaign if mine else None
        return Facts(
            user=next((to_user(row) for row in known if row.eui == needs.user), None),
            operators=tuple(EUI(row.eui) for row in known if row.is_operator),
            campaigns=campaign_facts,
            hubs=loaded,
            recorded=await self._recorded(needs.activations),
            responsible=await self._responsible(campaign, needs.user) if needs.responsible else False,
            own_lists=await self._own_lists(campaign, needs.user) if needs.own_lists else OwnLists(),
            own_safe_launch=await self._own_safe_launch(campaign, needs.user) if needs.own_safe_launch else None,
            plan=await self._plan(campaign) if needs.plan else (),
            remaining=await self._safe_launches.count(campaign) if needs.remaining and campaign else {},
            cells=await load_cells(self._connection, campaign.campaign_id) if needs.cells and campaign else (),
        )

    async def _lock(self, needs: Needs) -> None:
        """Lock models, then campaigns, then hubs: a place of a hub that is read after this stays true."""
        wanted = _euis(self._dialect, needs.hubs)
        if needs.hubs:
            named = select(hubs.c.manufacturer, hubs.c.model).join_from(wanted, hubs, hubs.c.eui == wanted.c.eui)
            found = await self._connection.execute(named.distinct())
            await self._dialect.share_models(self._connection, [(row.manufacturer, row.model) for row in found])
        if needs.remaining:
            named = select(campaigns.c.manufacturer, campaigns.c.model).where(campaigns.c.campaign_id == needs.campaign)
            for row in await self._connection.execute(named):
                await self._dialect.own_model(self._connection, (row.manufacturer, row.model))
        if needs.hubs and needs.hub_campaigns:
            holders = select(campaign_hubs.c.campaign_id).join_from(
                wanted, campaign_hubs, campaign_hubs.c.hub == wanted.c.eui
            )
            holding = {*await self._connection.scalars(holders.where(campaign_hubs.c.held).distinct()), needs.campaign}
            locked = select(campaigns.c.campaign_id).where(campaigns.c.campaign_id.in_(sorted(filter(None, holding))))
            await self._connection.execute(
                self._dialect.for_update(locked.where(LIVE).order_by(campaigns.c.campaign_id))
            )
        elif needs.campaign:
            locked = select(campaigns.c.campaign_id).where(campaigns.c.campaign_id == needs.campaign)
            await self._connection.execute(self._dialect.for_update(locked))
        if needs.hubs:
            ordered = select(hubs.c.eui).where(self._dialect.among(hubs.c.eui, needs.hubs)).order_by(hubs.c.eui)
            within = self._dialect.for_update(ordered).subquery()
            await self._connection.execute(select(func.count()).select_from(within))

    async def _campaigns(self, needs: Needs, loaded: Mapping[EUI, Hub]) -> dict[CampaignID, CampaignFacts]:
        ids = {needs.campaign} if needs.campaign else set()
        if needs.hub_campaigns:
            ids |= {hub.membership.campaign_id for hub in loaded.values() if hub.membership}
        if not ids:
            return {}
        query = select(campaigns).where(campaigns.c.campaign_id.in_(sorted(ids))).order_by(campaigns.c.campaign_id)
        rows = (await self._connection.execute(self._dialect.for_update(query))).all()
        parts: dict[str, dict[EUI, Participation]] = {row.campaign_id: {} for row in rows}
        for part in await load_participations(self._connection, sorted(parts)):
            parts[part.campaign_id][part.supplier] = part
        return {
            CampaignID(row.campaign_id): CampaignFacts(to_campaign(row), parts[row.campaign_id], to_tallies(row))
            for row in rows
        }

    async def _recorded(self, keys: Sequence[ActivationKey]) -> frozenset[ActivationKey]:
        if not keys:
            return frozenset()
        wanted = self._dialect.rows("keys", [activations.c.hub, activations.c.firmware_version, activations.c.at], keys)
        same = and_(
            activations.c.hub == wanted.c.hub,
            activations.c.firmware_version == wanted.c.firmware_version,
            activations.c.at == wanted.c.at,
        )
        query = select(activations.c.hub, activations.c.firmware_version, activations.c.at)
        rows = await self._connection.execute(query.join_from(wanted, activations, same))
        return frozenset((EUI(hub), version, at) for hub, version, at in rows)

    async def _responsible(self, campaign: Campaign | None, user: EUI | None) -> bool:
        """Probe an index: first for a target, before and after the campaign's version, then for a hub that was one."""
        if campaign is None or user is None:
            return False
        version = hubs.c.firmware_version
        places = [
            and_(
                party == user,
                hubs.c.manufacturer == campaign.manufacturer,
                hubs.c.model == campaign.model,
                hubs.c.region == region.value,
            )
            for party in _RESPONSIBLE
            for region in sorted(campaign.regions)
        ]
        other_version = (version < campaign.firmware_version, version > campaign.firmware_version)
        targets = [exists().where(place, other) for place in places for other in other_version]
        if await self._connection.scalar(select(or_(*targets))):
            return True
        within = and_(
            campaign_hubs.c.campaign_id == campaign.campaign_id,
            campaign_hubs.c.phase.in_([phase.value for phase in Phase]),
            campaign_hubs.c.hub == hubs.c.eui,
        )
        former = [exists().where(place, version == campaign.firmware_version, within) for place in places]
        return bool(await self._connection.scalar(select(or_(*former))))

    async def _own_lists(self, campaign: Campaign | None, user: EUI | None) -> OwnLists:
        if campaign is None or user is None:
            return OwnLists()
        row = campaign_hubs.c
        named = select(row.hub).where(row.campaign_id == campaign.campaign_id, row.phase == Phase.PILOT.value)
        confirmed = (
            select(row.hub)
            .join(cells, cells.c.id == row.cell_id)
            .where(cells.c.campaign_id == campaign.campaign_id, cells.c.phase == Phase.PILOT.value)
            .where(cells.c.supplier == user)
        )
        return OwnLists(
            default=await self._list(named.where(row.default_supplier == user).order_by(row.default_position)),
            preferred=await self._list(named.where(row.nominated_by == user).order_by(row.nominated_position)),
            confirmed=await self._list(confirmed.order_by(row.position)),
        )

    async def _list(self, query: Any) -> tuple[EUI, ...] | None:
        return tuple((await self._connection.scalars(query)).all()) or None

    async def _own_safe_launch(self, campaign: Campaign | None, user: EUI | None) -> tuple[EUI, ...] | None:
        if campaign is None or user is None:
            return None
        own = and_(
            cells.c.campaign_id == campaign.campaign_id,
            cells.c.phase == Phase.SAFE_LAUNCH.value,
            cells.c.supplier == user,
        )
        devices = await self._connection.scalar(select(func.sum(cells.c.devices)).where(own))
        if devices is not None and devices > MAX_DEVICE_LIST:
            return None
        query = select(campaign_hubs.c.hub).join_from(cells, campaign_hubs, campaign_hubs.c.cell_id == cells.c.id)
        return tuple((await self._connection.scalars(query.where(own).order_by(campaign_hubs.c.hub))).all())

    async def _plan(self, campaign: Campaign | None) -> tuple[PlanRow, ...]:
        if campaign is None:
            return ()
        row = campaign_hubs.c
        columns = (row.default_supplier, row.default_position, row.nominated_by, row.nominated_position, row.outcome)
        query = select(row.hub, *columns).where(row.campaign_id == campaign.campaign_id, row.phase == Phase.PILOT.value)
        found = await self._connection.execute(query.order_by(row.hub))
        return tuple(map(to_plan_row, found))


async def load_hubs(connection: AsyncConnection, dialect: SqlDialect, euis: Sequence[EUI]) -> dict[EUI, Hub]:
    """Load hubs with their places in live campaigns; one that does not exist is absent."""
    if not euis:
        return {}
    wanted = _euis(dialect, euis)
    live = campaigns.c.campaign_id
    place = (live, *(campaign_hubs.c[name] for name in MEMBERSHIP[1:]))
    query = (
        select(*(hubs.c[name] for name in HUB), *place)
        .select_from(wanted)
        .join(hubs, hubs.c.eui == wanted.c.eui)
        .outerjoin(campaign_hubs, and_(campaign_hubs.c.hub == hubs.c.eui, campaign_hubs.c.held))
        .outerjoin(campaigns, and_(live == campaign_hubs.c.campaign_id, LIVE))
        # The last row of a hub stays: one of a live campaign, and of two the later phase.
        .order_by(live.is_not(None), campaign_hubs.c.phase)
    )
    return {row[0]: to_hub(row) for row in await connection.execute(query)}


async def load_participations(connection: AsyncConnection, ids: Sequence[str]) -> tuple[Participation, ...]:
    """Load the participations of campaigns, in order of Supplier."""
    query = select(participations).where(participations.c.campaign_id.in_(ids)).order_by(participations.c.supplier)
    return tuple(map(to_participation, await connection.execute(query)))


async def load_cells(connection: AsyncConnection, campaign_id: CampaignID) -> tuple[Cell, ...]:
    """Load the cells of a campaign, in the order of their making."""
    query = select(cells).where(cells.c.campaign_id == campaign_id).order_by(cells.c.id)
    return tuple(map(to_cell, await connection.execute(query)))


def _euis(dialect: SqlDialect, euis: Sequence[EUI]) -> FromClause:
    return dialect.rows("wanted", [column("eui", KEY)], [(eui,) for eui in dict.fromkeys(euis)])
