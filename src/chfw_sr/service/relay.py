"""The relay: claim outbox rows → publish with confirms → mark.

A row is marked only after its confirm, so a relay that dies leaves rows whose lease runs out and which another relay
publishes again: the same octets under the same message id. What was not confirmed is given back, and the lane of its
recipient rests for a while: nothing overtakes it meanwhile. What was not even sent, because the bus was away, is given
back without a rest.
"""

import logging
import uuid
from collections.abc import Sequence
from contextlib import suppress

from .observer import Observer, Unobserved
from .ports import Clock, MessageKind, OutboxMessage, OutboxStatus, Publisher, PublishResult, Store, Unavailable

logger = logging.getLogger(__name__)

REST_SECONDS = 5.0
"""How long a recipient's lane rests after a message to it was not confirmed."""


class Relay:
    """Empties the outbox.

    Args:
        store: whose outbox.
        publisher: to where.
        clock: for leases.
        batch: messages claimed at once.
        lease_seconds: after which another relay may take over.
        observer: is told of every message.
    """

    def __init__(
        self,
        *,
        store: Store,
        publisher: Publisher,
        clock: Clock,
        batch: int = 500,
        lease_seconds: float = 60.0,
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._batch = batch
        self._lease_seconds = lease_seconds
        self._observer = observer or Unobserved()

    @property
    def batch(self) -> int:
        """Messages claimed at once, at most."""
        return self._batch

    async def step(self) -> int:
        """Claim one batch, publish it and mark it; give how many messages were claimed.

        Raises:
            Unavailable: if the store or the bus is down.
        """
        token = uuid.uuid4().hex
        claimed = await self._store.outbox.claim(token, self._batch, self._clock.now(), self._lease_seconds)
        if claimed:
            results = await self._publish(token, claimed)
            endings: dict[OutboxStatus, list[int]] = {status: [] for status in OutboxStatus}
            now = self._clock.now()
            for message, result in zip(claimed, results, strict=True):
                age_seconds = (now - message.created_at).total_seconds()
                self._observer.published(message.kind, message.type, result, age_seconds)
                endings[_ending(message, result)].append(message.id)
            for ending, ids in endings.items():
                if ids:
                    await self._store.outbox.mark(token, ids, ending, now, rest_seconds=REST_SECONDS)
        return len(claimed)

    async def _publish(self, token: str, claimed: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        try:
            return await self._publisher.publish(claimed)
        except Unavailable:
            with suppress(Unavailable):  # the store may be away as well; then the claim runs out
                ids = [message.id for message in claimed]
                await self._store.outbox.mark(token, ids, OutboxStatus.READY, self._clock.now())
            raise

    async def drain(self) -> int:
        """Publish until nothing is left to claim; give how many messages were claimed."""
        total = 0
        while count := await self.step():
            total += count
        return total


def _ending(message: OutboxMessage, result: PublishResult) -> OutboxStatus:
    """Say how far a message has come."""
    match result:
        case PublishResult.CONFIRMED:
            return OutboxStatus.PUBLISHED
        case PublishResult.UNROUTABLE if message.kind is MessageKind.REPLY:
            logger.info("nobody waits at reply_to %s for %s any more", message.recipient, message.message_id)
            return OutboxStatus.UNROUTABLE
        case _:
            logger.warning("%s %s to %s: %s", message.kind, message.message_id, message.recipient, result)
            return OutboxStatus.READY
