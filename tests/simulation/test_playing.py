"""Whole campaigns, from the shell: in this process, and against a service on RabbitMQ and PostgreSQL."""

import asyncio
import json

import pytest

from chfw_sr import bootstrap
from chfw_sr.settings import load_settings
from tests.cli.conftest import bare, isolated
from tests.running.conftest import server_site
from tests.running.site import DCC
from tests.servers import _database, _migrated_postgresql, postgresql_server, postgresql_url

__all__ = [
    "_database",
    "_migrated_postgresql",
    "bare",
    "isolated",
    "postgresql_server",
    "postgresql_url",
    "server_site",
]


@pytest.fixture
def nation(bare, tmp_path):
    result = bare("simulate", "prepare", str(tmp_path / "nation"), "--hubs", "300", "--suppliers", "4")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "nation"


def test_a_campaign_in_this_process_runs_to_its_end(bare, nation) -> None:
    result = bare("simulate", "embedded", str(nation))
    assert result.exit_code == 0, result.stderr
    database = f"sqlite+aiosqlite:///{nation / 'simulation.sqlite3'}"
    (report,) = json.loads(bare("--database", database, "report", "--json").stdout)
    assert report["stage"] == "Complete"
    pilot, safe_launch = report["phases"]
    hubs = pilot["total"]["devices"] + safe_launch["total"]["devices"]
    activated = pilot["total"]["activated"] + safe_launch["total"]["activated"]
    assert 0.9 * 300 < activated <= hubs <= 300
    assert f"N64{activated:>7}" not in result.stdout, "an activation is told to both Suppliers of a hub"
    assert bare("simulate", "embedded", str(nation)).exit_code == 1, "the campaign is there already"
    assert bare("simulate", "embedded", str(nation), "--campaign", "AGAIN").exit_code == 0


def test_a_campaign_can_be_watched_in_real_time(bare, nation) -> None:
    result = bare("simulate", "embedded", str(nation), "--minutes", "0.1")
    assert result.exit_code == 0, result.stderr
    assert ["11.20", "I99", "1"] in [line.split() for line in result.stdout.splitlines()]


def test_what_cannot_be_is_said(bare, nation, tmp_path) -> None:
    for arguments, complaint in (
        (("prepare", str(nation)), "not empty"),
        (("prepare", str(tmp_path / "other"), "--suppliers", "1000"), "1 to 200 Suppliers"),
        (("embedded", str(tmp_path / "none")), "simulate prepare"),
        (("service", str(nation)), "amqp_url is not set"),
    ):
        result = bare("simulate", *arguments)
        assert result.exit_code == 2, arguments
        assert complaint in result.stderr


@pytest.mark.rabbitmq
@pytest.mark.postgresql
def test_a_campaign_against_a_running_service(server_site, nation) -> None:
    site = server_site
    keys = {"signing_key": nation / "dcc.key.pem", "signing_certificate": nation / "dcc.pem", "dcc_eui": DCC}
    site.more |= keys
    for command in (
        ("users", "import", str(nation / "users.toml")),
        ("inventory", "import", str(nation / "inventory.csv")),
        ("topology", "apply"),
    ):
        done = site.call(*command)
        assert done.returncode == 0, done.stderr
    with site.running() as service:
        service.until_ready()
        done = site.call("simulate", "service", str(nation), "--minutes", "0.15")
        assert done.returncode == 0, done.stderr
        assert service.stop() == 0
    settings = load_settings(site.values, {})

    async def stages() -> list[str]:
        async with bootstrap.open_store(settings) as store:
            return [each.stage for each in await store.queries.campaigns()]

    (stage,) = asyncio.run(stages())
    assert stage != "Draft", "how far it comes in so short a time hangs on the machine"
