"""Asks RabbitMQ how much lies in the service's own queues."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from chfw_sr.broker.names import QUARANTINE, REQUESTS, UNROUTED
from chfw_sr.broker.topology import depths

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection

    from chfw_sr.broker.connection import Server


class QueueDepths:
    """Asks, on a connection that is made again where it was lost.

    Args:
        server: where.
    """

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._session = AsyncExitStack()
        self._connection: AbstractConnection | None = None

    async def look(self) -> Mapping[str, int]:
        """Tell how many messages lie ready in each queue; one that is not there is left out.

        Raises:
            Unavailable: if the server cannot be reached.
        """
        try:
            if self._connection is None:
                self._connection = await self._session.enter_async_context(self._server.session("probe"))
            return await depths(self._connection, (REQUESTS, QUARANTINE, UNROUTED))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Hang up."""
        self._connection = None
        await self._session.aclose()
