"""`healthcheck`, `settings` and what `run` refuses, in this process."""

import json

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from chfw_sr.cli import app
from chfw_sr.telemetry.health import Health
from chfw_sr.telemetry.server import TelemetryServer


def call(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="chfw-sr")


@pytest.fixture
def health() -> Health:
    return Health(stuck_seconds=300, probe_seconds=5)


@pytest.fixture
def port(health) -> int:
    with TelemetryServer("127.0.0.1", 0, health=health, registry=CollectorRegistry()) as server:
        yield server.port


def test_healthcheck_follows_readyz(health, port) -> None:
    done = call("healthcheck", "--metrics-port", port)
    assert done.exit_code == 1
    assert "not ready" in done.stderr
    health.probed({"database": "ok"})
    done = call("healthcheck", "--metrics-port", port)
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"ok": True, "checks": {"database": "ok"}}


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_healthcheck_live_follows_healthz(port, host) -> None:
    done = call("healthcheck", "--live", "--metrics-host", host, "--metrics-port", port)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["checks"] == {"event loop": "ok"}


def test_healthcheck_without_an_answer_ends_with_3(port) -> None:
    done = call("healthcheck", "--metrics-port", 1)
    assert done.exit_code == 3
    assert "no answer" in done.stderr


def test_settings_are_printed_without_secrets(monkeypatch) -> None:
    monkeypatch.setenv("CHFW_SR_AMQP_URL", "amqp://u:secret@h/")
    done = call("settings", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["amqp_url"]["value"] == "amqp://u:***@h/"
    assert "secret" not in call("settings").output
    assert "secret" not in done.output


def test_run_shows_settings_with_its_own_options_in_force() -> None:
    done = call("run", "--show-settings", "--amqp", "amqp://u:secret@h/", "--grace", 7)
    assert done.exit_code == 0
    assert "amqp://u:***@h/" in done.stdout
    assert "secret" not in done.output
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("grace_seconds")]
    assert line.split()[1:3] == ["7.0", "yes"]


def test_nothing_to_run_is_refused() -> None:
    done = call("run", "--no-consumer", "--no-relay", "--no-clock")
    assert done.exit_code == 2


def test_topology_needs_a_rabbitmq(site, monkeypatch) -> None:
    monkeypatch.setenv("CHFW_SR_DATABASE_URL", site.database_url)
    for action in ("apply", "check"):
        done = call("topology", action)
        assert done.exit_code == 2
        assert "amqp_url is not set" in done.stderr
