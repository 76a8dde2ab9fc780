"""Results of hubs: inventory, memberships, cells and sums follow, 10,000 at a time in a few statements (11.30)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, column, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.changes import ActivationsRecorded, RecordedActivation
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase
from chfw_sr.service.ports import Cause

from .allotment import PREFIXES
from .dialects import SqlDialect
from .history import entry, record
from .tables import KEY, activations, campaign_hubs, campaigns, cells, hubs

_Place = tuple[CampaignID, Phase, EUI]


async def record_activations(
    connection: AsyncConnection, dialect: SqlDialect, change: ActivationsRecorded, cause: Cause
) -> None:
    """Carry out the change; later results of a hub replace earlier ones of the same report."""
    await dialect.bulk_insert(connection, activations, [_values(one, cause) for one in change.activations])
    await record(connection, dialect, [_history(one, cause) for one in change.activations])
    newest: dict[EUI, tuple[datetime, str | None]] = {}
    outcomes: dict[_Place, ActivationResult] = {}
    for one in change.activations:
        if not one.effective:
            continue
        activation = one.activation
        hub = activation.device_id
        version = newest[hub][1] if hub in newest else None
        if activation.result is ActivationResult.SUCCESS:
            version = activation.firmware_version
        newest[hub] = (activation.at, version)
        if one.campaign_id is not None and one.phase is not None:
            outcomes[one.campaign_id, one.phase, hub] = activation.result
    await _update_inventory(connection, dialect, newest)
    await _update_outcomes(connection, dialect, outcomes)


def _values(one: RecordedActivation, cause: Cause) -> dict[str, Any]:
    activation = one.activation
    return {
        "hub": activation.device_id,
        "firmware_version": activation.firmware_version,
        "at": activation.at,
        "result": activation.result.value,
        "failure_reason": activation.failure_reason,
        "campaign_id": one.campaign_id,
        "phase": one.phase.value if one.phase else None,
        "effective": one.effective,
        "request_id": str(cause.request_id) if cause.request_id else None,
        "recorded_at": cause.at,
    }


def _history(one: RecordedActivation, cause: Cause) -> dict[str, Any]:
    activation = one.activation
    return entry(
        "Activated" if activation.result is ActivationResult.SUCCESS else "ActivationFailed",
        cause,
        campaign_id=one.campaign_id,
        hub=activation.device_id,
        detail={
            "firmware_version": activation.firmware_version,
            "activated_at": activation.at.isoformat(),
            "failure_reason": activation.failure_reason,
        },
    )


async def _update_inventory(
    connection: AsyncConnection, dialect: SqlDialect, newest: dict[EUI, tuple[datetime, str | None]]
) -> None:
    if not newest:
        return
    columns = [hubs.c.eui, hubs.c.last_activation_at, hubs.c.firmware_version]
    results = dialect.rows("results", columns, [(hub, *result) for hub, result in newest.items()])
    await connection.execute(
        update(hubs)
        .where(hubs.c.eui == results.c.eui)
        .values(
            last_activation_at=results.c.last_activation_at,
            firmware_version=func.coalesce(results.c.firmware_version, hubs.c.firmware_version),
        )
    )


async def _update_outcomes(
    connection: AsyncConnection, dialect: SqlDialect, outcomes: dict[_Place, ActivationResult]
) -> None:
    """Replace outcomes; the counts of the cells and the sums move by the difference."""
    if not outcomes:
        return
    row = campaign_hubs.c
    new = dialect.rows(
        "outcomes",
        [column("campaign_id", KEY), column("phase", KEY), column("hub", KEY), column("outcome", KEY)],
        [(campaign, phase.value, hub, result.value) for (campaign, phase, hub), result in outcomes.items()],
    )
    same = and_(row.campaign_id == new.c.campaign_id, row.phase == new.c.phase, row.hub == new.c.hub)

    def difference(result: ActivationResult) -> Any:
        now, before = (case((outcome == result.value, 1), else_=0) for outcome in (new.c.outcome, row.outcome))
        return func.sum(now - before)

    moved = (
        select(
            row.campaign_id,
            row.phase,
            row.cell_id,
            difference(ActivationResult.SUCCESS).label("activated"),
            difference(ActivationResult.FAILURE).label("failed"),
        )
        .join_from(new, campaign_hubs, same)
        .where(row.cell_id.is_not(None))
        .group_by(row.campaign_id, row.phase, row.cell_id)
        .order_by(row.cell_id)
    )
    differences = [found for found in await connection.execute(moved) if found.activated or found.failed]
    if differences:
        await connection.execute(
            update(cells)
            .where(cells.c.id == bindparam("cell"))
            .values(
                activated=cells.c.activated + bindparam("more_activated"),
                failed=cells.c.failed + bindparam("more_failed"),
            ),
            [{"cell": one.cell_id, "more_activated": one.activated, "more_failed": one.failed} for one in differences],
        )
        await _update_sums(connection, differences)
    await connection.execute(update(campaign_hubs).where(same).values(outcome=new.c.outcome))


async def _update_sums(connection: AsyncConnection, differences: Sequence[Any]) -> None:
    sums: dict[tuple[str, Phase], tuple[int, int]] = {}
    for one in differences:
        key = (one.campaign_id, Phase(one.phase))
        activated, failed = sums.get(key, (0, 0))
        sums[key] = (activated + one.activated, failed + one.failed)
    for (campaign_id, phase), (activated, failed) in sums.items():
        names = [f"{PREFIXES[phase]}_{name}" for name in ("activated", "failed")]
        values = {name: campaigns.c[name] + more for name, more in zip(names, (activated, failed), strict=True)}
        await connection.execute(update(campaigns).where(campaigns.c.campaign_id == campaign_id).values(values))
