"""The subscriber: every alert into the table, then acknowledged."""

from collections.abc import AsyncGenerator

from chfw_sr.client import Client

from .table import HubTable

AT_ONCE = 500
"""Alerts in one transaction, at most."""


async def subscribe(client: Client, table: HubTable) -> AsyncGenerator[int, None]:
    """Put every alert into the table, for ever; gives how many rows a batch had, before it is acknowledged.

    The table is written first, so that a crash in between brings a batch again, which changes nothing.

    Args:
        client: the User's, running.
        table: where to.
    """
    async with client.alerts() as alerts:
        async for batch in alerts.batches(AT_ONCE):
            yield table.put(batch)
