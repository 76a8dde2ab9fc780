"""The history: who changed what, when, and because of which request. Rows are only ever added."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, Text, literal
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.service.ports import Cause

from .columns import DETAIL, Instant
from .dialects import SqlDialect
from .lines import LINE, name_of
from .tables import history


async def record(connection: AsyncConnection, dialect: SqlDialect, lines: Sequence[tuple[Any, ...]]) -> None:
    """Write rows, in order; each has the columns `LINE`."""
    await dialect.load(connection, history, LINE, lines)


async def record_hubs(
    connection: AsyncConnection, kind: str, cause: Cause, query: Select[Any], given: Mapping[str, Any] | None = None
) -> int:
    """Write a row for each hub that a query finds, in its order, without fetching them; give how many there were.

    Args:
        connection: in a transaction.
        kind: of all rows.
        cause: of all rows.
        query: gives campaign, User, hub and, if there is any, detail.
        given: the query's parameters.
    """
    names = ["campaign_id", "user_eui", "hub", "detail"]
    if len(query.selected_columns) < len(names):
        query = query.add_columns(literal({}, DETAIL))
    query = query.add_columns(literal(cause.at, Instant), literal(kind, Text), literal(name_of(cause), Text))
    statement = history.insert().from_select([*names, "at", "kind", "request_id"], query)
    return (await connection.execute(statement, given)).rowcount
