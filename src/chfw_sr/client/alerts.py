"""A subscription to a User's alerts.

The rules:

- An alert is read ahead, checked, and kept in memory; it stays the bus's. It is acknowledged when the caller is done
  with it: when it asks for the next one, or leaves the block without an error. What was not done comes again.
- That the caller is done is written down before it is acknowledged. So a repeat, which the contract allows, is known as
  one, also after a restart, and is not shown to the caller again.
- The same id with other octets is never a repeat: it is set aside, and the caller gets `ContradictoryAlert`.
- What cannot be believed is set aside in the journal and acknowledged, so that it does not hold up the others. It is
  looked at again when the next subscription is opened: a certificate that was missing may be there by then.
- A lost connection costs nothing: what was read ahead is still shown, and what comes again of it is known.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from chfw_sr.messages import Rejected
from chfw_sr.unavailable import Unavailable

from .errors import AlertsWaiting, ClientStopped, ContradictoryAlert
from .journal import Journal
from .reading import Reader, ReceivedAlert
from .transport import Arrival, Inbound, Source

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.2
"""After the bus was unavailable; a transport that connects paces itself besides."""

READ_AT_ONCE = 100


class Subscriber(Protocol):
    """What a subscription needs of its client."""

    @property
    def journal(self) -> Journal:
        """The memory."""
        ...

    @property
    def reader(self) -> Reader:
        """Reads alerts."""
        ...

    def clock(self) -> datetime:
        """Give the present."""
        ...

    def subscribed(self, subscription: "AlertSubscription | None") -> None:
        """Note which subscription is open."""
        ...

    async def notice_outcome(self, alert: ReceivedAlert) -> None:
        """Write an outcome alert down beside its request."""
        ...

    async def put_aside(self, inbound: Inbound, octets: bytes, reason: str) -> None:
        """Keep a message that cannot be believed."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An alert that was read ahead; either it lies with the bus, or it was set aside before."""

    alert: ReceivedAlert
    arrival: Arrival | None
    aside_id: int | None = None


class AlertSubscription:
    """Alerts, one by one or in batches:

        async with client.alerts() as alerts:
            async for alert in alerts:
                ...  # done with it when the loop comes round

    Made by `Client.alerts`.

    Args:
        client: whose alerts.
        source: where they come from.
        ahead: how many may be read ahead.
    """  # noqa: D415 - an example, not a sentence

    def __init__(self, client: Subscriber, source: Source, ahead: int) -> None:
        self._client = client
        self._source = source
        self._ahead = ahead
        self._waiting: deque[_Waiting] = deque()
        self._held: list[_Waiting] = []
        self._changed = asyncio.Event()
        self._caller: asyncio.Task[object] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._client.subscribed(self)
        for aside in await asyncio.to_thread(self._client.journal.set_aside, Inbound.ALERTS):
            try:
                alert = await asyncio.to_thread(self._client.reader.alert, aside.octets, self._client.clock())
            except Rejected:
                continue
            await self._add(_Waiting(alert, None, aside.id))
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self._finish()
        finally:
            self._client.subscribed(None)
            if self._reading is not None:
                self._reading.cancel()
                await asyncio.gather(self._reading, return_exceptions=True)
            await self._source.close()

    def __aiter__(self) -> AsyncIterator[ReceivedAlert]:
        return self

    async def __anext__(self) -> ReceivedAlert:
        (alert,) = await self.take(1)
        return alert

    async def batches(self, limit: int) -> AsyncIterator[Sequence[ReceivedAlert]]:
        """Give alerts in batches, as they are there; all of one are done when the next is asked for.

        Args:
            limit: alerts in one, at most.
        """
        while True:
            yield await self.take(limit)

    async def take(self, limit: int) -> Sequence[ReceivedAlert]:
        """Finish with what was taken before, wait for an alert, and take what is there.

        Args:
            limit: how many, at most.

        Raises:
            ContradictoryAlert: see the class; the subscription can go on.
            ClientStopped: if the subscription is not open, or has met a defect.
        """
        self._caller = asyncio.current_task()
        await self._finish()
        while True:
            while not self._waiting:
                self._check_reading()
                self._changed.clear()
                await self._changed.wait()
            taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
            if fresh := await self._fresh(taken):
                return [each.alert for each in fresh]

    async def until_woken(self, woken: "asyncio.Future[None]") -> None:
        """Wait for an outcome alert, unless whoever waits for it is in its way.

        Args:
            woken: has a result once it is there.

        Raises:
            AlertsWaiting: if the task that waits is the one that took alerts and is not done with them, and no more can
                be read ahead.
        """
        while not woken.done():
            if self._held and self._is_full() and asyncio.current_task() is self._caller:
                raise AlertsWaiting(
                    f"{self._ahead} alerts wait for the task that waits: be done with them first, or read more ahead"
                )
            self._changed.clear()
            changed = asyncio.ensure_future(self._changed.wait())
            either: set[asyncio.Future[Any]] = {woken, changed}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()

    # ------------------------------------------------------------------------------------------- the caller's side

    async def _fresh(self, taken: Sequence[_Waiting]) -> Sequence[_Waiting]:
        """Hold those that the caller has not seen; finish with repeats; refuse what contradicts."""
        told = await asyncio.to_thread(self._client.journal.told, [each.alert.id for each in taken])
        known = dict(told)
        for position, each in enumerate(taken):
            name, digest = str(each.alert.id), each.alert.digest
            if name not in known:
                known[name] = digest
                self._held.append(each)
            elif known[name] == digest:
                await self._settle([each])
            else:
                self._waiting.extendleft(reversed([*self._held, *taken[position + 1 :]]))
                self._held.clear()
                await self._contradiction(each)
        return self._held

    async def _contradiction(self, each: _Waiting) -> None:
        error = ContradictoryAlert(each.alert.id, each.alert.octets)
        await self._client.put_aside(Inbound.ALERTS, each.alert.octets, str(error))
        if each.arrival is not None:
            await self._acknowledge([each.arrival])
        raise error

    async def _finish(self) -> None:
        """Write down that the caller is done with what it holds, then acknowledge it."""
        if self._held:
            done = [(each.alert.id, each.alert.digest) for each in self._held]
            await asyncio.to_thread(self._client.journal.tell, done)
            held, self._held = self._held, []
            await self._settle(held)

    async def _settle(self, done: Sequence[_Waiting]) -> None:
        for each in done:
            if each.aside_id is not None:
                await asyncio.to_thread(self._client.journal.drop_aside, each.aside_id)
        await self._acknowledge([each.arrival for each in done if each.arrival is not None])

    async def _acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        if arrivals:
            try:
                await self._source.acknowledge(arrivals)
            except Unavailable as error:
                logger.info("alerts: %s; what comes again is known", error)

    # ------------------------------------------------------------------------------------------- reading ahead

    async def _read(self) -> None:
        while True:
            try:
                arrivals = await self._source.receive(READ_AT_ONCE)
            except Unavailable as error:
                logger.warning("alerts: %s", error)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            for arrival in arrivals:
                await self._look_at(arrival)

    async def _look_at(self, arrival: Arrival) -> None:
        try:
            alert = await asyncio.to_thread(self._client.reader.alert, arrival.octets, self._client.clock())
        except Rejected as rejection:
            await self._client.put_aside(Inbound.ALERTS, arrival.octets, rejection.reason)
            await self._acknowledge([arrival])
            return
        await self._add(_Waiting(alert, arrival))

    async def _add(self, waiting: _Waiting) -> None:
        await self._client.notice_outcome(waiting.alert)
        self._waiting.append(waiting)
        self._changed.set()

    def _is_full(self) -> bool:
        return sum(each.arrival is not None for each in (*self._waiting, *self._held)) >= self._ahead

    def _check_reading(self) -> None:
        if self._reading is None:
            raise ClientStopped("the subscription is not open: use it as `async with`")
        if self._reading.done():
            error = None if self._reading.cancelled() else self._reading.exception()
            raise ClientStopped("the subscription has ended") from error
