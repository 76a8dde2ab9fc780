"""Allotment: hubs get their windows, and cells count them (wire contract §3)."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    and_,
    case,
    column,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.changes import PilotAllotted
from chfw_sr.messages import ActivationResult, CampaignID, Phase
from chfw_sr.service.ports import Cause

from .columns import KEY
from .dialects import SqlDialect
from .history import record_hubs
from .tables import campaign_hubs, campaigns, cells, hubs

PARTIES = ("supplier", "electricity_distributor", "gas_transporter", "region")
"""What distinguishes the cells of one window."""

CELL_KEY = (*PARTIES, "window_id")
"""What distinguishes the cells of one phase of a campaign."""

NOBODY: ColumnElement[str] = literal_column("''")
"""What stands in a cell's key for "no such User"; spelt out, since a parameter is not the same twice in a GROUP BY."""

PREFIXES: Mapping[Phase, str] = {Phase.PILOT: "pilot", Phase.SAFE_LAUNCH: "safe_launch"}
"""How the columns of a phase begin in the table of campaigns."""


async def allot_pilot(connection: AsyncConnection, dialect: SqlDialect, change: PilotAllotted, cause: Cause) -> None:
    """Give the hubs of the lots their windows and let every other hub of the plan go, in a few statements."""
    columns = [
        campaign_hubs.c.hub,
        cells.c.supplier,
        cells.c.window_id,
        cells.c.starts_at,
        cells.c.ends_at,
        column("position", Integer),
    ]
    places: dict[str, int] = {}
    data = []
    for lot in change.lots:
        first = places.get(lot.supplier, 0)
        places[lot.supplier] = first + len(lot.hubs)
        window = lot.window
        data += [
            (hub, lot.supplier, window.window_id, window.start, window.end, position)
            for position, hub in enumerate(lot.hubs, first)
        ]
    lots = dialect.rows("lots", columns, data)
    row = campaign_hubs.c
    in_pilot = and_(row.campaign_id == change.campaign_id, row.phase == Phase.PILOT.value)
    key: dict[str, ColumnElement[Any]] = {
        "supplier": lots.c.supplier,
        "electricity_distributor": func.coalesce(hubs.c.electricity_distributor, NOBODY),
        "gas_transporter": func.coalesce(hubs.c.gas_transporter, NOBODY),
        "region": hubs.c.region,
        "window_id": lots.c.window_id,
    }
    outcome = select(row.outcome).where(in_pilot, row.hub == lots.c.hub).scalar_subquery().label("outcome")
    hubs_of_lots = (
        select(*(value.label(name) for name, value in key.items()), lots.c.starts_at, lots.c.ends_at, outcome)
        .join_from(lots, hubs, hubs.c.eui == lots.c.hub)
        .subquery("hubs_of_lots")
    )
    distinct = [hubs_of_lots.c[name] for name in (*CELL_KEY, "starts_at", "ends_at")]
    counted = select(
        *distinct,
        func.count().label("devices"),
        *(
            func.sum(case((hubs_of_lots.c.outcome == result.value, 1), else_=0)).label(name)
            for name, result in (("activated", ActivationResult.SUCCESS), ("failed", ActivationResult.FAILURE))
        ),
    ).group_by(*distinct)
    await add_cells(connection, dialect, change.campaign_id, Phase.PILOT, counted)
    cell = find_cell(change.campaign_id, Phase.PILOT, key)
    fixed = (literal(change.campaign_id, KEY), literal(Phase.PILOT.value, KEY))
    placed = select(*fixed, lots.c.hub, cell, lots.c.position, true()).join_from(lots, hubs, hubs.c.eui == lots.c.hub)
    statement = dialect.insert(campaign_hubs).from_select(
        ["campaign_id", "phase", "hub", "cell_id", "position", "held"], placed.where(true())
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign_id", "phase", "hub"],
            set_={name: statement.excluded[name] for name in ("cell_id", "position", "held")},
        )
    )
    await connection.execute(update(campaign_hubs).where(in_pilot, row.cell_id.is_(None)).values(held=False))
    await add_up(connection, change.campaign_id, Phase.PILOT)
    await write_allotted(connection, dialect, change.campaign_id, Phase.PILOT, cause)
    let_go = select(row.campaign_id, null(), row.hub).where(in_pilot, row.cell_id.is_(None)).order_by(row.hub)
    await record_hubs(connection, "LetGo", cause, let_go)


async def add_cells(
    connection: AsyncConnection, dialect: SqlDialect, campaign_id: CampaignID, phase: Phase, counted: Select[Any]
) -> None:
    """Find or create cells, and add to their counts.

    Args:
        connection: in a transaction.
        dialect: its dialect.
        campaign_id: whose cells.
        phase: of which phase.
        counted: gives `CELL_KEY`, `starts_at`, `ends_at`, `devices`, `activated` and `failed`.
    """
    new = counted.subquery("counted")
    sums = ("devices", "activated", "failed")
    names = (*CELL_KEY, "starts_at", "ends_at", *sums)
    values = select(literal(campaign_id, KEY), literal(phase.value, KEY), *(new.c[name] for name in names))
    ordered = values.where(true()).order_by(*(new.c[name] for name in CELL_KEY))
    statement = dialect.insert(cells).from_select(["campaign_id", "phase", *names], ordered)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign_id", "phase", *CELL_KEY],
            set_={name: cells.c[name] + statement.excluded[name] for name in sums},
        )
    )


def find_cell(campaign_id: CampaignID, phase: Phase, key: Mapping[str, ColumnElement[Any]]) -> ScalarSelect[int]:
    """Give the id of a cell, as part of a statement that knows the values of `CELL_KEY`."""
    return (
        select(cells.c.id)
        .where(cells.c.campaign_id == campaign_id, cells.c.phase == phase.value)
        .where(*(cells.c[name] == key[name] for name in CELL_KEY))
        .scalar_subquery()
    )


async def add_up(connection: AsyncConnection, campaign_id: CampaignID, phase: Phase) -> None:
    """Note the sums over the cells of a phase in the campaign's row."""
    own = and_(cells.c.campaign_id == campaign_id, cells.c.phase == phase.value)
    sums = {
        f"{PREFIXES[phase]}_{name}": select(func.coalesce(func.sum(cells.c[name]), 0)).where(own).scalar_subquery()
        for name in ("devices", "activated", "failed")
    }
    await connection.execute(update(campaigns).where(campaigns.c.campaign_id == campaign_id).values(sums))


async def write_allotted(
    connection: AsyncConnection, dialect: SqlDialect, campaign_id: CampaignID, phase: Phase, cause: Cause
) -> None:
    """Write the history of all hubs that have a window in a phase."""
    row = campaign_hubs.c
    detail = dialect.json_object(phase=literal(phase.value, KEY), window=cells.c.window_id.cast(KEY))
    query = (
        select(row.campaign_id, func.nullif(cells.c.supplier, NOBODY), row.hub, detail)
        .join_from(campaign_hubs, cells, cells.c.id == row.cell_id)
        .where(row.campaign_id == campaign_id, row.phase == phase.value)
        .order_by(row.hub)
    )
    await record_hubs(connection, "Allotted", cause, query)
