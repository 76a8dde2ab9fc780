"""The only place that wires things together. Nothing connects before it is asked to."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from chfw_sr.broker.memory import InProcessBus
from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.model import Hub
from chfw_sr.service.clockwork import Clockwork
from chfw_sr.service.ports import Clock, Publisher, Store
from chfw_sr.service.processor import Processor
from chfw_sr.service.registration import InvalidFile, read_inventory, read_users
from chfw_sr.service.relay import Relay
from chfw_sr.service.replay import ManualClock, Recorder, Replay, StepResult
from chfw_sr.service.scenario import Scenario
from chfw_sr.settings import Settings, SettingsError
from chfw_sr.storage import migrations
from chfw_sr.storage.store import SqlStore, create_store
from chfw_sr.wire import Intake, Limits, Schemas, Signer, check_libxml2


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the present, in UTC."""
        return datetime.now(UTC)


def policy_of(settings: Settings) -> Policy:
    """Give the part of the settings that decisions depend on."""
    return Policy(
        alert_roles=settings.alert_roles,
        status_at=settings.status_at,
        zone=ZoneInfo(settings.time_zone),
        clock_tolerance=timedelta(seconds=settings.clock_tolerance_seconds),
    )


def load_signer(settings: Settings) -> Signer:
    """Read the DCC's key and certificate.

    Raises:
        SettingsError: if they are not set, cannot be read or do not belong together.
    """
    if settings.signing_key is None or settings.signing_certificate is None:
        raise SettingsError("signing_key and signing_certificate are not set: nothing can be signed without them")
    try:
        return Signer.from_pem(settings.signing_key.read_bytes(), settings.signing_certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"signing_key, signing_certificate: {error}") from error


async def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date, creating it if need be.

    Raises:
        SettingsError: if its URL is not one of a database that is supported.
        Unavailable: if it cannot be reached.
    """
    store = _create_store(settings)
    try:
        await migrations.upgrade(store)
    finally:
        await store.close()


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """Open the database of the settings and close it in the end.

    Raises:
        SettingsError: if its URL is not one of a database that is supported.
        SchemaOutdated: if its schema is missing or not the one that this version needs.
        Unavailable: if it cannot be reached.
    """
    store = _create_store(settings)
    try:
        await migrations.check(store)
        yield store
    finally:
        await store.close()


def _create_store(settings: Settings) -> SqlStore:
    try:
        return create_store(settings.database_url.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"database_url: {error}") from error


def build_processor(settings: Settings, store: Store, signer: Signer, clock: Clock) -> Processor:
    """Wire the processor of Service Requests."""
    check_libxml2()
    return Processor(
        store=store,
        intake=Intake(Schemas.load(), Limits(max_octets=settings.max_octets)),
        signer=signer,
        dcc=settings.dcc_eui,
        policy=policy_of(settings),
        clock=clock,
    )


def build_clockwork(settings: Settings, store: Store, signer: Signer, clock: Clock) -> Clockwork:
    """Wire the clock-driven steps."""
    return Clockwork(store=store, signer=signer, dcc=settings.dcc_eui, policy=policy_of(settings), clock=clock)


def build_relay(settings: Settings, store: Store, publisher: Publisher, clock: Clock) -> Relay:
    """Wire the relay."""
    return Relay(
        store=store,
        publisher=publisher,
        clock=clock,
        batch=settings.relay_batch,
        lease_seconds=settings.relay_lease_seconds,
    )


@asynccontextmanager
async def open_replay(
    settings: Settings, store: Store, out: Path, clock: ManualClock | None = None
) -> AsyncIterator[Replay]:
    """Wire the whole service on an in-process bus, for files that are fed in one by one.

    Args:
        settings: as for the running service.
        store: an open store.
        out: the folder that gets every emitted message; must be empty or absent.
        clock: a clock to be run; the machine's clock if None.
    """
    bus = InProcessBus(delivery_limit=settings.delivery_limit)
    for record in await store.register.users():
        bus.declare_user(record.user.eui)
    consumer = bus.consumer()
    recorder = Recorder(bus.publisher(), out)
    signer, time_source = load_signer(settings), clock or SystemClock()
    try:
        yield Replay(
            store=store,
            sender=bus,
            consumer=consumer,
            processor=build_processor(settings, store, signer, time_source),
            relay=build_relay(settings, store, recorder, time_source),
            clockwork=build_clockwork(settings, store, signer, time_source),
            recorder=recorder,
            clock=clock,
        )
    finally:
        await consumer.close()


def scenario_settings(settings: Settings, scenario: Scenario, folder: Path, database_url: str) -> Settings:
    """Give the settings under which a scenario plays: its own DCC, key and database."""
    return settings.model_copy(
        update={
            "database_url": SecretStr(database_url),
            "dcc_eui": scenario.dcc,
            "signing_key": folder / scenario.signing_key,
            "signing_certificate": folder / scenario.signing_certificate,
        }
    )


async def play_scenario(
    settings: Settings, store: Store, scenario: Scenario, folder: Path, out: Path
) -> AsyncIterator[StepResult]:
    """Register a scenario's Users and hubs, then play it.

    Args:
        settings: from `scenario_settings`.
        store: an open store, best an empty one.
        scenario: what to play.
        folder: which its files are relative to.
        out: the folder that gets every emitted message.

    Yields:
        What came of each step.

    Raises:
        InvalidFile: if the Users or the hubs cannot be read.
    """
    await store.register.save_users(read_users(folder / scenario.users), scenario.begins)
    if scenario.inventory is not None:
        await store.register.import_hubs(_chunks(folder / scenario.inventory), scenario.begins)
    async with open_replay(settings, store, out, ManualClock(scenario.begins)) as replay:
        async for result in replay.scenario(scenario, folder):
            yield result


async def _chunks(path: Path) -> AsyncIterator[Sequence[Hub]]:
    with path.open(encoding="utf-8", newline="") as lines:
        for chunk in read_inventory(lines, str(path)):
            if chunk.problems:
                raise InvalidFile(str(path), chunk.problems)
            yield chunk.hubs
