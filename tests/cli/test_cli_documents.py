import json

import pytest

ALPHA, BETA, DCC = "90-B3-D5-1F-30-01-00-00", "90-B3-D5-1F-30-02-00-00", "90-B3-D5-1F-30-00-00-02"

REQUEST = f"""<?xml version="1.0"?>
<sr:Request xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway" schemaVersion="5.4">
  <sr:Header>
    <sr:RequestID>{ALPHA}:{DCC}:1</sr:RequestID>
    <sr:CommandVariant>8</sr:CommandVariant>
    <sr:ServiceReference>11.5</sr:ServiceReference>
    <sr:ServiceReferenceVariant>11.5</sr:ServiceReferenceVariant>
  </sr:Header>
  <sr:Body><sr:ReadPilotPlan><sr:CampaignID>C-1</sr:CampaignID></sr:ReadPilotPlan></sr:Body>
</sr:Request>
"""


@pytest.fixture
def folder(bare, tmp_path):
    """A folder with an authority, keys and certificates of Alpha and Beta, and a request by Alpha."""
    bare("pki", "init", tmp_path)
    for eui in (ALPHA, BETA):
        result = bare("pki", "issue", tmp_path, "--eui", eui, "--name", "A User", "--role", "IS")
        assert result.exit_code == 0
    (tmp_path / "request.xml").write_text(REQUEST)
    return tmp_path


@pytest.fixture
def sign(bare, folder):
    def run(file, *options, key=ALPHA, certificate=ALPHA):
        return bare(
            *("sign", folder / file, "--key", folder / f"{key}.key.pem"),
            *("--certificate", folder / f"{certificate}.pem", *options),
        )

    return run


@pytest.fixture
def signed(sign, folder):
    assert sign("request.xml", "-o", folder / "signed.xml").exit_code == 0
    return folder / "signed.xml"


def test_signed_to_a_file_and_verified(bare, folder, signed):
    result = bare("verify", signed, "--certificate", folder / f"{ALPHA}.pem")
    assert result.exit_code == 0
    assert f"{signed}: signed by {ALPHA}" in result.stdout
    assert result.stderr == ""


def test_signed_to_stdout_octet_by_octet(sign, bare, folder):
    result = sign("request.xml")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout_bytes.endswith(b"</ds:Signature></sr:Request>")
    (folder / "piped.xml").write_bytes(result.stdout_bytes)
    assert bare("verify", folder / "piped.xml", "--certificate", folder / f"{ALPHA}.pem").exit_code == 0


def test_what_is_signed_already_is_replaced_only_when_asked(sign, signed):
    result = sign("signed.xml")
    assert result.exit_code == 1
    assert f"{signed}: the document is signed already" in result.stderr
    assert result.stdout_bytes == b""
    result = sign("signed.xml", "--replace")
    assert result.exit_code == 0
    assert result.stdout_bytes.count(b"<ds:Signature ") == 1


def test_signing_for_another_user_is_said(sign):
    result = sign("request.xml", key=BETA, certificate=BETA)
    assert result.exit_code == 0
    assert "warning: the signature will not verify" in result.stderr


def test_a_key_that_is_not_the_certificates(sign, folder):
    result = sign("request.xml", key=BETA)
    assert result.exit_code == 2
    assert f"{BETA}.key.pem" in result.stderr
    (folder / f"{BETA}.key.pem").write_text("x")
    assert sign("request.xml", key=BETA).exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"), [("<a/>", "not a DUIS document"), ("<a>\n<b></a>", "line 2: not well-formed")]
)
def test_what_cannot_be_signed(sign, folder, text, message):
    (folder / "request.xml").write_text(text)
    result = sign("request.xml")
    assert result.exit_code == 1
    assert f"{folder / 'request.xml'}: {message}" in result.stderr


def test_verify_says_why_a_signature_does_not_hold(bare, folder, signed):
    changed = folder / "changed.xml"
    changed.write_bytes(signed.read_bytes().replace(b"C-1", b"C-2"))
    result = bare("verify", signed, changed, folder / "request.xml", "--certificate", folder / f"{ALPHA}.pem", "--json")
    assert result.exit_code == 1
    good, bad, unsigned = json.loads(result.stdout)
    assert (good["verified"], good["signed_by"], len(good["digest"])) == (True, ALPHA, 64)
    assert (bad["verified"], bad["code"]) == (False, "E902")
    assert "changed" in bad["reason"]
    assert unsigned["code"] == "E902"
    assert "2 of 3 documents not verified" in result.stderr


def test_verify_at_another_time(bare, folder, signed):
    certificate = folder / f"{ALPHA}.pem"
    assert bare("verify", signed, "--certificate", certificate, "--at", "2020-01-01T00:00:00Z").exit_code == 1


def test_verify_with_the_certificates_of_the_database(cli, folder, signed):
    result = cli("verify", signed)
    assert result.exit_code == 1
    assert "(E902)" in result.stdout
    assert cli("users", "import", folder / "users.toml").exit_code == 0
    assert cli("verify", signed).exit_code == 0


def test_a_certificate_that_is_no_users(bare, folder, signed):
    for file in ("authority.pem", "request.xml"):
        result = bare("verify", signed, "--certificate", folder / file)
        assert result.exit_code == 2
        assert f"{folder / file}: not a User's certificate" in result.stderr


def test_validate(bare, folder, signed):
    result = bare("validate", folder / "request.xml", signed)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"{folder / 'request.xml'}: valid", f"{signed}: valid"]


def test_validate_names_line_path_and_reason(bare, folder):
    wrong, broken = folder / "wrong.xml", folder / "broken.xml"
    wrong.write_text(REQUEST.replace("C-1", "no blanks"))
    broken.write_text("<a>")
    result = bare("validate", folder / "request.xml", wrong, broken, "--json")
    assert result.exit_code == 1
    good, bad, malformed = json.loads(result.stdout)
    assert good == {"file": str(folder / "request.xml"), "valid": True}
    assert (bad["valid"], bad["code"], bad["line"]) == (False, "E901", 9)
    assert bad["path"].endswith("sr:CampaignID")
    assert malformed["code"] == "E900"
    result = bare("validate", wrong)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{wrong}: line 9, /sr:Request")
    assert "1 of 1 documents not valid" in result.stderr


def test_a_file_that_is_not_there(bare):
    result = bare("validate", "nowhere.xml")
    assert result.exit_code == 2
    assert "nowhere.xml" in result.stderr
