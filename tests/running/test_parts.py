"""The parts of a running service that a process does not show well: startup checks, signals, the probe, settings."""

import asyncio
import logging
import signal
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chfw_sr.bootstrap.buses import RabbitBus, Roles, SpoolBus, server_of
from chfw_sr.bootstrap.keys import load_signer
from chfw_sr.bootstrap.probing import Probe
from chfw_sr.bootstrap.process import Process
from chfw_sr.bootstrap.running import Signals, check_certificate, run
from chfw_sr.broker.connection import Server
from chfw_sr.service.ports import MessageKind, OutboxMessage, OutboxStatus, Unavailable
from chfw_sr.service.supervision import GraceExpired, LoopDied
from chfw_sr.settings import SettingsError, load_settings, shown
from chfw_sr.storage.store import create_store
from chfw_sr.telemetry.health import Health
from chfw_sr.telemetry.metrics import PrometheusObserver

from .site import DAY, PATIENCE_SECONDS

YEAR = timedelta(days=365)

# ----------------------------------------------------------------------------------------------------------- signals


def test_the_first_signal_drains_and_the_second_leaves_at_once() -> None:
    left: list[int] = []
    signals = Signals(left.append)
    signals.heard(signal.SIGTERM)
    assert signals.stop.is_set()
    assert left == []
    signals.heard(signal.SIGINT)
    assert left == [130]


async def test_signals_are_listened_to() -> None:
    left: list[int] = []
    signals = Signals(left.append)
    signals.listen()
    try:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(signals.stop.wait(), PATIENCE_SECONDS)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


# -------------------------------------------------------------------------------------------------------- certificate


def test_the_certificate_must_be_the_dcc_s(site) -> None:
    settings = site.settings.model_copy(update={"dcc_eui": "90-B3-D5-1F-30-00-00-99"})
    with pytest.raises(SettingsError, match="dcc_eui is 90-B3-D5-1F-30-00-00-99"):
        check_certificate(settings, datetime.now(UTC))


@pytest.mark.parametrize("away", [-2 * DAY, YEAR + DAY])
def test_the_certificate_must_be_in_date(site, away) -> None:
    with pytest.raises(SettingsError, match="valid from"):
        check_certificate(site.settings, datetime.now(UTC) + away)


def test_a_certificate_that_expires_soon_is_said(site, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        expires = check_certificate(site.settings, datetime.now(UTC))
        assert caplog.records == []
        assert check_certificate(site.settings, expires - 29 * DAY) == expires
    assert "expires soon" in caplog.text


def test_a_certificate_without_an_eui_is_no_good(site) -> None:
    key, now, name = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC), x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - DAY, now + DAY)
    (site.folder / "dcc.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    with pytest.raises(SettingsError, match="x500UniqueIdentifier"):
        check_certificate(site.settings, now)


# -------------------------------------------------------------------------------------------------------------- probe


class FakeBus:
    def __init__(self) -> None:
        self.found = {"consumer": "ok"}
        self.queues: dict[str, int] | Exception = {"chfw.requests": 3}

    async def look(self):
        return self.found

    async def depths(self):
        if isinstance(self.queues, Exception):
            raise self.queues
        return self.queues


class Looking:
    def __init__(self, store, **options) -> None:
        self.bus = FakeBus()
        self.health = Health(stuck_seconds=300, probe_seconds=5)
        self.observer = PrometheusObserver(self.health)
        self.probe = Probe(store=store, bus=self.bus, observer=self.observer, clock=self, **options)

    def now(self) -> datetime:
        return datetime(2027, 1, 4, tzinfo=UTC)

    def value(self, name: str, **labels: str) -> float | None:
        return self.observer.registry.get_sample_value(f"chfw_sr_{name}", labels)


@pytest.fixture
def looking(store) -> Looking:
    return Looking(store)


async def test_the_probe_tells_health_and_metrics(looking) -> None:
    assert await looking.probe.look() is False
    assert looking.health.ready().ok
    assert looking.health.ready().checks == {"database": "ok", "consumer": "ok"}
    assert looking.value("outbox_messages") == 0
    assert looking.value("queue_messages", queue="chfw.requests") == 3


async def test_a_consumer_that_lost_its_queue_makes_it_not_ready(looking) -> None:
    looking.bus.found = {"consumer": "the queue is not being consumed"}
    await looking.probe.look()
    assert not looking.health.ready().ok


async def test_a_bus_that_is_away_leaves_no_depths_and_is_no_defect(looking) -> None:
    await looking.probe.look()
    looking.bus.queues = Unavailable("down")
    await looking.probe.look()
    assert looking.value("queue_messages", queue="chfw.requests") is None


async def test_a_database_without_a_schema_makes_it_not_ready(tmp_path) -> None:
    store = create_store(f"sqlite+aiosqlite:///{tmp_path / 'new.sqlite3'}")
    try:
        looking = Looking(store)
        await looking.probe.look()
        assert "revision None" in looking.health.ready().checks["database"]
        assert str(looking.value("outbox_messages")) == "nan"
    finally:
        await store.close()


def join_connections() -> None:
    """Wait for the threads of connections that could not be opened: they report back to the event loop."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(PATIENCE_SECONDS)


async def test_a_database_that_cannot_be_opened_makes_it_not_ready(tmp_path) -> None:
    store = create_store(f"sqlite+aiosqlite:///{tmp_path}/no/such/folder.sqlite3")
    try:
        looking = Looking(store)
        await looking.probe.look()
        assert "database" in looking.health.ready().checks["database"]
        assert not looking.health.ready().ok
    finally:
        await store.close()
        await asyncio.to_thread(join_connections)


async def test_a_database_that_does_not_answer_makes_it_not_ready(store, monkeypatch) -> None:
    looking = Looking(store, patience_seconds=0.01)

    async def silent(_store):
        await asyncio.Event().wait()

    monkeypatch.setattr("chfw_sr.bootstrap.probing.migrations.current", silent)
    await looking.probe.look()
    assert looking.health.ready().checks["database"] == "no answer within 0.01 s"


# ---------------------------------------------------------------------------------------------------------- the run


class Stopped:
    """Tells to stop at once, and keeps how the process would have left."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.stop.set()
        self.left: list[int] = []

    def leave(self, code: int) -> None:
        self.left.append(code)


async def test_a_service_that_is_told_to_stop_drains_and_ends(site) -> None:
    stopped = Stopped()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await run(site.settings, Roles(), stopped, embedded=True)
    assert stopped.left == []


async def test_a_parser_that_is_too_old_is_refused_at_the_start(site, monkeypatch) -> None:
    def too_old() -> None:
        raise RuntimeError("lxml uses libxml2 1.0")

    monkeypatch.setattr("chfw_sr.bootstrap.running.check_libxml2", too_old)
    with pytest.raises(SettingsError, match=r"libxml2 1\.0"):
        await run(site.settings, Roles(), Stopped(), embedded=True)


async def test_a_lease_that_cannot_be_given_back_is_no_obstacle(site, monkeypatch, caplog) -> None:
    async def away(*_):
        raise Unavailable("down")

    monkeypatch.setattr("chfw_sr.service.sole_clock.SoleClock.close", away)
    with caplog.at_level(logging.INFO):
        await run(site.settings, Roles(), Stopped(), embedded=True)
    assert "runs out by itself" in caplog.text


async def test_a_service_that_does_not_drain_in_time_leaves(site, monkeypatch) -> None:
    async def stubborn(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr("chfw_sr.bootstrap.process.consuming.consume", stubborn)
    stopped = Stopped()
    settings = site.settings.model_copy(update={"grace_seconds": 0.01})
    with pytest.raises(GraceExpired, match="consumer"):
        await run(settings, Roles(), stopped, embedded=True)
    assert stopped.left == [1]


async def test_a_dead_loop_ends_the_run(site, monkeypatch) -> None:
    async def dies(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("chfw_sr.bootstrap.process.consuming.consume", dies)
    with pytest.raises(LoopDied, match="consumer"):
        await run(site.settings, Roles(), Signals(), embedded=True)


async def test_what_was_published_long_ago_is_purged(site, store) -> None:
    old = datetime.now(UTC) - timedelta(days=40)
    async with store.begin() as work:
        first = await work.reserve(2)
        await work.enqueue(
            [OutboxMessage(first + at, MessageKind.ALERT, f"r{at}", f"m{at}", "N64", b"<a/>", old) for at in range(2)]
        )
        await work.commit()
    one, other = await store.outbox.claim("t", 10, old, 60)
    await store.outbox.mark("t", [one], OutboxStatus.PUBLISHED, old)
    await store.outbox.mark("t", [other], OutboxStatus.PUBLISHED, datetime.now(UTC))
    settings = site.settings
    process = Process(
        settings,
        Roles(),
        store=store,
        bus=SpoolBus(settings.spool, settings),
        signer=load_signer(settings),
        observer=PrometheusObserver(Health(stuck_seconds=1, probe_seconds=1)),
        holder="h",
    )
    assert await process._purge() is False
    assert [each.message.id for each in await store.queries.outbox(None, 10)] == [first + 1]


# ------------------------------------------------------------------------------------------------------------- rabbit


async def test_a_publisher_that_cannot_connect_is_said() -> None:
    bus = RabbitBus(Server.parse("amqp://u:secret@127.0.0.1:1/"), Roles(), 10)
    try:
        found = await bus.look()
        assert "not being consumed" in found["consumer"]
        assert found["publisher"] != "ok"
        assert "secret" not in str(found)
        with pytest.raises(Unavailable):
            await bus.depths()
    finally:
        await bus.close()


async def test_a_publisher_that_does_not_come_to_an_end_is_said(monkeypatch) -> None:
    async def silent(_publisher):
        await asyncio.Event().wait()

    monkeypatch.setattr("chfw_sr.bootstrap.buses.PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("chfw_sr.broker.publishing.ConfirmingPublisher.start", silent)
    bus = RabbitBus(Server.parse("amqp://127.0.0.1:1/"), Roles(), 10)
    try:
        assert "no connection within 0.01 s" in (await bus.look())["publisher"]
    finally:
        await bus.close()


def test_rabbitmq_must_be_named(site) -> None:
    with pytest.raises(SettingsError, match="amqp_url is not set"):
        server_of(site.settings)


def test_a_url_with_something_unknown_in_it_is_refused_without_its_secret(site) -> None:
    settings = load_settings(site.values | {"amqp_url": "amqp://u:secret@h/?what=1"}, {})
    with pytest.raises(SettingsError, match="what") as raised:
        server_of(settings)
    assert "secret" not in str(raised.value)


# ----------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"amqp_url": "http://h/"}, "amqp_url"),
        ({"amqp_key": "k.pem"}, "go together"),
        ({"amqp_ca_file": "ca.pem"}, "amqps"),
        ({"amqp_url": "amqp://h/", "amqp_ca_file": "ca.pem"}, "amqps"),
        ({"batch_size": 500, "prefetch": 400}, "never fills"),
        ({"metrics_port": 70_000}, "metrics_port"),
        ({"log_level": "loud"}, "log_level"),
        ({"heartbeat_seconds": 0}, "heartbeat_seconds"),
        ({"time_zone": "Mars/Olympus"}, "no such time zone"),
        ({"signing_key": "k.pem"}, "go together"),
        ({"alert_roles": ["CSP"]}, "CSP"),
    ],
)
def test_settings_that_make_no_sense_are_refused(flags, said) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(flags, {})


def test_tls_files_are_accepted_with_amqps() -> None:
    settings = load_settings(
        {"amqp_url": "amqps://h/", "amqp_ca_file": "ca.pem", "amqp_certificate": "c.pem", "amqp_key": "k.pem"}, {}
    )
    assert settings.amqp_ca_file is not None


def test_unknown_variables_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="did you mean CHFW_SR_AMQP_URL"):
        load_settings({}, {"CHFW_SR_AMPQ_URL": "x"})


def test_a_setting_can_come_from_the_file_and_the_environment_wins(tmp_path, monkeypatch) -> None:
    (tmp_path / "chfw-sr.toml").write_text("prefetch = 111\nbatch_size = 11\n")
    monkeypatch.setenv("CHFW_SR_PREFETCH", "222")
    settings = load_settings({"batch_wait_ms": 7})
    assert (settings.prefetch, settings.batch_size, settings.batch_wait_ms) == (222, 11, 7)


def test_every_setting_is_shown_with_its_meaning_and_no_secret() -> None:
    settings = load_settings(
        {"amqp_url": "amqp://u:secret@h/", "database_url": "postgresql+asyncpg://u:secret@h/n"}, {}
    )
    rows = {row.name: row for row in shown(settings)}
    assert rows.keys() == type(settings).model_fields.keys()
    assert all(row.description.endswith(".") for row in rows.values())
    assert rows["amqp_url"].value == "amqp://u:***@h/"
    assert rows["amqp_url"].changed
    assert not rows["prefetch"].changed
    assert rows["alert_roles"].value == "GS, IS"
    assert "secret" not in str(rows)
    assert "secret" not in repr(settings)
