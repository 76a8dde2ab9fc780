"""Results of hubs: inventory, memberships, cells and sums follow, 10,000 at a time in a few statements (11.30)."""

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, false, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.changes import ActivationsRecorded, RecordedActivation
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase
from chfw_sr.service.ports import Cause

from .allotment import PREFIXES
from .dialects import SqlDialect
from .history import entry, record
from .tables import activations, campaign_hubs, campaigns, cells, hubs

_COUNTS = {ActivationResult.SUCCESS: "activated", ActivationResult.FAILURE: "failed"}
"""Which count of a cell a result moves."""

_NAMES = tuple(_COUNTS.values())

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
    more: Counter[tuple[CampaignID, Phase, int, str]] = Counter()
    for campaign_id, phase in sorted({place[:2] for place in outcomes}):
        named = [hub for *within, hub in outcomes if within == [campaign_id, phase]]
        found = select(row.hub, row.cell_id, row.outcome).where(
            row.campaign_id == campaign_id, row.phase == phase.value, dialect.among(row.hub, named)
        )
        for hub, cell_id, before in await connection.execute(found.where(row.cell_id.is_not(None))):
            if before is not None:
                more[campaign_id, phase, cell_id, _COUNTS[before]] -= 1
            more[campaign_id, phase, cell_id, _COUNTS[outcomes[campaign_id, phase, hub]]] += 1
    await _count(connection, more)
    columns = [row.campaign_id, row.phase, row.hub, row.outcome]
    data = [(campaign, phase.value, hub, result.value) for (campaign, phase, hub), result in outcomes.items()]
    new = dialect.rows("outcomes", columns, data)
    values = select(new.c.campaign_id, new.c.phase, new.c.hub, new.c.outcome, false()).where(true())
    statement = dialect.insert(campaign_hubs).from_select(["campaign_id", "phase", "hub", "outcome", "held"], values)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign_id", "phase", "hub"], set_={"outcome": statement.excluded.outcome}
        )
    )


async def _count(connection: AsyncConnection, more: Counter[tuple[CampaignID, Phase, int, str]]) -> None:
    """Move the counts of cells, and with them the sums of their campaigns."""
    by_cell: dict[int, Counter[str]] = defaultdict(Counter)
    by_phase: dict[tuple[CampaignID, Phase], Counter[str]] = defaultdict(Counter)
    for (campaign_id, phase, cell_id, name), number in more.items():
        by_cell[cell_id][name] += number
        by_phase[campaign_id, phase][name] += number
    moved = [
        {"cell": cell_id, **{f"more_{name}": one[name] for name in _NAMES}}
        for cell_id, one in sorted(by_cell.items())
        if any(one.values())
    ]
    if not moved:
        return
    values = {name: cells.c[name] + bindparam(f"more_{name}") for name in _NAMES}
    await connection.execute(update(cells).where(cells.c.id == bindparam("cell")).values(values), moved)
    for (campaign_id, phase), one in by_phase.items():
        sums = {f"{PREFIXES[phase]}_{name}": campaigns.c[f"{PREFIXES[phase]}_{name}"] + one[name] for name in _NAMES}
        await connection.execute(update(campaigns).where(campaigns.c.campaign_id == campaign_id).values(sums))
