"""The parts of the service, each made from the settings. Nothing connects before it is asked to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from chfw_sr.campaign.decision import Policy
from chfw_sr.service.clockwork import Clockwork
from chfw_sr.service.observer import Observer
from chfw_sr.service.ports import Clock, Publisher, Store
from chfw_sr.service.processor import Processor
from chfw_sr.service.quota import Fairness
from chfw_sr.service.relay import Relay
from chfw_sr.settings import Settings, SettingsError
from chfw_sr.storage import migrations
from chfw_sr.storage.fresh import FRESH_OCTETS
from chfw_sr.storage.store import SqlStore
from chfw_sr.storage.store import create_store as create_sql_store
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


def fairness_of(settings: Settings) -> Fairness:
    """Give the part of the settings that says how much one sender may send."""
    return Fairness(
        requests_per_minute=settings.requests_per_minute,
        requests_at_once=settings.requests_at_once,
        quarantined_per_minute=settings.quarantined_per_minute,
        quarantined_at_once=settings.quarantined_at_once,
        alert_interval=timedelta(seconds=settings.throttled_alert_seconds),
    )


async def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date, creating it if need be.

    Raises:
        SettingsError: if its URL is not one of a database that is supported.
        Unavailable: if it cannot be reached.
    """
    store = create_store(settings)
    try:
        await migrations.upgrade(store)
    finally:
        await store.close()


@asynccontextmanager
async def open_store(settings: Settings, *, relays: bool = True) -> AsyncIterator[SqlStore]:
    """Open the database of the settings and close it in the end.

    Args:
        settings: name it.
        relays: whether a relay will work on it here: then what is put into the outbox is kept in memory for it.

    Raises:
        SettingsError: if its URL is not one of a database that is supported.
        SchemaOutdated: if its schema is missing or not the one that this version needs.
        Unavailable: if it cannot be reached.
    """
    store = create_store(settings, relays=relays)
    try:
        await migrations.check(store)
        yield store
    finally:
        await store.close()


def create_store(settings: Settings, *, relays: bool = True) -> SqlStore:
    """Make the store of the settings; it connects when it is first used.

    Args:
        settings: name its database.
        relays: see `open_store`.

    Raises:
        SettingsError: if its URL is not one of a database that is supported.
    """
    try:
        return create_sql_store(settings.database_url.get_secret_value(), fresh_octets=FRESH_OCTETS if relays else 0)
    except ValueError as error:
        raise SettingsError(f"database_url: {error}") from error


def build_processor(
    settings: Settings, store: Store, signer: Signer, clock: Clock, observer: Observer | None = None
) -> Processor:
    """Wire the processor of Service Requests."""
    check_libxml2()
    return Processor(
        store=store,
        intake=Intake(Schemas.load(), Limits(max_octets=settings.max_octets)),
        signer=signer,
        dcc=settings.dcc_eui,
        policy=policy_of(settings),
        clock=clock,
        observer=observer,
        fairness=fairness_of(settings),
    )


def build_clockwork(
    settings: Settings, store: Store, signer: Signer, clock: Clock, observer: Observer | None = None
) -> Clockwork:
    """Wire the clock-driven steps."""
    return Clockwork(
        store=store,
        signer=signer,
        dcc=settings.dcc_eui,
        policy=policy_of(settings),
        clock=clock,
        observer=observer,
        alert_interval=fairness_of(settings).alert_interval,
    )


def build_relay(
    settings: Settings, store: Store, publisher: Publisher, clock: Clock, observer: Observer | None = None
) -> Relay:
    """Wire the relay."""
    return Relay(
        store=store,
        publisher=publisher,
        clock=clock,
        batch=settings.relay_batch,
        claims=settings.relay_claims,
        lease_seconds=settings.relay_lease_seconds,
        observer=observer,
    )
