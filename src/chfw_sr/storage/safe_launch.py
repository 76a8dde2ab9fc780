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
    column,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.changes import SafeLaunchAllotted
from chfw_sr.campaign.model import Campaign
from chfw_sr.messages import EUI, CampaignID, HubStatus, Phase
from chfw_sr.service.ports import Cause

from .allotment import CELL_KEY, NOBODY, add_cells, add_up, write_allotted
from .dialects import SqlDialect
from .mapping import to_campaign
from .tables import KEY, LIVE, campaign_hubs, campaigns, cells, hubs

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
        held_elsewhere = (
            exists()
            .select_from(campaign_hubs.join(campaigns, campaigns.c.campaign_id == campaign_hubs.c.campaign_id))
            .where(campaign_hubs.c.hub == hubs.c.eui, campaign_hubs.c.held, LIVE)
            .where(campaign_hubs.c.campaign_id != campaign.campaign_id)
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
            ~held_elsewhere,
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
        """Give every hub that was counted its window: cells, places and history, a statement each."""
        campaign_id = change.campaign_id
        if campaign_id not in self._counted:
            found = await self._connection.execute(select(campaigns).where(campaigns.c.campaign_id == campaign_id))
            await self.count(to_campaign(found.one()))
        ranges = self._dialect.rows(
            "ranges",
            [
                cells.c.window_id,
                cells.c.starts_at,
                cells.c.ends_at,
                column("first", BigInteger()),
                column("last", BigInteger()),
            ],
            [
                (each.window.window_id, each.window.start, each.window.end, each.first, each.last)
                for each in change.ranges
            ],
        )
        within = and_(
            remaining.c.campaign_id == campaign_id,
            remaining.c.rank >= ranges.c.first,
            remaining.c.rank < ranges.c.last,
        )
        key = {name: ranges.c[name] if name == "window_id" else remaining.c[name] for name in CELL_KEY}
        counted = (
            select(
                *key.values(),
                ranges.c.starts_at,
                ranges.c.ends_at,
                func.count().label("devices"),
                literal(0, BigInteger).label("activated"),
                literal(0, BigInteger).label("failed"),
            )
            .join_from(ranges, remaining, within)
            .group_by(*key.values(), ranges.c.starts_at, ranges.c.ends_at)
        )
        await add_cells(self._connection, self._dialect, campaign_id, Phase.SAFE_LAUNCH, counted)
        cell = and_(
            cells.c.campaign_id == campaign_id,
            cells.c.phase == Phase.SAFE_LAUNCH.value,
            *(cells.c[name] == value for name, value in key.items()),
        )
        phase = literal(Phase.SAFE_LAUNCH.value, KEY)
        placed = (
            select(literal(campaign_id, KEY), phase, remaining.c.hub, cells.c.id, true())
            .select_from(ranges)
            .join(remaining, within)
            .join(cells, cell)
        )
        columns = ["campaign_id", "phase", "hub", "cell_id", "held"]
        await self._connection.execute(insert(campaign_hubs).from_select(columns, placed))
        await add_up(self._connection, campaign_id, Phase.SAFE_LAUNCH)
        await write_allotted(self._connection, self._dialect, campaign_id, Phase.SAFE_LAUNCH, cause)
        await self._forget(campaign_id)
        self._counted.discard(campaign_id)

    async def _forget(self, campaign_id: CampaignID) -> None:
        await self._connection.execute(delete(remaining).where(remaining.c.campaign_id == campaign_id))
