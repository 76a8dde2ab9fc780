"""The Safe Launch: all target hubs that are left, counted and then allotted in one statement (wire contract §3, 11.22).

What was counted is kept in a temporary table, in order of EUI with its rank, so that the hubs allotted are those
counted whatever other transactions do meanwhile. There may be millions; none of them comes here.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    Table,
    and_,
    delete,
    func,
    insert,
    literal,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.changes import RankRange, SafeLaunchAllotted
from chfw_sr.campaign.model import Campaign
from chfw_sr.messages import EUI, CampaignID, HubStatus, Phase
from chfw_sr.service.ports import Cause

from .allotment import NOBODY, PARTIES, add_cells, add_up, find_cell, write_allotted
from .columns import KEY, Instant
from .dialects import SqlDialect
from .mapping import to_campaign
from .tables import LIVE, campaign_hubs, campaigns, hubs

remaining = Table(
    "remaining_hubs",
    MetaData(),
    Column("campaign_id", KEY, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("hub", KEY, nullable=False),
    Column("supplier", KEY, nullable=False),
    Column("electricity_distributor", KEY, nullable=False),
    Column("gas_transporter", KEY, nullable=False),
    Column("region", KEY, nullable=False),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
"""The hubs that were counted, of each campaign; `rank` from 0."""


class SafeLaunches:
    """The Safe Launches of one transaction.

    Args:
        connection: in a transaction.
        dialect: its dialect.
    """

    def __init__(self, connection: AsyncConnection, dialect: SqlDialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._counted: set[CampaignID] = set()

    async def count(self, campaign: Campaign) -> dict[EUI | None, int]:
        """Count the target hubs that are left, by lead Supplier, and keep them."""
        if not self._counted:
            await self._dialect.create_temporary(self._connection, remaining)
        await self._forget(campaign.campaign_id)
        self._counted.add(campaign.campaign_id)
        # A scalar, which is looked up for each hub: no plan can turn it into a join of everything with everything.
        other = (
            select(campaign_hubs.c.campaign_id)
            .join(campaigns, campaigns.c.campaign_id == campaign_hubs.c.campaign_id)
            .where(campaign_hubs.c.hub == hubs.c.eui, campaign_hubs.c.held, LIVE)
            .where(campaign_hubs.c.campaign_id != campaign.campaign_id)
            .limit(1)
            .scalar_subquery()
        )
        left = select(
            literal(campaign.campaign_id, KEY),
            func.row_number().over(order_by=hubs.c.eui) - 1,
            hubs.c.eui,
            func.coalesce(hubs.c.import_supplier, hubs.c.gas_supplier, NOBODY),
            func.coalesce(hubs.c.electricity_distributor, NOBODY),
            func.coalesce(hubs.c.gas_transporter, NOBODY),
            hubs.c.region,
        ).where(
            hubs.c.manufacturer == campaign.manufacturer,
            hubs.c.model == campaign.model,
            hubs.c.region.in_(sorted(campaign.regions)),
            hubs.c.firmware_version != campaign.firmware_version,
            hubs.c.status == HubStatus.COMMISSIONED.value,
            other.is_(None),
        )
        await self._connection.execute(insert(remaining).from_select(list(remaining.c.keys()), left))
        await self._dialect.index_temporary(self._connection, remaining, "campaign_id", "rank")
        by_supplier = (
            select(remaining.c.supplier, func.count())
            .where(remaining.c.campaign_id == campaign.campaign_id)
            .group_by(remaining.c.supplier)
            .order_by(remaining.c.supplier)
        )
        counts = await self._connection.execute(by_supplier)
        return {EUI(supplier) if supplier else None: count for supplier, count in counts}

    async def allot(self, change: SafeLaunchAllotted, cause: Cause) -> None:
        """Give every hub that was counted its window: two statements a window, and one for the history of all."""
        campaign_id = change.campaign_id
        if campaign_id not in self._counted:
            found = await self._connection.execute(select(campaigns).where(campaigns.c.campaign_id == campaign_id))
            await self.count(to_campaign(found.one()))
        for each in change.ranges:
            await self._allot_range(campaign_id, each)
        await add_up(self._connection, campaign_id, Phase.SAFE_LAUNCH)
        await write_allotted(self._connection, self._dialect, campaign_id, Phase.SAFE_LAUNCH, cause)
        await self._forget(campaign_id)
        self._counted.discard(campaign_id)

    async def _allot_range(self, campaign_id: CampaignID, each: RankRange) -> None:
        """Give the hubs of one window their cells and places; there are at most 100 windows."""
        ranked = and_(
            remaining.c.campaign_id == campaign_id, remaining.c.rank >= each.first, remaining.c.rank < each.last
        )
        parties = {name: remaining.c[name] for name in PARTIES}
        window = each.window
        counted = (
            select(
                *parties.values(),
                literal(window.window_id, BigInteger).label("window_id"),
                literal(window.start, Instant).label("starts_at"),
                literal(window.end, Instant).label("ends_at"),
                func.count().label("devices"),
                literal(0, BigInteger).label("activated"),
                literal(0, BigInteger).label("failed"),
            )
            .where(ranked)
            .group_by(*parties.values())
        )
        await add_cells(self._connection, self._dialect, campaign_id, Phase.SAFE_LAUNCH, counted)
        cell = find_cell(
            campaign_id, Phase.SAFE_LAUNCH, {**parties, "window_id": literal(window.window_id, BigInteger)}
        )
        phase = literal(Phase.SAFE_LAUNCH.value, KEY)
        places = select(literal(campaign_id, KEY), phase, remaining.c.hub, cell, true()).where(ranked)
        columns = ["campaign_id", "phase", "hub", "cell_id", "held"]
        await self._connection.execute(insert(campaign_hubs).from_select(columns, places.order_by(remaining.c.rank)))

    async def _forget(self, campaign_id: CampaignID) -> None:
        await self._connection.execute(delete(remaining).where(remaining.c.campaign_id == campaign_id))
