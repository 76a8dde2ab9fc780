"""The running service: `chfw-sr run`."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import uuid4

from cryptography import x509

from chfw_sr.messages import EUI
from chfw_sr.service.ports import Unavailable
from chfw_sr.service.supervision import GraceExpired, LoopDied, supervise
from chfw_sr.settings import Settings, SettingsError
from chfw_sr.telemetry.health import Health
from chfw_sr.telemetry.metrics import PrometheusObserver
from chfw_sr.telemetry.server import TelemetryServer
from chfw_sr.wire import check_libxml2, holder_eui

from .buses import Bus, Roles, SpoolBus, open_rabbit
from .keys import load_signer
from .mailing import warn_of_silence
from .parts import SystemClock, open_store
from .process import Process

logger = logging.getLogger(__name__)

EXPIRES_SOON = timedelta(days=30)
RELEASE_SECONDS = 5.0
COLLECTOR_THRESHOLDS = (50_000, 20, 20)
"""Objects made and not freed before the young ones are looked at; how many times before the older ones are."""
GRACE_EXPIRED = 1
"""The exit code of a process that did not drain in time."""


class Stopping(Protocol):
    """What tells a running service to stop."""

    stop: asyncio.Event

    def leave(self, code: int) -> None:
        """End the process at once."""
        ...


class Signals:
    """SIGTERM and SIGINT: the first drains, a second one leaves at once; what was in hand then comes again.

    Args:
        leave: ends the process with an exit code, now.
    """

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        self.stop = asyncio.Event()
        self._leave = leave

    def leave(self, code: int) -> None:
        """End the process at once; what is in hand comes again."""
        self._leave(code)

    def listen(self) -> None:
        """Take the signals from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, partial(self.heard, number))

    def heard(self, number: signal.Signals) -> None:
        """Drain, or leave."""
        if self.stop.is_set():
            logger.warning("%s again: leaving at once; what is in hand comes again", number.name)
            self.leave(128 + number)
        else:
            logger.info("%s: draining", number.name)
            self.stop.set()


async def run(settings: Settings, roles: Roles, stopping: Stopping, *, embedded: bool = False) -> None:
    """Run consumer, relay, clock and e-mail until told to stop.

    Args:
        settings: everything.
        roles: which of the four.
        stopping: whose `stop` is set from outside.
        embedded: take the spool folder of the settings in place of RabbitMQ.

    Raises:
        SettingsError: if a setting cannot be used, or a library is too old.
        SchemaOutdated: if the database's schema is not the one of this version.
        TopologyMissing: if RabbitMQ lacks something.
        Unavailable: if a server is down at the start; later on that is waited for.
        LoopDied: if a loop met a defect.
        GraceExpired: if draining took too long.
    """
    try:
        check_libxml2()
    except RuntimeError as error:
        raise SettingsError(str(error)) from error
    signer = load_signer(settings)
    expires = check_certificate(settings, SystemClock().now())
    health = Health(stuck_seconds=settings.stuck_seconds, probe_seconds=settings.probe_seconds)
    observer = PrometheusObserver(health)
    observer.expires(expires)
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        serve_telemetry(stack, settings, health, observer)
        store = await stack.enter_async_context(open_store(settings, relays=roles.relay or roles.email))
        await warn_of_silence(settings, store)
        users = [record.user.eui for record in await store.register.users()]
        bus = await stack.enter_async_context(_open_bus(settings, roles, users, holder, embedded=embedded))
        process = Process(settings, roles, store=store, bus=bus, signer=signer, observer=observer, holder=holder)
        spare_collector()
        draining = asyncio.create_task(_note_drain(stopping.stop, health))
        try:
            await _run_loops(process, stopping.stop)
        except GraceExpired as error:
            logger.error("%s; leaving at once; what is in hand comes again", error)  # noqa: TRY400 - no defect
            stopping.leave(GRACE_EXPIRED)
            raise
        finally:
            draining.cancel()
    logger.info("drained")


def serve_telemetry(
    stack: AsyncExitStack, settings: Settings, health: Health, observer: PrometheusObserver
) -> TelemetryServer:
    """Serve /metrics, /healthz and /readyz until the stack is left.

    Raises:
        SettingsError: if the address cannot be listened on.
    """
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server = TelemetryServer(host, port, health=health, registry=observer.registry)
    except OSError as error:
        raise SettingsError(f"metrics_host, metrics_port: {host}:{port}: {error.strerror or error}") from error
    stack.enter_context(server)
    logger.info("metrics and health on %s:%d", host, server.port, extra={"port": server.port})
    return server


def check_certificate(settings: Settings, now: datetime) -> datetime:
    """Make sure that the signing certificate is this DCC's and in date; give when it expires.

    Args:
        settings: name the certificate; it has been read before.
        now: the present.

    Raises:
        SettingsError: if others would not accept what is signed with it.
    """
    assert settings.signing_certificate is not None
    certificate = x509.load_pem_x509_certificate(settings.signing_certificate.read_bytes())
    begins, expires = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    try:
        holder = holder_eui(certificate)
    except ValueError as error:
        raise SettingsError(f"signing_certificate: {error}") from error
    if holder != settings.dcc_eui:
        raise SettingsError(f"signing_certificate is {holder}'s; dcc_eui is {settings.dcc_eui}")
    if not begins <= now < expires:
        raise SettingsError(f"signing_certificate is valid from {begins} to {expires} only")
    if expires - now < EXPIRES_SOON:
        logger.warning("the signing certificate expires soon: %s", expires)
    return expires


@asynccontextmanager
async def _open_bus(
    settings: Settings, roles: Roles, users: list[EUI], holder: str, *, embedded: bool
) -> AsyncIterator[Bus]:
    if not embedded:
        async with open_rabbit(settings, roles, users, f"chfw-sr@{holder}") as bus:
            yield bus
        return
    if settings.spool is None:
        raise SettingsError("spool is not set: run --embedded needs a folder for files")
    try:
        spool = SpoolBus(settings.spool, settings)
    except OSError as error:
        raise SettingsError(f"spool: {error}") from error
    yield spool


def spare_collector() -> None:
    """Have the garbage collector leave alone what stays, and look less often at what comes and goes.

    A batch makes objects by the ten thousand and drops them again, hardly any of them in cycles; by default the
    collector would walk through schemas, statements and classes again and again meanwhile, for an eighth of all CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


async def _note_drain(stop: asyncio.Event, health: Health) -> None:
    await stop.wait()
    health.drains()


async def _run_loops(process: Process, stop: asyncio.Event) -> None:
    if process.roles.consumer or process.roles.clock:
        await process.heartbeat.beat()
    stop_relay = asyncio.Event()
    try:
        await supervise(
            process.makers(stop),
            process.senders(stop_relay),
            stop=stop,
            stop_senders=stop_relay,
            grace_seconds=process.settings.grace_seconds,
        )
    except LoopDied:
        await _release(process)
        raise
    await _release(process)


async def _release(process: Process) -> None:
    try:
        async with asyncio.timeout(RELEASE_SECONDS):
            await process.sole_clock.close()
    except (Unavailable, TimeoutError) as error:
        logger.info("the clock's lease runs out by itself: %s", error)
