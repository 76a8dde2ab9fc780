"""How a campaign goes, for people: what was reported when, why hubs failed, and which are silent."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase, Region
from chfw_sr.service.ports import FailuresByReason, HourOfResults, Progress, SilentHub

from .dialects import SqlDialect
from .tables import activations, campaign_hubs, cells


async def load_progress(
    connection: AsyncConnection, dialect: SqlDialect, campaign_id: CampaignID, now: datetime, limit: int
) -> Progress:
    """Answer `Queries.progress`, in statements that read as much as the campaign has hubs and results."""
    return Progress(
        hours=await _hours(connection, dialect, campaign_id),
        failures=tuple([each for phase in Phase for each in await _failures(connection, campaign_id, phase, limit)]),
        silent=tuple([each for phase in Phase for each in await _silent(connection, campaign_id, phase, now, limit)]),
    )


async def _hours(
    connection: AsyncConnection, dialect: SqlDialect, campaign_id: CampaignID
) -> tuple[HourOfResults, ...]:
    hour = dialect.hour(activations.c.at).label("hour")
    query = select(activations.c.phase, hour, activations.c.result, func.count().label("results"))
    query = query.where(activations.c.campaign_id == campaign_id, activations.c.effective)
    rows = await connection.execute(query.group_by(activations.c.phase, hour, activations.c.result))
    found = [HourOfResults(Phase(row.phase), row.hour, ActivationResult(row.result), row.results) for row in rows]
    return tuple(sorted(found, key=lambda each: (each.phase, each.hour, each.result)))


async def _failures(
    connection: AsyncConnection, campaign_id: CampaignID, phase: Phase, limit: int
) -> list[FailuresByReason]:
    number, reason = func.count().label("failures"), activations.c.failure_reason
    query = (
        select(reason, number)
        .where(activations.c.campaign_id == campaign_id, activations.c.phase == phase.value, activations.c.effective)
        .where(activations.c.result == ActivationResult.FAILURE.value)
        .group_by(reason)
        .order_by(number.desc(), reason.is_not(None), reason)
        .limit(limit)
    )
    return [FailuresByReason(phase, row.failure_reason, row.failures) for row in await connection.execute(query)]


async def _silent(
    connection: AsyncConnection, campaign_id: CampaignID, phase: Phase, now: datetime, limit: int
) -> list[SilentHub]:
    query = (
        select(campaign_hubs.c.hub, cells.c.supplier, cells.c.region, cells.c.starts_at, cells.c.ends_at)
        .join_from(cells, campaign_hubs, campaign_hubs.c.cell_id == cells.c.id)
        .where(cells.c.campaign_id == campaign_id, cells.c.phase == phase.value, cells.c.starts_at <= now)
        .where(campaign_hubs.c.outcome.is_(None))
        .order_by(cells.c.ends_at, campaign_hubs.c.hub)
        .limit(limit)
    )
    return [
        SilentHub(
            eui=EUI(row.hub),
            phase=phase,
            supplier=EUI(row.supplier) if row.supplier else None,
            region=Region(row.region),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
        )
        for row in await connection.execute(query)
    ]
