"""The small HTTP server."""

import http.client
import json
import socket
import threading

import pytest
from prometheus_client import CollectorRegistry

from chfw_sr.telemetry import server as module
from chfw_sr.telemetry.health import OK, Health
from chfw_sr.telemetry.metrics import PrometheusObserver
from chfw_sr.telemetry.server import MOST_AT_ONCE, TelemetryServer


@pytest.fixture
def health() -> Health:
    return Health(stuck_seconds=300, probe_seconds=5)


@pytest.fixture
def server(health):
    observer = PrometheusObserver(health)
    with TelemetryServer("127.0.0.1", 0, health=health, registry=observer.registry) as server:
        yield server


def ask(server: TelemetryServer, path: str, method: str = "GET", **headers: str):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_metrics_come_in_prometheus_s_text_format(server) -> None:
    status, headers, body = ask(server, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert b'chfw_sr_info{version="' in body


def test_metrics_come_in_openmetrics_for_who_asks(server) -> None:
    _, headers, body = ask(server, "/metrics?x=1", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_readyz_follows_the_probe(server, health) -> None:
    assert ask(server, "/readyz")[0] == 503
    health.probed({"database": OK, "consumer": OK})
    status, headers, body = ask(server, "/readyz")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {"ok": True, "checks": {"database": "ok", "consumer": "ok"}}
    health.probed({"database": OK, "consumer": "lost its queue"})
    status, _, body = ask(server, "/readyz")
    assert status == 503
    assert json.loads(body)["checks"]["consumer"] == "lost its queue"


def test_healthz_is_about_life_alone(server, health) -> None:
    health.probed({"database": "down"})
    assert ask(server, "/healthz")[0] == 200


def test_anything_else_is_not_found(server) -> None:
    status, _, body = ask(server, "/metrics/../etc/passwd")
    assert status == 404
    assert b"/readyz" in body


def test_head_has_no_body(server) -> None:
    status, headers, body = ask(server, "/healthz", "HEAD")
    assert status == 200
    assert int(headers["Content-Length"]) > 0
    assert body == b""


def test_nothing_can_be_posted(server) -> None:
    assert ask(server, "/metrics", "POST")[0] == 501


def test_it_says_nothing_of_its_machinery(server) -> None:
    _, headers, _ = ask(server, "/healthz")
    assert headers["Server"].strip() == "chfw-sr"


def test_who_comes_while_all_are_busy_is_hung_up_on_and_served_later(server) -> None:
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(MOST_AT_ONCE)]
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(server, "/healthz")
    for each in held:
        each.close()
    done = threading.Event()
    for _ in range(1000):
        try:
            assert ask(server, "/healthz")[0] == 200
        except (http.client.HTTPException, OSError):
            done.wait(0.01)
        else:
            return
    raise AssertionError("never served again")


def test_a_client_that_says_nothing_is_dropped(monkeypatch, health) -> None:
    monkeypatch.setattr(module._Handler, "timeout", 0.05)
    with (
        TelemetryServer("127.0.0.1", 0, health=health, registry=CollectorRegistry()) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as silent,
    ):
        assert silent.recv(1) == b""


def test_a_client_that_goes_away_is_no_trouble(server, monkeypatch, capfd) -> None:
    gone = threading.Event()

    def broken(_accepted):
        gone.set()
        raise ConnectionResetError("gone")

    monkeypatch.setitem(server._server.RequestHandlerClass.routes, "/healthz", broken)
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(server, "/healthz")
    assert gone.is_set()
    assert ask(server, "/metrics")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_an_error(server, health) -> None:
    with pytest.raises(OSError, match="in use"):
        TelemetryServer("127.0.0.1", server.port, health=health, registry=CollectorRegistry())


def test_it_listens_where_it_is_told_to(health) -> None:
    try:
        other = TelemetryServer("::1", 0, health=health, registry=CollectorRegistry())
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    with other, socket.create_connection(("::1", other.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.0 200"
