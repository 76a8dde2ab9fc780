"""What a simulation plays against: a service in this process, in simulated or real time, or one behind RabbitMQ."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

from chfw_sr.bootstrap import build_clockwork, build_processor, build_relay, load_signer
from chfw_sr.bootstrap.buses import server_of
from chfw_sr.client import Inbound, Unavailable
from chfw_sr.client.rabbitmq import RabbitTransport
from chfw_sr.messages import EUI, Alert, AlertCode, RequestID, ServiceRequest
from chfw_sr.service.ports import Clock, Delivery, MessageKind, OutboxMessage, PublishResult, Store
from chfw_sr.service.replay import ManualClock
from chfw_sr.settings import Settings
from chfw_sr.wire import Signer, read_alert, read_response, write_request

from .behaviour import Plan

HEEDED = frozenset({AlertCode.N901, AlertCode.N905, AlertCode.N906, AlertCode.N907})
"""Alerts that somebody in a simulation does something about; the others are counted."""

LOOK_SECONDS = 0.25
"""How often a real clock is looked at."""


class Tally:
    """What has been sent and told so far.

    Attributes:
        requests: by SRV.
        codes: of responses, by SRV and response code.
        alerts: by code.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.codes: Counter[tuple[str, str]] = Counter()
        self.alerts: Counter[str] = Counter()


class Site(Protocol):
    """A service that a simulation plays against."""

    tally: Tally

    async def until(self, at: datetime | None) -> datetime:
        """Wait until an instant, or until something may have happened before; None waits for whatever comes next.

        Returns:
            The present.
        """
        ...

    async def send(self, plans: Sequence[Plan]) -> None:
        """Sign and send Service Requests, in order."""
        ...

    def heard(self) -> list[Alert]:
        """Give the alerts that somebody may heed, since the last call."""
        ...

    async def idle(self) -> bool:
        """Say whether nothing more will come by itself."""
        ...


class _Pens:
    """Signs for everybody, with counters that never repeat.

    Args:
        dcc: target of every request.
        signers: a key for each User.
        first: the first counter.
    """

    def __init__(self, dcc: EUI, signers: dict[EUI, Signer], first: int) -> None:
        self._dcc = dcc
        self._signers = signers
        self._counters: dict[EUI, itertools.count[int]] = {eui: itertools.count(first) for eui in signers}

    def write(self, plan: Plan) -> tuple[RequestID, bytes]:
        counter = next(self._counters[plan.sender])
        request_id = RequestID(originator=plan.sender, target=self._dcc, counter=counter)
        return request_id, write_request(
            ServiceRequest(request_id=request_id, body=plan.body), self._signers[plan.sender]
        )


class EmbeddedSite:
    """The whole service in this process; messages reach the simulation when the relay publishes them.

    Args:
        settings: as for the running service.
        store: an open store, with Users and hubs in it.
        signers: a key for each User.
        clock: one to be run, or the machine's.
    """

    def __init__(self, settings: Settings, store: Store, signers: dict[EUI, Signer], clock: Clock) -> None:
        self.tally = Tally()
        self._store = store
        self._clock = clock
        self._pens = _Pens(settings.dcc_eui, signers, 1)
        signer = load_signer(settings)
        self._processor = build_processor(settings, store, signer, clock)
        self._clockwork = build_clockwork(settings, store, signer, clock)
        self._relay = build_relay(settings, store, self, clock)
        self._heard: list[Alert] = []

    async def until(self, at: datetime | None) -> datetime:
        """Run the clock to an instant, or to the next clock-driven step before it; tick, and publish."""
        if isinstance(self._clock, ManualClock):
            due = await self._store.next_due()
            self._clock.set(min((each for each in (at, due) if each is not None), default=self._clock.now()))
        else:
            waiting = LOOK_SECONDS if at is None else (at - self._clock.now()).total_seconds()
            await asyncio.sleep(min(LOOK_SECONDS, max(0.0, waiting)))
        await self._clockwork.tick()
        await self._relay.drain()
        return self._clock.now()

    async def send(self, plans: Sequence[Plan]) -> None:
        """Process Service Requests as one batch, and publish what comes of them."""
        if not plans:
            return
        deliveries = [Delivery(self._pens.write(plan)[1], tag) for tag, plan in enumerate(plans)]
        outcomes = await self._processor.process(deliveries)
        for plan, outcome in zip(plans, outcomes, strict=True):
            self.tally.requests[plan.body.srv] += 1
            self.tally.codes[plan.body.srv, outcome.code] += 1
        await self._relay.drain()

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        """Take what the relay publishes: the site is its own bus."""
        for message in messages:
            if message.kind is MessageKind.ALERT:
                self.tally.alerts[message.type] += 1
                if message.type in HEEDED:
                    self._heard.append(read_alert(message.octets)[0])
        return [PublishResult.CONFIRMED] * len(messages)

    def heard(self) -> list[Alert]:
        """Give the alerts that somebody may heed, since the last call."""
        heard, self._heard = self._heard, []
        return heard

    async def idle(self) -> bool:
        """Say whether no clock-driven step is to come."""
        return await self._store.next_due() is None


class ServiceSite:
    """A service behind RabbitMQ, in real time; see `open_service`. Takes what is in the queues of its Users.

    Args:
        settings: where RabbitMQ is.
        signers: a key for each User.
    """

    def __init__(self, settings: Settings, signers: dict[EUI, Signer]) -> None:
        self.tally = Tally()
        server = server_of(settings, "chfw-sr simulate")
        self._transports = {eui: RabbitTransport(server, eui) for eui in signers}
        self._pens = _Pens(settings.dcc_eui, signers, int(datetime.now(UTC).timestamp() * 1e6))
        self._heard: list[Alert] = []

    async def until(self, at: datetime | None) -> datetime:
        """Wait for the machine's clock."""
        waiting = LOOK_SECONDS if at is None else (at - datetime.now(UTC)).total_seconds()
        await asyncio.sleep(min(LOOK_SECONDS, max(0.0, waiting)))
        return datetime.now(UTC)

    async def send(self, plans: Sequence[Plan]) -> None:
        """Send Service Requests and wait until RabbitMQ has them."""
        for plan in plans:
            request_id, octets = self._pens.write(plan)
            await self._transports[plan.sender].send(octets, request_id, plan.body.srv)
            self.tally.requests[plan.body.srv] += 1

    def heard(self) -> list[Alert]:
        """Give the alerts that somebody may heed, since the last call."""
        heard, self._heard = self._heard, []
        return heard

    async def idle(self) -> bool:
        """Nobody knows what a service behind a queue will do next."""
        return False

    async def listen(self, user: EUI, inbound: Inbound) -> None:
        """Take what comes to a User, until cancelled."""
        source = self._transports[user].source(inbound, 1000)
        try:
            while True:
                arrivals = await source.receive(1000)
                for arrival in arrivals:
                    self._take(inbound, arrival.octets)
                await source.acknowledge(arrivals)
        except Unavailable:
            await source.close()
            raise

    def _take(self, inbound: Inbound, octets: bytes) -> None:
        if inbound is Inbound.RESPONSES:
            response = read_response(octets)
            self.tally.codes[str(response.srv), response.code] += 1
            return
        alert, _, _ = read_alert(octets)
        self.tally.alerts[alert.code] += 1
        if alert.code in HEEDED:
            self._heard.append(alert)

    async def close(self) -> None:
        """Hang up."""
        for transport in self._transports.values():
            await transport.close()


@asynccontextmanager
async def open_service(settings: Settings, signers: dict[EUI, Signer]) -> AsyncIterator[ServiceSite]:
    """Connect to a service, as all Users of a simulation at once.

    Args:
        settings: where RabbitMQ is.
        signers: a key for each User; the Users are registered with the service, and their queues are there.

    Raises:
        SettingsError: if RabbitMQ is not set.
        Unavailable: if it is away, at the beginning or later.
    """
    site = ServiceSite(settings, signers)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(site.listen(eui, inbound)) for eui in signers for inbound in Inbound]
            yield site
            for task in tasks:
                task.cancel()
    except* Unavailable as errors:
        raise errors.exceptions[0] from None
    finally:
        await site.close()
