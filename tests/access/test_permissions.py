"""What a User's account may do on RabbitMQ; against a private server with its management API."""

import http.server
import json
import re
import threading
from contextlib import contextmanager

import pytest

from chfw_sr.bootstrap.accounts import apply_permissions, check_permissions
from chfw_sr.bootstrap.buses import TopologyMissing
from chfw_sr.broker.names import ALERTS, QUARANTINE, REQUESTS, RESPONSES, UNROUTED, alerts_queue, responses_queue
from chfw_sr.broker.permissions import Management, ManagementRefused, Permission
from chfw_sr.messages import EUI
from chfw_sr.service.ports import Unavailable
from chfw_sr.settings import SettingsError, load_settings
from tests.faults.servers import free_port
from tests.running.site import OPERATOR

ALICE, BOB, CAROL = (EUI(f"90-B3-D5-1F-30-0{number}-00-00") for number in (1, 2, 3))


# -------------------------------------------------------------------------------------------------- without a server


def test_a_user_may_publish_requests_and_read_its_own_queues_and_nothing_else() -> None:
    permission = Permission.of_user(ALICE)
    names = [REQUESTS, RESPONSES, ALERTS, QUARANTINE, UNROUTED, "", "amq.default", "amq.topic", "alerts", "x"]
    names += [name(eui) for eui in (ALICE, BOB) for name in (alerts_queue, responses_queue)]
    names += [f"{REQUESTS}x", f"x{REQUESTS}", "chfwxrequests", f"{alerts_queue(ALICE)}.x", alerts_queue(ALICE).lower()]
    allowed = {
        right: [name for name in names if re.search(getattr(permission, right), name)]
        for right in ("configure", "write", "read")
    }
    assert allowed == {
        "configure": [""],  # RabbitMQ matches names, and no exchange or queue that can be made has none
        "write": [REQUESTS],
        "read": [alerts_queue(ALICE), responses_queue(ALICE)],
    }


def test_the_command_is_one_that_a_shell_takes_whole() -> None:
    assert Permission.of_user(ALICE).command("my vhost") == (
        f"rabbitmqctl set_permissions --vhost 'my vhost' {ALICE} '^$' '^chfw\\.requests$' "
        f"'^(alerts\\.{ALICE}|responses\\.{ALICE})$'"
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqp://u:secret@h/", "not the URL"),
        ("https://h/", "not the URL"),
        ("https://u@h/", "not the URL"),
        ("https://u:secret@h:port/", "cannot be read"),
        ("http://u:secret@rabbit.example/", "https"),
    ],
)
def test_a_url_that_is_of_no_use_is_refused_without_its_secret(url, said) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        Management.parse(url)
    assert "secret" not in str(raised.value)


def test_an_authority_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="certificates for the management API"):
        Management.parse("https://u:secret@h/", ca_file=tmp_path / "missing.pem")


def test_neither_its_text_nor_the_settings_show_the_password() -> None:
    management = Management.parse("https://u:secret@h/prefix/")
    assert str(management) == "https://h:15671/prefix"
    assert "secret" not in repr(management)
    assert management.authorization not in repr(management)
    settings = load_settings({"amqp_management_url": "https://u:secret@h/", "amqp_ca_file": "ca.pem"}, {})
    assert "secret" not in repr(settings)
    with pytest.raises(SettingsError, match="amqps"):
        load_settings({"amqp_management_url": "https://u:s@h/", "amqp_certificate": "c", "amqp_key": "k"}, {})


@contextmanager
def answering(status: int, body: bytes):
    """Answer every request in one way."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Management.parse(f"http://u:secret@127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, b"{}", ManagementRefused, "401"),
        (404, b"", ManagementRefused, "404"),
        (302, b"", ManagementRefused, "302"),
        (503, b"", Unavailable, "503"),
        (200, b"<html>", ManagementRefused, "not JSON"),
    ],
)
def test_an_answer_that_is_no_use_is_told_apart_from_none(status, body, kind, said) -> None:
    with answering(status, body) as management, pytest.raises(kind, match=said) as raised:
        management.accounts()
    assert "secret" not in str(raised.value)


def test_nobody_who_answers_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="Refused"):
        Management.parse(f"http://u:secret@127.0.0.1:{free_port()}").accounts()


def test_tags_of_an_old_version_are_read() -> None:
    with answering(200, json.dumps([{"name": "a", "tags": "x,y"}, {"name": "b", "tags": ""}]).encode()) as management:
        assert management.accounts() == {"a": {"x", "y"}, "b": frozenset()}


def test_what_is_to_be_granted_by_hand_is_printed(site, bare, monkeypatch) -> None:
    monkeypatch.setenv("CHFW_SR_DATABASE_URL", site.database_url)
    assert bare("topology", "permissions").stdout == Permission.of_user(OPERATOR).command("/") + "\n"
    monkeypatch.setenv("CHFW_SR_AMQP_URL", "amqp://u:secret@h/my%20vhost")
    (shown,) = json.loads(bare("topology", "permissions", "--json").stdout)
    assert (shown["account"], shown["vhost"], shown["configure"]) == (OPERATOR, "my vhost", "^$")


async def test_the_settings_must_name_a_management_api_that_is_one(site) -> None:
    with pytest.raises(SettingsError, match="amqp_management_url is not set"):
        await apply_permissions(site.settings, [])
    site.more |= {"amqp_management_url": "http://u:secret@far.example/"}
    with pytest.raises(SettingsError, match="amqp_management_url: http"):
        await apply_permissions(site.settings, [])


async def test_a_refusal_of_the_management_api_is_said_as_one_of_the_server(site) -> None:
    with answering(401, b"{}") as management:
        site.more |= {"amqp_management_url": f"http://u:secret@127.0.0.1:{management.port}"}
        for work in (apply_permissions, check_permissions):
            with pytest.raises(TopologyMissing, match="401"):
                await work(site.settings, [ALICE])
