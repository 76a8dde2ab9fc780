"""The relay: claim outbox rows → publish with confirms → mark.

A row is marked only after its confirm, so a relay that dies leaves rows whose lease runs out and which another relay
publishes again: the same octets under the same message id. What was not confirmed is given back, and the lane of its
recipient rests for a while: nothing overtakes it meanwhile. What was not even sent, because the bus was away, is given
back without a rest.
"""

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress

from .mailing import Digests
from .observer import Observer, Unobserved
from .ports import Clock, MessageKind, OutboxMessage, OutboxStatus, Publisher, PublishResult, Store, Unavailable

logger = logging.getLogger(__name__)

REST_SECONDS = 5.0
"""How long a recipient's lane rests after a message to it was not confirmed."""

_FINISHED = (OutboxStatus.PUBLISHED, OutboxStatus.UNROUTABLE)


class Relay:
    """Empties the outbox.

    Args:
        store: whose outbox.
        publisher: to where.
        clock: for leases.
        batch: messages in a claim, at most.
        claims: how many may be under way at once: while one is published, the next is claimed, of other lanes.
        lease_seconds: after which another relay may take over.
        digests: when activations become a mail: such a relay sends what goes by e-mail, any other what goes to the bus.
        rest_seconds: how long the lane of a message that was not confirmed rests.
        observer: is told of every message.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        store: Store,
        publisher: Publisher,
        clock: Clock,
        batch: int = 500,
        claims: int = 1,
        lease_seconds: float = 60.0,
        digests: Digests | None = None,
        rest_seconds: Callable[[OutboxMessage], float] = lambda _: REST_SECONDS,
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._batch = batch
        self._claims = claims
        self._under_way: set[asyncio.Task[None]] = set()
        self._lease_seconds = lease_seconds
        self._digests = digests
        self._rest_seconds = rest_seconds
        self._observer = observer or Unobserved()

    @property
    def batch(self) -> int:
        """Messages claimed at once, at most."""
        return self._batch

    async def step(self) -> int:
        """Claim one batch and see it published and marked; give how many messages were claimed.

        After a full batch, which others may follow, it only waits until there is room for another claim.

        Raises:
            Unavailable: if the store or the bus is down, or was for a claim that was under way.
        """
        token = uuid.uuid4().hex
        now = self._clock.now()
        mail = self._digests.patience(now) if self._digests else None
        claimed = await self._store.outbox.claim(token, self._batch, now, self._lease_seconds, mail=mail)
        is_full = len(claimed) == self._batch
        if claimed and (is_full or self._under_way):
            self._under_way.add(asyncio.create_task(self._deliver(token, claimed)))
        elif claimed:
            await self._deliver(token, claimed)
        await self._land(self._claims - 1 if is_full else 0)
        return len(claimed)

    async def finish(self) -> None:
        """Wait until no claim is under way, whatever becomes of it: what it does not mark comes again."""
        while self._under_way:
            with suppress(Unavailable):
                await self._land(0)

    async def _land(self, most: int) -> None:
        """Wait until no more claims than these are under way; raise what stopped one, a defect before all."""
        while len(self._under_way) > most:
            done, self._under_way = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            errors = [error for each in done if (error := each.exception())]
            if errors:
                raise min(errors, key=lambda error: isinstance(error, Unavailable))

    async def _deliver(self, token: str, claimed: Sequence[OutboxMessage]) -> None:
        """Publish a claim, then mark it: what was published first, for the lanes of the rest are given back."""
        results = await self._publish(token, claimed)
        now = self._clock.now()
        finished: dict[OutboxStatus, list[OutboxMessage]] = {status: [] for status in _FINISHED}
        again = defaultdict[float, list[OutboxMessage]](list)
        ages_seconds = defaultdict[tuple[MessageKind, str, PublishResult], list[float]](list)
        created_at, age_seconds = now, 0.0
        for message, result in zip(claimed, results, strict=True):
            if message.created_at is not created_at:  # all that a transaction put in have the same
                created_at = message.created_at
                age_seconds = (now - created_at).total_seconds()
            ages_seconds[message.kind, message.type, result].append(age_seconds)
            ending = OutboxStatus.PUBLISHED if result is PublishResult.CONFIRMED else _ending(message, result)
            (finished[ending] if ending in _FINISHED else again[self._rest_seconds(message)]).append(message)
        for (kind, code, result), ages in ages_seconds.items():
            self._observer.published(kind, code, result, ages)
        for ending, some in finished.items():
            if some:
                await self._store.outbox.mark(token, some, ending, now)
        for seconds, some in again.items():
            await self._store.outbox.mark(token, some, OutboxStatus.READY, now, rest_seconds=seconds)

    async def _publish(self, token: str, claimed: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        try:
            return await self._publisher.publish(claimed)
        except Unavailable:
            with suppress(Unavailable):  # the store may be away as well; then the claim runs out
                await self._store.outbox.mark(token, claimed, OutboxStatus.READY, self._clock.now())
            raise

    async def drain(self) -> int:
        """Publish until nothing is left to claim; give how many messages were claimed."""
        total = 0
        while count := await self.step():
            total += count
        return total


def _ending(message: OutboxMessage, result: PublishResult) -> OutboxStatus:
    """Say how far a message has come that was not confirmed."""
    if result is PublishResult.UNROUTABLE and message.kind is MessageKind.REPLY:
        logger.info("nobody waits at reply_to %s for %s any more", message.recipient, message.message_id)
        return OutboxStatus.UNROUTABLE
    if message.kind is not MessageKind.EMAIL:  # of which many make one mail, and whoever sent that has told it
        logger.warning("%s %s to %s: %s", message.kind, message.message_id, message.recipient, result)
    return OutboxStatus.READY
