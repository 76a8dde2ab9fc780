"""Results of hubs: inventory, memberships, cells and sums follow, 10,000 at a time in a few statements (11.30)."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Update, column, false, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.expression import ColumnClause

from chfw_sr.campaign.changes import ActivationsRecorded
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase
from chfw_sr.service.ports import Cause

from .allotment import PREFIXES
from .columns import KEY
from .dialects import Modification, SqlDialect, Upsert
from .history import record
from .lines import ACTIVATION, activation_line, activation_values
from .tables import activations, campaign_hubs, campaigns, cells, hubs

_COUNTS = {ActivationResult.SUCCESS: "activated", ActivationResult.FAILURE: "failed"}
"""Which count of a cell a result moves."""

Counts = Mapping[ActivationResult, int]

HubInPhase = tuple[CampaignID, Phase, EUI]


async def record_activations(
    connection: AsyncConnection, dialect: SqlDialect, change: ActivationsRecorded, cause: Cause
) -> None:
    """Carry out the change; later results of a hub replace earlier ones of the same report."""
    added = [activation_values(one, cause) for one in change.activations]
    await record(connection, dialect, [activation_line(one, cause) for one in change.activations])
    newest: dict[EUI, tuple[datetime, str | None]] = {}
    outcomes: dict[HubInPhase, ActivationResult] = {}
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
    counts, sums = await _count(connection, dialect, outcomes)
    changes = (
        updating_inventory(dialect, newest),
        *moving_counts(dialect, counts, sums),
        setting_outcomes(dialect, outcomes),
    )
    await dialect.change(connection, changes, [(activations, ACTIVATION, added)])


def updating_inventory(dialect: SqlDialect, newest: Mapping[EUI, tuple[datetime, str | None]]) -> Modification:
    """Note when hubs reported last, and the versions that they run since, where they changed."""
    given = dialect.giving("results", _INVENTORY, [(hub, *result) for hub, result in newest.items()])
    return Modification(_update_inventory, given, is_made=bool(newest))


_INVENTORY = (hubs.c.eui, hubs.c.last_activation_at, hubs.c.firmware_version)


def _update_inventory(dialect: SqlDialect) -> Update:
    results = dialect.given("results", _INVENTORY)
    return (
        update(hubs)
        .where(hubs.c.eui == results.c.eui)
        .values(
            last_activation_at=results.c.last_activation_at,
            firmware_version=func.coalesce(results.c.firmware_version, hubs.c.firmware_version),
        )
    )


async def _count(
    connection: AsyncConnection, dialect: SqlDialect, outcomes: Mapping[HubInPhase, ActivationResult]
) -> tuple[dict[int, Counter[ActivationResult]], dict[tuple[CampaignID, Phase], Counter[ActivationResult]]]:
    """Say by how much counts of cells and sums move, when outcomes take the place of those before them."""
    row = campaign_hubs.c
    counts: dict[int, Counter[ActivationResult]] = {}
    sums: dict[tuple[CampaignID, Phase], Counter[ActivationResult]] = {}
    for campaign_id, phase in sorted({place[:2] for place in outcomes}):
        named = [hub for *within, hub in outcomes if within == [campaign_id, phase]]
        found = select(row.hub, row.cell_id, row.outcome).where(
            row.campaign_id == campaign_id, row.phase == phase.value, dialect.among(row.hub, named)
        )
        for hub, cell_id, before in await connection.execute(found.where(row.cell_id.is_not(None))):
            for moved in (counts.setdefault(cell_id, Counter()), sums.setdefault((campaign_id, phase), Counter())):
                if before is not None:
                    moved[ActivationResult(before)] -= 1
                moved[outcomes[campaign_id, phase, hub]] += 1
    return counts, sums


def setting_outcomes(dialect: SqlDialect, outcomes: Mapping[HubInPhase, ActivationResult]) -> Modification:
    """Replace outcomes."""
    data = [(campaign, phase.value, hub, result.value) for (campaign, phase, hub), result in outcomes.items()]
    return Modification(_set_outcomes, dialect.giving("outcomes", _OUTCOME, data), is_made=bool(data))


_OUTCOME = (campaign_hubs.c.campaign_id, campaign_hubs.c.phase, campaign_hubs.c.hub, campaign_hubs.c.outcome)


def _set_outcomes(dialect: SqlDialect) -> Upsert:
    new = dialect.given("outcomes", _OUTCOME)
    values = select(new.c.campaign_id, new.c.phase, new.c.hub, new.c.outcome, false()).where(true())
    statement = dialect.insert(campaign_hubs).from_select(["campaign_id", "phase", "hub", "outcome", "held"], values)
    return statement.on_conflict_do_update(
        index_elements=["campaign_id", "phase", "hub"], set_={"outcome": statement.excluded.outcome}
    )


def moving_counts(
    dialect: SqlDialect, counts: Mapping[int, Counts], sums: Mapping[tuple[CampaignID, Phase], Counts]
) -> tuple[Modification, Modification]:
    """Move the counts of cells, and with them the sums of their campaigns."""
    moved = [
        (cell_id, *(one[result] for result in _COUNTS)) for cell_id, one in sorted(counts.items()) if any(one.values())
    ]
    by_campaign: dict[CampaignID, dict[str, int]] = {}
    for (campaign_id, phase), one in sorted(sums.items() if moved else ()):
        more = by_campaign.setdefault(campaign_id, dict.fromkeys(_SUMS, 0))
        more |= {f"{PREFIXES[phase]}_{name}": one[result] for result, name in _COUNTS.items()}
    summed = [(campaign_id, *more.values()) for campaign_id, more in by_campaign.items()]
    return (
        Modification(_move_counts, dialect.giving("moved", _MOVED, moved), is_made=bool(moved)),
        Modification(_move_sums, dialect.giving("summed", _SUMMED, summed), is_made=bool(summed)),
    )


_SUMS = tuple(f"{prefix}_{name}" for prefix in PREFIXES.values() for name in _COUNTS.values())
"""The sums of a campaign that results move."""

_MOVED: tuple[ColumnClause[Any], ...] = (
    column("cell", BigInteger),
    *(column(f"more_{name}", BigInteger) for name in _COUNTS.values()),
)
_SUMMED: tuple[ColumnClause[Any], ...] = (
    column("campaign", KEY),
    *(column(f"more_{name}", BigInteger) for name in _SUMS),
)


def _move_counts(dialect: SqlDialect) -> Update:
    moved = dialect.given("moved", _MOVED).c
    values = {name: cells.c[name] + moved[f"more_{name}"] for name in _COUNTS.values()}
    return update(cells).where(cells.c.id == moved.cell).values(values)


def _move_sums(dialect: SqlDialect) -> Update:
    summed = dialect.given("summed", _SUMMED).c
    values = {name: campaigns.c[name] + summed[f"more_{name}"] for name in _SUMS}
    return update(campaigns).where(campaigns.c.campaign_id == summed.campaign).values(values)
