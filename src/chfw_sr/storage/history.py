"""The history: who changed what, when, and because of which request. Rows are only ever added."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, Text, literal
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.messages import EUI, CampaignID
from chfw_sr.service.ports import Cause

from .columns import DETAIL, Instant
from .dialects import SqlDialect
from .tables import history


def entry(
    kind: str,
    cause: Cause,
    *,
    campaign_id: CampaignID | None = None,
    user: EUI | None = None,
    hub: EUI | None = None,
    detail: Mapping[str, str | None],
) -> dict[str, Any]:
    """Make one row; details that are None are left out."""
    return {
        "at": cause.at,
        "kind": kind,
        "campaign_id": campaign_id,
        "user_eui": user,
        "hub": hub,
        "request_id": _request_id(cause),
        "detail": {name: value for name, value in detail.items() if value is not None},
    }


async def record(connection: AsyncConnection, dialect: SqlDialect, entries: Sequence[dict[str, Any]]) -> None:
    """Write rows, in order."""
    await dialect.bulk_insert(connection, history, entries)


async def record_hubs(connection: AsyncConnection, kind: str, cause: Cause, query: Select[Any]) -> int:
    """Write a row for each hub that a query finds, in its order, without fetching them; give how many there were.

    Args:
        connection: in a transaction.
        kind: of all rows.
        cause: of all rows.
        query: gives campaign, User, hub and, if there is any, detail.
    """
    names = ["campaign_id", "user_eui", "hub", "detail"]
    if len(query.selected_columns) < len(names):
        query = query.add_columns(literal({}, DETAIL))
    query = query.add_columns(literal(cause.at, Instant), literal(kind, Text), literal(_request_id(cause), Text))
    statement = history.insert().from_select([*names, "at", "kind", "request_id"], query)
    return (await connection.execute(statement)).rowcount


def _request_id(cause: Cause) -> str | None:
    return None if cause.request_id is None else str(cause.request_id)
