"""What a running process is made of: its loops, wired for its roles."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta

from chfw_sr.service import consuming, loops
from chfw_sr.service.heartbeat import Heartbeat
from chfw_sr.service.observer import Loop
from chfw_sr.service.ports import Clock
from chfw_sr.service.sole_clock import SoleClock
from chfw_sr.settings import Settings
from chfw_sr.storage.store import SqlStore
from chfw_sr.telemetry.metrics import PrometheusObserver
from chfw_sr.wire import Signer

from .buses import Bus, Roles
from .mailing import IDLE_SECONDS, build_mail
from .parts import SystemClock, build_clockwork, build_processor, build_relay
from .probing import Probe

PURGE_SECONDS = 60.0
PURGED_AT_ONCE = 1000
QUARANTINE_AT_ONCE = 100
"""Each may have megabytes."""

Jobs = dict[str, Coroutine[None, None, None]]
"""Loops that have not begun, by name."""


class Process:
    """The loops of one process.

    Args:
        settings: everything.
        roles: which loops it runs.
        store: the database.
        bus: where requests come from and messages go to.
        signer: the DCC's key.
        observer: is told of everything.
        holder: names the process, uniquely.
        clock: what time it is; the machine's clock if absent.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Roles,
        *,
        store: SqlStore,
        bus: Bus,
        signer: Signer,
        observer: PrometheusObserver,
        holder: str,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.settings = settings
        self.roles = roles
        self._store = store
        self._bus = bus
        self._clock = clock
        self._observer = observer
        self._wake = asyncio.Event()
        self._processor = build_processor(settings, store, signer, clock, observer)
        self._relay = build_relay(settings, store, bus.publisher, clock, observer)
        self.heartbeat = Heartbeat(
            store=store, signer=signer, dcc=settings.dcc_eui, clock=clock, every_seconds=settings.heartbeat_seconds
        )
        self.sole_clock = SoleClock(
            store=store,
            clockwork=build_clockwork(settings, store, signer, clock, observer),
            clock=clock,
            holder=holder,
            lease_seconds=settings.clock_lease_seconds,
            observer=observer,
        )
        self._mail = build_mail(settings, store, clock, observer) if roles.email else None
        mail_state = self._mail.publisher.look if self._mail else None
        self._probe = Probe(store=store, bus=bus, observer=observer, clock=clock, mail=mail_state)

    def makers(self, stop: asyncio.Event) -> Jobs:
        """Give the loops that make messages, and the chores."""
        jobs: Jobs = {Loop.PROBE: self._repeat(Loop.PROBE, self._probe.look, self.settings.probe_seconds, stop)}
        if self.roles.consumer or self.roles.clock:
            jobs[Loop.HEARTBEAT] = self._repeat(Loop.HEARTBEAT, self._beat, self.settings.heartbeat_seconds, stop)
        if self.roles.consumer:
            jobs[Loop.CONSUMER] = consuming.consume(
                self._bus.consumer,
                self._processor,
                batch=self.settings.batch_size,
                wait_seconds=self.settings.batch_wait_ms / 1000,
                stop=stop,
                done=self._wake.set,
                before=self.heartbeat.ensure,
                observer=self._observer,
            )
        if self.roles.clock:
            jobs[Loop.CLOCK] = loops.tick(
                self.sole_clock,
                every_seconds=self.settings.tick_seconds,
                stop=stop,
                done=self._wake.set,
                before=self.heartbeat.ensure,
                observer=self._observer,
            )
        if self.roles.relay:
            jobs[Loop.PURGE] = self._repeat(Loop.PURGE, self._purge, PURGE_SECONDS, stop)
        return jobs

    def senders(self, stop: asyncio.Event) -> Jobs:
        """Give the loops that send messages out."""
        jobs: Jobs = {}
        if self.roles.relay:
            jobs[Loop.RELAY] = loops.relay(
                self._relay,
                wake=self._wake,
                idle_seconds=self.settings.idle_seconds,
                stop=stop,
                observer=self._observer,
            )
        if self._mail is not None:
            jobs[Loop.EMAIL] = loops.relay(
                self._mail.relay,
                wake=asyncio.Event(),
                idle_seconds=IDLE_SECONDS,
                stop=stop,
                loop=Loop.EMAIL,
                observer=self._observer,
            )
        return jobs

    def _repeat(
        self, loop: Loop, chore: loops.Chore, every_seconds: float, stop: asyncio.Event
    ) -> Coroutine[None, None, None]:
        return loops.repeat(loop, chore, every_seconds=every_seconds, stop=stop, observer=self._observer)

    async def _beat(self) -> bool:
        await self.heartbeat.beat()
        return False

    async def _purge(self) -> bool:
        before = self._clock.now() - timedelta(days=self.settings.keep_published_days)
        old = await self._store.purge_quarantine(self.settings.quarantine_limit, QUARANTINE_AT_ONCE)
        return await self._store.outbox.purge(before, PURGED_AT_ONCE) == PURGED_AT_ONCE or old == QUARANTINE_AT_ONCE
