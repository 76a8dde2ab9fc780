"""Private keys: read from safe places only, and never seen again."""

import base64
import os
import sqlite3
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives import serialization

from chfw_sr.bootstrap.keys import load_signer
from chfw_sr.keyfiles import ExposedKey, exposure, read_private_key
from chfw_sr.settings import SettingsError, load_settings
from chfw_sr.wire.pki import certificate_pem, issue, key_pem, make_authority
from tests.running.site import DAY, DCC, eventually
from tests.running.test_embedded import drop, moved

US, ROOT, STRANGER = 10_001, 0, 10_002


@dataclass
class Found:
    """As much of `os.stat_result` as counts."""

    st_uid: int
    st_mode: int


@pytest.mark.parametrize(
    ("owner", "mode", "safe"),
    [
        (US, 0o600, True),
        (US, 0o400, True),
        (US, 0o640, False),
        (US, 0o604, False),
        (US, 0o644, False),
        (US, 0o620, False),
        (US, 0o602, False),
        (US, 0o610, False),
        (ROOT, 0o600, True),
        (ROOT, 0o440, True),  # a secret of Kubernetes with an fsGroup
        (ROOT, 0o640, True),
        (ROOT, 0o660, False),
        (ROOT, 0o644, False),
        (ROOT, 0o444, False),
        (STRANGER, 0o600, False),
        (STRANGER, 0o400, False),
    ],
)
def test_a_key_is_safe_where_only_we_and_root_get_at_it(owner, mode, safe) -> None:
    fault = exposure(Found(owner, 0o100000 | mode), US)
    assert (fault is None) is safe
    if fault and owner == STRANGER:
        assert str(STRANGER) in fault
    elif fault:
        assert f"{mode:04o}" in fault
        assert "chmod" in fault


def test_a_key_of_root_read_by_root_is_its_own() -> None:
    assert exposure(Found(ROOT, 0o100640), ROOT)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_the_service_refuses_a_signing_key_that_others_can_read(site, mode) -> None:
    (site.folder / "dcc.key.pem").chmod(mode)
    with pytest.raises(SettingsError, match=rf"dcc\.key\.pem: .*{mode:04o}.*chmod"):
        load_signer(site.settings)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_it_takes_one_that_they_cannot_through_a_link_too(site, mode) -> None:
    (site.folder / "dcc.key.pem").chmod(mode)
    (site.folder / "link").symlink_to("dcc.key.pem")
    site.more |= {"signing_key": site.folder / "link"}
    assert load_signer(site.settings)


def test_a_link_is_judged_by_what_it_leads_to(site) -> None:
    (site.folder / "dcc.key.pem").chmod(0o644)
    (site.folder / "link").symlink_to("dcc.key.pem")
    with pytest.raises(ExposedKey):
        read_private_key(site.folder / "link")


def test_a_key_that_is_not_there_is_said(site) -> None:
    site.more |= {"signing_key": site.folder / "missing.pem"}
    with pytest.raises(SettingsError, match=r"missing\.pem"):
        load_signer(site.settings)


def test_the_key_can_come_from_the_environment(site, monkeypatch) -> None:
    from_file = load_signer(site.settings)
    monkeypatch.setenv("CHFW_SR_SIGNING_KEY_PEM", (site.folder / "dcc.key.pem").read_text())
    settings = load_settings({"signing_certificate": site.folder / "dcc.pem"})
    assert load_signer(settings).key.private_numbers() == from_file.key.private_numbers()


def test_two_keys_and_a_key_without_a_certificate_are_refused(site) -> None:
    with pytest.raises(SettingsError, match="one of them"):
        load_settings(site.values | {"signing_key_pem": "x"}, {})
    with pytest.raises(SettingsError, match="go together"):
        load_settings({"signing_key_pem": "x"}, {})


def test_a_key_in_the_settings_file_is_refused(tmp_path) -> None:
    (tmp_path / "chfw-sr.toml").write_text('signing_key_pem = "secret"\n')
    with pytest.raises(SettingsError, match="environment only") as raised:
        load_settings({}, {})
    assert "secret" not in str(raised.value)


def test_an_authoritys_key_that_others_can_read_issues_nothing(bare, tmp_path) -> None:
    assert bare("pki", "init", "pki").exit_code == 0
    (tmp_path / "pki" / "authority.key.pem").chmod(0o644)
    refused = bare("pki", "issue", "pki", "--eui", DCC, "--name", "DCC")
    assert (refused.exit_code, "0644" in refused.stderr) == (2, True)
    assert not (tmp_path / "pki" / f"{DCC}.pem").exists()


def test_signing_by_hand_warns_of_a_key_that_others_can_read(site, bare) -> None:
    (site.folder / "request.xml").write_bytes(site.request()[1])
    (site.folder / "dcc.key.pem").chmod(0o644)
    signed = bare("sign", "request.xml", "--replace", "--key", "dcc.key.pem", "--certificate", "dcc.pem")
    assert signed.exit_code == 0
    assert "warning: " in signed.stderr
    assert "0644" in signed.stderr


# ------------------------------------------------------------------------------------------------- never to be seen


def traces(pem: str) -> list[bytes]:
    """Give every form in which a key could be seen: a line of its PEM, its octets, its number."""
    key = serialization.load_pem_private_key(pem.encode(), None)
    secret = key.private_numbers().private_value
    octets = secret.to_bytes(32, "big")
    lines = pem.splitlines()[1:3]  # the third line is the public key's
    forms = [octets, octets.hex().encode(), octets.hex(":").encode(), str(secret).encode(), repr(octets).encode()[2:-1]]
    return [line[:40].encode() for line in lines] + forms + [base64.b64encode(octets)[:40], b"PRIVATE KEY"]


def test_neither_logs_nor_database_nor_output_hold_the_key(site, bare, monkeypatch) -> None:
    """Two runs, as in a rotation: the first with a key from a file, the second with another from the environment."""
    first = (site.folder / "dcc.key.pem").read_text()
    authority = make_authority("Another Authority")
    now = site.operator.certificates[0].certificate.not_valid_before_utc
    certificate, key = issue(authority, DCC, "DCC", now, now + 30 * DAY)
    second = key_pem(key).decode()
    site.more |= {"log_level": "debug"}
    drop(site, "1.xml", site.request()[1])
    drop(site, "2.xml", b"junk")
    run(site, 2)
    (site.folder / "new.pem").write_bytes(certificate_pem(certificate))
    site.more |= {"signing_key": None, "signing_key_pem": second, "signing_certificate": site.folder / "new.pem"}
    drop(site, "3.xml", site.request()[1])
    run(site, 3)
    monkeypatch.setenv("CHFW_SR_SIGNING_KEY_PEM", second)
    monkeypatch.setenv("CHFW_SR_SIGNING_CERTIFICATE", str(site.folder / "new.pem"))
    printed = [bare("settings"), bare("settings", "--json"), bare("run", "--show-settings")]
    assert all("signing_key_pem" in each.stdout for each in printed)
    garbled = (second.replace("PRIVATE", "PRIVTE"), second[:-60], second.replace("\n", "", 2))
    monkeypatch.setenv("CHFW_SR_SIGNING_CERTIFICATE", str(site.folder / "dcc.pem"))
    for pem in (second, *garbled):
        monkeypatch.setenv("CHFW_SR_SIGNING_KEY_PEM", pem)
        printed.append(failed := bare("run", "--embedded"))
        assert failed.exit_code == 2
        assert "signing_key" in failed.stderr
    seen = b"".join(each.stdout.encode() + each.stderr.encode() for each in printed)
    with sqlite3.connect(site.folder / "site.sqlite3") as connection:
        seen += "\n".join(connection.iterdump()).encode()
    for folder, _, names in os.walk(site.folder):
        kept = [name for name in names if name != "dcc.key.pem"]
        seen += b"".join((site.folder / folder / name).read_bytes() for name in kept)
    assert b"I99" in seen
    assert [form for pem in (first, second) for form in traces(pem) if form in seen] == []


def run(site, files: int) -> None:
    with site.running("--embedded") as service:
        eventually(lambda: len(moved(site)) == files, f"{files} files done")
        assert service.stop() == 0
