"""Writes what is pending: the last state of everything, in a few statements whatever the number of requests."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Delete, Integer, Update, bindparam, column, delete, literal, select, true, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.messages import Phase

from .activations import moving_counts, setting_outcomes, updating_inventory
from .allotment import PREFIXES
from .changes import saving_participations
from .columns import KEY
from .dialects import Modification, Rows, SqlDialect, Upsert
from .lines import ACTIVATION, LINE
from .mapping import campaign_values
from .tables import activations, campaign_hubs, campaigns, history
from .workspace import HubRow, Pending

_ROW = (column("campaign_id", KEY), column("hub", KEY))
_NOMINATION = (*_ROW, column("nominated_by", KEY), column("nominated_position", Integer))

_SUMS = {f"{prefix}_{name}" for prefix in PREFIXES.values() for name in ("devices", "activated", "failed")}


async def write(connection: AsyncConnection, dialect: SqlDialect, pending: Pending, more: Sequence[Rows] = ()) -> None:
    """Write everything, as one: but for what is written to a row twice.

    Args:
        connection: in a transaction.
        dialect: its dialect.
        pending: what to write; it stays as it is.
        more: rows to be added beside.
    """
    if pending.campaigns:
        values = [_renamed(campaign_values(each)) for _, each in sorted(pending.campaigns.items())]
        await connection.execute(dialect.once(_save_campaigns), values)
    gone, outcomes = _deleting(dialect, pending.gone), setting_outcomes(dialect, pending.outcomes)
    before, after = pending.some_begin_anew, pending.some_have_more
    if before:
        await dialect.change(connection, [gone], ())
    changes = (
        _deleting(dialect, ()) if before else gone,
        saving_participations(dialect, [each for _, each in sorted(pending.participations.items())]),
        *_nominating(dialect, pending),
        updating_inventory(dialect, pending.inventory),
        *moving_counts(dialect, pending.counts, pending.sums),
        setting_outcomes(dialect, {}) if after else outcomes,
    )
    added = [(activations, ACTIVATION, pending.activations), (history, LINE, pending.history)]
    await dialect.change(connection, changes, [*added, *more])
    if after:
        await dialect.change(connection, [outcomes], ())


def _deleting(dialect: SqlDialect, rows: Iterable[HubRow]) -> Modification:
    gone = sorted(rows)
    return Modification(_delete_rows, dialect.giving("gone", _ROW, gone), is_made=bool(gone))


def _nominating(dialect: SqlDialect, pending: Pending) -> Iterator[Modification]:
    withdrawn = dialect.giving("withdrawn", _ROW, sorted(pending.withdrawn))
    yield Modification(_withdraw, withdrawn, is_made=bool(pending.withdrawn))
    data = [(*row, *nominated) for row, nominated in sorted(pending.nominated.items(), key=_row)]
    yield Modification(_nominate, dialect.giving("nominated", _NOMINATION, data), is_made=bool(data))


def _row(item: tuple[Any, Any]) -> Any:
    return item[0]


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """Name parameters apart from columns, which an UPDATE takes for its own."""
    return {f"new_{name}": value for name, value in values.items()}


def _save_campaigns(_dialect: SqlDialect) -> Update:
    """Save all but the name, which other tables hold to, and the sums, which results move."""
    saved = set(campaigns.c.keys()) - _SUMS - {"campaign_id"}
    known = update(campaigns).where(campaigns.c.campaign_id == bindparam("new_campaign_id"))
    return known.values({name: bindparam(f"new_{name}", type_=campaigns.c[name].type) for name in sorted(saved)})


def _own(rows: Any) -> Any:
    row = campaign_hubs.c
    named = select(rows.c.campaign_id, rows.c.hub)
    return (row.phase == Phase.PILOT.value) & tuple_(row.campaign_id, row.hub).in_(named)


def _delete_rows(dialect: SqlDialect) -> Delete:
    return delete(campaign_hubs).where(_own(dialect.given("gone", _ROW)))


def _withdraw(dialect: SqlDialect) -> Update:
    nobody = {"nominated_by": None, "nominated_position": None}
    return update(campaign_hubs).where(_own(dialect.given("withdrawn", _ROW))).values(nobody)


def _nominate(dialect: SqlDialect) -> Upsert:
    new = dialect.given("nominated", _NOMINATION)
    values = select(new.c.campaign_id, literal(Phase.PILOT.value, KEY), new.c.hub, *_values(new), true())
    columns = ["campaign_id", "phase", "hub", "nominated_by", "nominated_position", "held"]
    statement = dialect.insert(campaign_hubs).from_select(columns, values.where(true()))
    return statement.on_conflict_do_update(
        index_elements=["campaign_id", "phase", "hub"],
        set_={name: statement.excluded[name] for name in ("nominated_by", "nominated_position", "held")},
    )


def _values(new: Any) -> Iterable[Any]:
    return new.c.nominated_by, new.c.nominated_position
