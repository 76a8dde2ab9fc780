"""`chfw-sr run --embedded`, as a process: the default, which needs no server."""

import json
import signal
import sqlite3
from pathlib import Path

import pytest

from chfw_sr.messages import ResponseCode
from chfw_sr.wire import read_alert, read_response

from .site import OPERATOR, Site, eventually


def drop(site: Site, name: str, octets: bytes) -> None:
    spool = site.folder / "spool"
    (spool / "in").mkdir(parents=True, exist_ok=True)
    partial = spool / f"{name}.part"
    partial.write_bytes(octets)
    partial.rename(spool / "in" / name)


def emitted(site: Site, kind: str) -> list[Path]:
    return sorted((site.folder / "spool" / "out" / kind / OPERATOR).glob("[0-9]*.xml"))


def moved(site: Site) -> list[str]:
    return sorted(each.name for each in (site.folder / "spool" / "done").glob("*"))


def test_a_file_goes_in_and_its_answer_comes_out(site) -> None:
    request_id, octets = site.request()
    with site.running("--embedded") as service:
        service.until_ready()
        drop(site, "1.xml", octets)
        eventually(lambda: emitted(site, "alerts"), "an alert")
        eventually(lambda: moved(site) == ["1.xml"], "the file's way to done")
        assert service.stop() == 0

    (response,), (alert,) = emitted(site, "responses"), emitted(site, "alerts")
    assert read_response(response.read_bytes()).request_id == request_id
    assert response.name.endswith("-I99.xml")
    assert read_alert(alert.read_bytes())[0].body.request_id == request_id


def test_each_line_about_a_request_names_it(site) -> None:
    request_id, octets = site.request()
    with site.running("--embedded") as service:
        service.until_ready()
        drop(site, "1.xml", octets)
        eventually(lambda: moved(site), "the file's way to done")
        service.stop()
    (line,) = [each for each in service.lines if "request_id" in each]
    assert line["request_id"] == str(request_id)
    assert (line["campaign_id"], line["srv"], line["code"]) == ("C-1", "11.20", ResponseCode.I99)
    assert all("event" in each for each in service.lines), "one JSON object a line"


def test_what_lies_there_at_the_start_is_taken_and_a_repeat_changes_nothing(site) -> None:
    _, octets = site.request()
    drop(site, "1.xml", octets)
    drop(site, "2.xml", octets)
    with site.running("--embedded") as service:
        eventually(lambda: len(emitted(site, "responses")) == 2, "two responses")
        assert service.stop(signal.SIGINT) == 0
    first, second = emitted(site, "responses")
    assert first.read_bytes() == second.read_bytes()
    assert len(emitted(site, "alerts")) == 1
    assert moved(site) == ["1.xml", "2.xml"]


def test_killed_at_any_moment_it_goes_on_where_it_was(site) -> None:
    site.more |= {"batch_size": 1, "relay_lease_seconds": 1}
    for number in range(20):
        drop(site, f"{number:02}.xml", site.request()[1])
    with site.running("--embedded") as service:
        eventually(lambda: emitted(site, "responses"), "the first response")
        service.process.kill()
        service.process.wait()
    with site.running("--embedded") as service:
        eventually(lambda: len(moved(site)) == 20, "every file's way to done")
        eventually(lambda: len(emitted(site, "alerts")) == 20, "every alert")
        assert service.until_ready().stop() == 0
    answered = {str(read_response(each.read_bytes()).request_id) for each in emitted(site, "responses")}
    assert len(answered) == 20
    assert len(emitted(site, "alerts")) == 20


def test_what_nobody_can_be_held_to_is_quarantined(site) -> None:
    drop(site, "bad.xml", b"<!DOCTYPE a><a/>")
    with site.running("--embedded") as service:
        service.until_ready()
        (path,) = eventually(
            lambda: list((site.folder / "spool" / "out" / "quarantine").glob("[0-9]*.xml")), "quarantine"
        )
        eventually(lambda: service.metric("chfw_sr_quarantine_messages") == 1, "the gauge")
        assert service.metric('chfw_sr_quarantined_total{code="E900"}') == 1
        service.stop()
    assert path.read_bytes() == b"<!DOCTYPE a><a/>"
    assert json.loads(path.with_suffix(".json").read_text())["x-chfw-code"] == "E900"
    (line,) = [each for each in service.lines if each.get("event") == "request quarantined"]
    assert line["level"] == "warning"


def test_it_can_be_seen_running(site) -> None:
    with site.running("--embedded") as service:
        service.until_ready()
        drop(site, "1.xml", site.request()[1])
        eventually(
            lambda: service.metric('chfw_sr_requests_total{code="I99",ending="Done",srv="11.20"}') == 1, "the counter"
        )
        eventually(lambda: service.metric('chfw_sr_alerts_published_total{code="N911"}') == 1, "the alert's counter")
        eventually(lambda: service.metric('chfw_sr_campaigns{stage="Draft"}') == 1, "the gauge")
        eventually(lambda: service.metric("chfw_sr_clock_active") == 1, "the clock")
        assert service.metric("chfw_sr_batch_messages_count") == 1
        assert json.loads(service.ask("/healthz")[1])["checks"].keys() == {
            "event loop",
            "probe",
            "heartbeat",
            "consumer",
            "clock",
            "purge",
            "relay",
        }
        done = site.call("healthcheck", "--metrics-port", str(service.port()))
        assert done.returncode == 0
        assert json.loads(done.stdout)["checks"] == {"database": "ok", "spool": "ok"}
        service.stop()


def test_roles_run_apart(site) -> None:
    drop(site, "1.xml", site.request()[1])
    with site.running("--embedded", "--no-relay", "--no-clock") as service:
        eventually(lambda: moved(site), "the file's way to done")
        eventually(lambda: service.metric("chfw_sr_outbox_messages") == 2, "two messages in the outbox")
        assert service.metric("chfw_sr_clock_active") == 0
        assert service.stop() == 0
    assert emitted(site, "alerts") == []
    with site.running("--embedded", "--no-consumer", "--no-clock") as service:
        eventually(lambda: emitted(site, "alerts"), "the alert")
        assert json.loads(service.ask("/healthz")[1])["checks"].keys() == {"event loop", "probe", "purge", "relay"}
        assert service.stop() == 0


def test_a_spool_that_goes_away_makes_it_not_ready_and_it_recovers(site) -> None:
    spool = site.folder / "spool"
    with site.running("--embedded") as service:
        service.until_ready()
        (spool / "in").rename(spool / "elsewhere")
        assert "gone" in service.until_not_ready()["spool"]
        done = site.call("healthcheck", "--metrics-port", str(service.port()))
        assert done.returncode == 1
        assert "not ready" in done.stderr
        (spool / "elsewhere").rename(spool / "in")
        service.until_ready()
        assert service.stop() == 0


def test_a_schema_that_is_not_current_makes_it_not_ready(site) -> None:
    with site.running("--embedded", "--no-consumer", "--no-relay") as service:
        service.until_ready()
        with sqlite3.connect(site.folder / "site.sqlite3") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        assert "9999" in service.until_not_ready()["database"]
        service.stop()


def test_a_second_signal_leaves_at_once(site) -> None:
    """A database that is locked keeps it from draining."""
    site.more["relay_lease_seconds"] = 1
    drop(site, "1.xml", site.request()[1])
    with site.running("--embedded") as service:
        eventually(lambda: moved(site), "the file's way to done")
        locked = sqlite3.connect(site.folder / "site.sqlite3", isolation_level=None)
        locked.execute("BEGIN IMMEDIATE")
        drop(site, "2.xml", site.request()[1])
        service.process.send_signal(signal.SIGTERM)
        eventually(lambda: [each for each in service.lines if each.get("event") == "SIGTERM: draining"], "draining")
        assert service.until_not_ready() == {"service": "is about to end"}
        assert service.process.poll() is None
        assert service.stop() == 128 + signal.SIGTERM
        locked.close()
    with site.running("--embedded") as service:
        eventually(lambda: moved(site) == ["1.xml", "2.xml"], "what was in hand")
        eventually(lambda: len(emitted(site, "alerts")) == 2, "both alerts")
        assert service.stop() == 0


def test_a_grace_period_that_is_over_ends_it(site) -> None:
    site.more["grace_seconds"] = 0.1
    drop(site, "1.xml", site.request()[1])
    with site.running("--embedded") as service:
        eventually(lambda: moved(site), "the file's way to done")
        locked = sqlite3.connect(site.folder / "site.sqlite3", isolation_level=None)
        locked.execute("BEGIN IMMEDIATE")
        assert service.stop() == 1
        locked.close()
    assert "not enough to drain" in str(service.lines[-1]["event"])


def test_a_loop_that_dies_takes_the_process_down(site) -> None:
    """The table of leases is gone: nothing that a retry would cure."""
    with site.running("--embedded") as service:
        service.until_ready()
        with sqlite3.connect(site.folder / "site.sqlite3") as connection:
            connection.execute("DROP TABLE beats")
        assert service.process.wait(timeout=60) == 4
    (line,) = [each for each in service.lines if each.get("level") == "critical"]
    assert "heartbeat" in str(line["event"])
    assert "no such table" in str(line["exception"])


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"spool": None}, 2, "spool is not set"),
        ({"spool": "site.sqlite3"}, 2, "spool"),
        ({"signing_key": None, "signing_certificate": None}, 2, "signing_key"),
        ({"dcc_eui": "90-B3-D5-1F-30-00-00-99"}, 2, "signing_certificate is 90-B3-D5-1F-30-00-00-02's"),
        ({"database_url": "sqlite+aiosqlite:///new.sqlite3"}, 2, "chfw-sr migrate"),
        ({"metrics_host": "256.0.0.1"}, 2, "metrics_host"),
    ],
)
def test_what_is_wrong_at_the_start_is_said(site, changed, code, said) -> None:
    site.more |= changed
    with site.running("--embedded") as service:
        assert service.process.wait(timeout=60) == code
    assert said in service.log.read_text("utf-8")
