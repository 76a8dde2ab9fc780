"""`replay` of plain files, and `quarantine replay`, through the command line."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chfw_sr.campaign.model import User
from chfw_sr.messages import CreateFirmwareCampaign, Period, RequestID, Role, ServiceRequest, parse_eui
from chfw_sr.messages.identifiers import parse_campaign_id
from chfw_sr.service.ports import UserRecord
from chfw_sr.wire import Signer, TrustedCertificate, write_request
from chfw_sr.wire.pki import certificate_pem, issue, key_pem, make_authority

DCC = parse_eui("90-B3-D5-1F-30-00-00-02")
OPERATOR = parse_eui("90-B3-D5-1F-30-00-00-03")
NOW = datetime.now(UTC)


@pytest.fixture
def operator(on_store, tmp_path, monkeypatch):
    """Registers an operator without a certificate; gives its record with one, and its signer."""
    authority = make_authority("Test Authority")
    made = {eui: issue(authority, eui, "A User", NOW - timedelta(1), NOW + timedelta(30)) for eui in (DCC, OPERATOR)}
    certificate, key = made[DCC]
    (tmp_path / "dcc.pem").write_bytes(certificate_pem(certificate))
    (tmp_path / "dcc.key.pem").write_bytes(key_pem(key))
    (tmp_path / "dcc.key.pem").chmod(0o600)
    monkeypatch.setenv("CHFW_SR_SIGNING_KEY", str(tmp_path / "dcc.key.pem"))
    monkeypatch.setenv("CHFW_SR_SIGNING_CERTIFICATE", str(tmp_path / "dcc.pem"))
    certificate, key = made[OPERATOR]
    record = UserRecord(User(OPERATOR, "Operator", frozenset({Role.DCC})), (TrustedCertificate(certificate, OPERATOR),))
    on_store(lambda store: store.register.save_users([replace(record, certificates=())], NOW))
    return record, Signer.of(key, certificate)


def request(counter, signer):
    body = CreateFirmwareCampaign(
        campaign_id=parse_campaign_id(f"CH-{counter}"),
        manufacturer="Acme",
        model="Hub-1",
        firmware_version="02.00",
        pilot_period=Period(start=NOW, end=NOW + timedelta(60)),
    )
    request_id = RequestID(originator=OPERATOR, target=DCC, counter=counter)
    return write_request(ServiceRequest(request_id=request_id, body=body), signer)


def test_a_folder_of_files_is_sent_in_by_name(cli, operator, on_store, tmp_path):
    record, signer = operator
    on_store(lambda store: store.register.save_users([record], NOW))
    (tmp_path / "in").mkdir()
    for counter in (2, 1):
        (tmp_path / "in" / f"{counter}.xml").write_bytes(request(counter, signer))
    (tmp_path / "in" / "3.xml").write_bytes(b"junk")
    done = cli("replay", "in", "--out", "out", "--json")
    assert done.exit_code == 0
    assert [(row["what"], row["code"], row["alerts"]) for row in json.loads(done.stdout)] == [
        ("in/1.xml", "I99", {f"{OPERATOR} N911": 1}),
        ("in/2.xml", "I99", {f"{OPERATOR} N911": 1}),
        ("in/3.xml", "E900", {}),
    ]
    assert sorted(path.name for path in (tmp_path / "out" / "alerts" / OPERATOR).iterdir()) == [
        "0001-N911.xml",
        "0002-N911.xml",
    ]
    table = cli("replay", "in/1.xml", "--out", "again")
    assert table.exit_code == 0
    assert "Repeated" in table.stdout


def test_quarantined_input_is_sent_in_again_once_it_can_be_attributed(cli, operator, on_store, tmp_path):
    record, signer = operator
    (tmp_path / "1.xml").write_bytes(request(1, signer))
    assert "E902" in cli("replay", "1.xml", "--out", "first").stdout
    ((item,),) = (json.loads(cli("quarantine", "list", "--json").stdout),)
    assert item["replayed_at"] is None

    on_store(lambda store: store.register.save_users([record], NOW))
    done = cli("quarantine", "replay", str(item["id"]), "--out", "second", "--json")
    assert done.exit_code == 0, done.stderr
    ((row,),) = (json.loads(done.stdout),)
    assert (row["ending"], row["code"]) == ("Done", "I99")
    ((item,),) = (json.loads(cli("quarantine", "list", "--json").stdout),)
    assert item["replayed_at"] is not None


def test_an_unknown_item_stops_before_anything_is_sent(cli, operator):
    done = cli("quarantine", "replay", "7", "--out", "out")
    assert (done.exit_code, "nothing was sent in" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("missing.xml",), "missing.xml: no such file or folder"),
        (("empty",), "empty: neither a scenario.toml nor *.xml in it"),
        (("bad",), "bad/scenario.toml: "),
        (("a/same", "b/same"), "several scenarios are called same"),
    ],
)
def test_what_cannot_be_replayed_is_named(cli, tmp_path, arguments, complaint):
    for folder in ("empty", "bad", "a/same", "b/same"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bad" / "scenario.toml").write_text("title = 1")
    good = f"""
title = "t"
provenance = "p"
dcc = "{DCC}"
users = "u"
signing_key = "k"
signing_certificate = "c"
step = [{{ at = 2027-01-04T09:00:00Z }}]
"""
    for folder in ("a/same", "b/same"):
        (tmp_path / folder / "scenario.toml").write_text(good)
    done = cli("replay", *arguments, "--out", "out")
    assert done.exit_code in (1, 2)
    assert complaint in done.stderr


def test_a_folder_that_has_something_in_it_is_left_alone(cli, operator, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    done = cli("replay", "1.xml", "--out", "out")
    assert (done.exit_code, "not an empty folder" in done.stderr) == (2, True)


def test_nothing_can_be_signed_without_a_key(cli, tmp_path):
    (tmp_path / "1.xml").write_bytes(b"junk")
    done = cli("replay", "1.xml", "--out", "out")
    assert (done.exit_code, "signing_key" in done.stderr) == (2, True)
