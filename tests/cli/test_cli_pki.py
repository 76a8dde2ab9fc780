import json
import stat
import tomllib
from datetime import UTC, datetime

import pytest
from cryptography import x509

from chfw_sr.service.registration import read_users
from chfw_sr.wire import Signer, holder_eui

ALPHA, NORTH = "90-B3-D5-1F-30-01-00-00", "90-B3-D5-1F-30-07-00-00"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(bare, tmp_path):
    path = tmp_path / "new" / "pki"
    result = bare("pki", "init", path)
    assert result.exit_code == 0, result.stderr
    return path


def test_init_makes_an_authority_with_a_private_key(folder):
    authority = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert "chfw-sr test authority" in authority.subject.rfc4514_string()
    assert mode(folder / "authority.key.pem") == 0o600


def test_init_overwrites_nothing(bare, folder):
    before = (folder / "authority.key.pem").read_bytes()
    result = bare("pki", "init", folder)
    assert result.exit_code == 2
    assert "not overwritten" in result.stderr
    assert (folder / "authority.key.pem").read_bytes() == before


def test_a_name_that_does_not_fit(bare, tmp_path):
    result = bare("pki", "init", tmp_path / "x", "--name", "x" * 65)
    assert result.exit_code == 2
    assert "--name" in result.stderr
    assert not (tmp_path / "x").exists()


def test_issue_for_one_user(bare, folder):
    result = bare(
        *("pki", "issue", folder, "--eui", ALPHA.lower(), "--name", 'Alpha "Energy"', "--role", "IS", "--role", "GS"),
        *("--days", 10, "--from", "2026-03-01T00:00:00+01:00"),
    )
    assert result.exit_code == 0
    assert result.stdout == ""
    certificate = x509.load_pem_x509_certificate((folder / f"{ALPHA}.pem").read_bytes())
    assert holder_eui(certificate) == ALPHA
    assert certificate.not_valid_before_utc == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 10
    Signer.from_pem((folder / f"{ALPHA}.key.pem").read_bytes(), (folder / f"{ALPHA}.pem").read_bytes())
    assert mode(folder / f"{ALPHA}.key.pem") == 0o600
    (record,) = read_users(folder / "users.toml")
    assert (record.user.name, record.user.roles) == ('Alpha "Energy"', {"IS", "GS"})
    assert [trusted.certificate for trusted in record.certificates] == [certificate]


def test_issue_adds_to_the_users_file(cli, folder):
    for arguments in (
        ("--eui", ALPHA, "--name", "Alpha", "--role", "IS"),
        ("--eui", NORTH, "--name", "North", "--role", "CSP", "--region", "North"),
        ("--eui", "90-B3-D5-1F-30-00-00-02", "--name", "No User"),
    ):
        assert cli("pki", "issue", folder, *arguments).exit_code == 0
    assert (folder / "90-B3-D5-1F-30-00-00-02.pem").exists()
    document = tomllib.loads((folder / "users.toml").read_text())
    assert [each["eui"] for each in document["user"]] == [ALPHA, NORTH]
    assert cli("users", "import", folder / "users.toml").exit_code == 0
    assert len(json.loads(cli("users", "list", "--json").stdout)) == 2


def test_issue_for_a_users_file(bare, folder, tmp_path):
    parties = tmp_path / "parties.csv"
    parties.write_text(
        f"eui,name,roles,status,regions\n{ALPHA},Alpha,IS;ED,Suspended,\n{NORTH},Nörth,CSP,,South;North\n",
        encoding="utf-8",
    )
    assert bare("pki", "issue", folder, "--users", parties).exit_code == 0
    issued = read_users(folder / "users.toml")
    assert [each.user for each in issued] == [each.user for each in read_users(parties)]
    assert [len(each.certificates) for each in issued] == [1, 1]


def test_issue_overwrites_nothing_and_then_writes_nothing(bare, folder, tmp_path):
    bare("pki", "issue", folder, "--eui", NORTH, "--name", "North")
    parties = tmp_path / "parties.csv"
    parties.write_text(f"eui,name,roles,regions\n{ALPHA},Alpha,IS,\n{NORTH},North,CSP,North\n")
    result = bare("pki", "issue", folder, "--users", parties)
    assert result.exit_code == 2
    assert f"{NORTH}.pem: exists already" in result.stderr
    assert not (folder / f"{ALPHA}.pem").exists()
    assert not (folder / "users.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --eui and --name"),
        (("--eui", ALPHA), "give --eui and --name"),
        (("--eui", "x", "--name", "A"), "not an EUI"),
        (("--eui", ALPHA, "--name", "x" * 65), "no certificate can be issued"),
        (("--eui", ALPHA, "--name", "A", "--from", "9999-12-01T00:00:00Z"), "no certificate can be issued"),
        (("--eui", ALPHA, "--name", "A", "--role", "CSP"), "at least one region"),
        (("--eui", ALPHA, "--name", "A", "--region", "North"), "only a CSP"),
        (("--eui", ALPHA, "--name", "A", "--from", "2026-01-01"), "offset"),
        (("--users", "users.csv", "--name", "A"), "--users stands alone"),
    ],
)
def test_what_cannot_be_issued(bare, folder, tmp_path, arguments, message):
    (tmp_path / "users.csv").write_text("eui,name,roles\n")
    result = bare("pki", "issue", folder, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert sorted(path.name for path in folder.iterdir()) == ["authority.key.pem", "authority.pem"]


def test_no_authority(bare, tmp_path):
    result = bare("pki", "issue", tmp_path, "--eui", ALPHA, "--name", "A")
    assert result.exit_code == 2
    assert f"chfw-sr pki init {tmp_path}" in result.stderr


@pytest.mark.parametrize(("file", "message"), [("authority.pem", "cannot be read"), ("authority.key.pem", "cannot be")])
def test_a_damaged_authority(bare, folder, file, message):
    (folder / file).write_text("x")
    result = bare("pki", "issue", folder, "--eui", ALPHA, "--name", "A")
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_key_of_another_authority(bare, folder, tmp_path):
    bare("pki", "init", tmp_path / "other")
    (folder / "authority.key.pem").write_bytes((tmp_path / "other" / "authority.key.pem").read_bytes())
    result = bare("pki", "issue", folder, "--eui", ALPHA, "--name", "A")
    assert result.exit_code == 2
    assert "is not the key of" in result.stderr
