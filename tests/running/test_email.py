"""E-mail in a running service: what is wired, what is refused at the start, and that mails leave."""

import asyncio
import logging
from datetime import UTC, datetime

import pytest

from chfw_sr.bootstrap.buses import Roles, SpoolBus
from chfw_sr.bootstrap.mailing import build_mail, warn_of_silence
from chfw_sr.bootstrap.parts import SystemClock
from chfw_sr.bootstrap.process import Process
from chfw_sr.campaign.model import User
from chfw_sr.messages import EUI, Role
from chfw_sr.service.observer import Loop
from chfw_sr.service.ports import Channels, Contact, MessageKind, OutboxMessage, UserRecord
from chfw_sr.settings import SettingsError, load_settings, shown
from chfw_sr.storage import migrations
from chfw_sr.storage.memory import MemoryStore
from chfw_sr.storage.store import create_store
from chfw_sr.telemetry.health import Health
from chfw_sr.telemetry.metrics import PrometheusObserver
from tests.mail.post_office import Office, serving
from tests.service.world import DCC, KEYS

ALPHA = EUI("90-B3-D5-1F-30-01-00-00")
RECORD = UserRecord(User(ALPHA, "Alpha", frozenset({Role.IS})), (), Contact(Channels.EMAIL, "ops@alpha.example"))


def settings_with(**values):
    return load_settings({"smtp_url": "smtp://127.0.0.1:1?tls=off", "smtp_from": "dcc@dcc.example", **values}, {})


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"smtp_url": "http://mail.example"}, "smtp_url: not the URL"),
        ({"smtp_from": "nobody"}, "smtp_from: not an e-mail address"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(values, fault) -> None:
    with pytest.raises(SettingsError, match=fault):
        build_mail(settings_with(**values), MemoryStore(), SystemClock())


def test_server_and_sender_go_together() -> None:
    with pytest.raises(SettingsError, match="smtp_url and smtp_from go together"):
        load_settings({"smtp_url": "smtps://mail.example"}, {})


def test_without_a_server_nothing_is_wired() -> None:
    assert build_mail(load_settings({}, {}), MemoryStore(), SystemClock()) is None


def test_the_password_is_not_shown() -> None:
    settings = settings_with(smtp_url="smtps://chfw:secret@mail.example")
    assert "secret" not in repr(settings)
    assert "secret" not in "".join(row.value for row in shown(settings))


async def test_users_who_want_mail_that_nobody_sends_are_counted_at_the_start(caplog) -> None:
    store = MemoryStore()
    caplog.set_level(logging.WARNING)
    await warn_of_silence(load_settings({}, {}), store)
    assert caplog.text == ""
    await store.register.save_users([RECORD], datetime.now(UTC))
    await warn_of_silence(settings_with(), store)
    assert caplog.text == ""
    await warn_of_silence(load_settings({}, {}), store)
    assert "1 User(s) want alerts by e-mail, and smtp_url is not set" in caplog.text


async def test_a_process_sends_mail_and_tells_how_the_server_is(tmp_path) -> None:
    office = Office()
    store = create_store(f"sqlite+aiosqlite:///{tmp_path}/x.sqlite3")
    await migrations.upgrade(store)
    await store.register.save_users([RECORD], datetime.now(UTC))
    async with store.begin() as work:
        number = await work.reserve(1)
        now = datetime.now(UTC)
        await work.enqueue([OutboxMessage(number, MessageKind.EMAIL, ALPHA, "a:b:1", "N906", b"<a/>", now)])
        await work.commit()
    health = Health(stuck_seconds=60, probe_seconds=60)
    async with serving(office) as port:
        settings = settings_with(smtp_url=f"smtp://127.0.0.1:{port}?tls=off", probe_seconds=60)
        process = Process(
            settings,
            Roles(consumer=False, relay=False, clock=False),
            store=store,
            bus=SpoolBus(tmp_path, settings),
            signer=KEYS.signers[DCC],
            observer=PrometheusObserver(health),
            holder="x",
        )
        stop = asyncio.Event()
        senders = process.senders(stop)
        assert list(senders) == [Loop.EMAIL]
        sending = asyncio.create_task(senders[Loop.EMAIL])
        async with asyncio.timeout(20):
            await office.taken.wait()
            stop.set()
            await sending
        await process._probe.look()
        assert health.ready().checks["email"] == "ok"
    assert [mail["To"] for mail in office.read()] == ["ops@alpha.example"]
    await store.close()
