"""For an adapter's own tests: the whole processor in this process, and a transport to it. No server, no files.

    async with EmbeddedService() as service:
        user = await service.register("Alpha Energy", alpha, {Role.IS})
        await service.stock(hubs)
        async with Client(**service.for_user(user), journal=Journal(":memory:")) as client:
            ...

This module alone of `chfw_sr.client` imports the service.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self, TypedDict

from cryptography import x509

from chfw_sr import bootstrap
from chfw_sr.broker.memory import InProcessBus, QueuedMessage
from chfw_sr.broker.names import alerts_queue, responses_queue
from chfw_sr.campaign.model import Hub, User
from chfw_sr.messages import EUI, SRV, Region, RequestID, Role
from chfw_sr.service import consuming, loops
from chfw_sr.service.ports import UserRecord
from chfw_sr.service.replay import ManualClock
from chfw_sr.settings import Settings
from chfw_sr.storage.memory import MemoryStore
from chfw_sr.unavailable import Unavailable
from chfw_sr.wire import Signer, TrustedCertificate, TrustStore
from chfw_sr.wire.pki import issue, make_authority

from .reading import trust_in
from .transport import Arrival, Inbound

__all__ = ["EmbeddedService", "InProcessSource", "InProcessTransport", "Party"]

IDLE_SECONDS = 0.05
"""How often the embedded relay looks for what nobody announced."""

_YEAR = timedelta(days=365)


class InProcessSource:
    """One queue of an `InProcessBus`, being consumed; a `Source`."""

    def __init__(self, bus: InProcessBus, queue: str, prefetch: int) -> None:
        if prefetch < 1:
            raise ValueError(f"a prefetch is at least 1: {prefetch}")
        self._bus = bus
        self._queue = queue
        self._prefetch = prefetch
        self._tags = itertools.count(1)
        self._held: dict[int, QueuedMessage] = {}
        self._taking: asyncio.Task[Sequence[Arrival]] | None = None
        self._changed = asyncio.Event()
        self._closed = False

    async def receive(self, limit: int) -> Sequence[Arrival]:
        """Wait for at least one message, then take what is there, at most `limit`."""
        while len(self._held) >= self._prefetch and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        self._check_open()
        self._taking = asyncio.ensure_future(self._take(limit))
        try:
            return await self._taking
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise Unavailable("the source is closed") from None
            raise

    async def _take(self, limit: int) -> Sequence[Arrival]:
        """Wait, take and hold without a break in between: whatever happens, a message is the queue's or held."""
        try:
            messages = await self._bus.wait_for(self._queue, min(limit, self._prefetch - len(self._held)))
        except KeyError:
            raise Unavailable(f"there is no queue {self._queue}") from None
        arrivals = [Arrival(each.octets, next(self._tags), each.message_id) for each in messages]
        self._held |= {arrival.tag: each for arrival, each in zip(arrivals, messages, strict=True)}
        return arrivals

    async def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Say that these are done."""
        self._check_open()
        for arrival in arrivals:
            if self._held.pop(arrival.tag, None) is None:
                raise Unavailable("not held by this source")
        self._changed.set()

    async def close(self) -> None:
        """Give back everything that is not acknowledged."""
        self._closed = True
        self._changed.set()
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait({self._taking})
        held, self._held = list(self._held.values()), {}
        try:
            await self._bus.give_back(self._queue, held)
        except KeyError:  # the queue is gone, and what lay in it
            return

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the source is closed")


class InProcessTransport:
    """The way to an `InProcessBus`; a `Transport`.

    Args:
        bus: the User's queues are declared on it.
        user: whose queues are consumed.
    """

    def __init__(self, bus: InProcessBus, user: EUI) -> None:
        self._bus = bus
        self._user = user

    async def send(self, octets: bytes, request_id: RequestID, srv: SRV | str) -> None:
        """Put a request into the queue."""
        await self._bus.send(octets, routing_key=str(srv), message_id=str(request_id))

    def source(self, inbound: Inbound, prefetch: int) -> InProcessSource:
        """Begin to consume one of the User's queues."""
        queue = (responses_queue if inbound is Inbound.RESPONSES else alerts_queue)(self._user)
        return InProcessSource(self._bus, queue, prefetch)

    async def close(self) -> None:
        """Do nothing: there is nothing to hang up."""


@dataclass(frozen=True, slots=True)
class Party:
    """A User of an `EmbeddedService`, with the key that it signs with."""

    eui: EUI
    signer: Signer
    certificate: x509.Certificate


class ForUser(TypedDict):
    """The arguments of a `Client` that an `EmbeddedService` knows."""

    user: EUI
    dcc: EUI
    signer: Signer
    trust: TrustStore
    transport: InProcessTransport


class EmbeddedService:
    """The processor, its store and its bus in this process; runs inside the block.

    Args:
        clock: the time of day, to be moved by `advance`; the machine's clock rules if None.
        settings: of the service; the defaults if absent. Database and keys in them mean nothing here.
    """

    def __init__(self, *, clock: ManualClock | None = None, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.clock = clock
        self.bus = InProcessBus()
        self.store = MemoryStore()
        self._time = clock or bootstrap.SystemClock()
        self._authority = make_authority("chfw-sr embedded authority")
        self._dcc = self._party(self.dcc, "DCC")
        self._records: dict[EUI, UserRecord] = {}
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._consumer = self.bus.consumer()
        self._clockwork = bootstrap.build_clockwork(self.settings, self.store, self._dcc.signer, self._time)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def dcc(self) -> EUI:
        """The DCC's EUI."""
        return self.settings.dcc_eui

    @property
    def trust(self) -> TrustStore:
        """What a client must trust."""
        return trust_in(self.dcc, [self._dcc.certificate])

    async def __aenter__(self) -> Self:
        processor = bootstrap.build_processor(self.settings, self.store, self._dcc.signer, self._time)
        relay = bootstrap.build_relay(self.settings, self.store, self.bus.publisher(), self._time)
        work = (
            consuming.consume(
                self._consumer, processor, batch=100, wait_seconds=0.0, stop=self._stop, done=self._wake.set
            ),
            loops.relay(relay, wake=self._wake, idle_seconds=IDLE_SECONDS, stop=self._stop),
            loops.tick(self._clockwork, every_seconds=IDLE_SECONDS, stop=self._stop, done=self._wake.set),
        )
        self._tasks = [asyncio.create_task(each) for each in work]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)
        await self._consumer.close()

    async def register(self, name: str, eui: EUI, roles: Collection[Role], regions: Collection[Region] = ()) -> Party:
        """Register a User, with a new key and certificate and the queues that keep what it is told."""
        party = self._party(eui, name)
        user = User(eui, name, frozenset(roles), regions=frozenset(regions))
        self._records[eui] = UserRecord(user, (TrustedCertificate(party.certificate, eui),))
        await self.store.register.save_users([self._records[eui]], self._time.now())
        self.bus.declare_user(eui)
        return party

    async def stock(self, hubs: Sequence[Hub]) -> None:
        """Put hubs into the inventory."""

        async def chunks() -> AsyncIterator[Sequence[Hub]]:
            yield hubs

        await self.store.register.import_hubs(chunks(), self._time.now())

    async def advance(self, to: datetime) -> None:
        """Move the clock on, and take the steps that fall due until then.

        Raises:
            ValueError: if this service goes by the machine's clock.
        """
        if self.clock is None:
            raise ValueError("this service goes by the machine's clock")
        self.clock.set(to)
        while await self._clockwork.tick():
            self._wake.set()

    def transport(self, eui: EUI) -> InProcessTransport:
        """Give a User's way to this service."""
        return InProcessTransport(self.bus, eui)

    def for_user(self, party: Party) -> ForUser:
        """Give the arguments of a `Client` that this service knows; the journal is yours."""
        return {
            "user": party.eui,
            "dcc": self.dcc,
            "signer": party.signer,
            "trust": self.trust,
            "transport": self.transport(party.eui),
        }

    def _party(self, eui: EUI, name: str) -> Party:
        now = max(self._time.now(), datetime.now(UTC))
        begin = min(self._time.now(), datetime.now(UTC)) - _YEAR
        certificate, key = issue(self._authority, eui, name, begin, now + 10 * _YEAR)
        return Party(eui, Signer.of(key, certificate), certificate)
