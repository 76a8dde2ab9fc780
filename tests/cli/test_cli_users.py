import json
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chfw_sr.messages import Region, Role, UserStatus
from chfw_sr.service.registration import InvalidFile, read_users
from chfw_sr.wire import pki

ALPHA, BETA, NORTH = "90-B3-D5-1F-30-01-00-00", "90-B3-D5-1F-30-02-00-00", "90-B3-D5-1F-30-07-00-00"


@pytest.fixture(scope="session")
def authority():
    return pki.make_authority("Test authority")


@pytest.fixture
def folder(tmp_path, authority):
    """A folder with two certificates of Alpha, one of Beta, and files that are no certificate of a User."""
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
    for file, eui in (("alpha.pem", ALPHA), ("alpha-old.pem", ALPHA), ("beta.pem", BETA)):
        certificate, _ = pki.issue(authority, eui, file, begin, end)
        (tmp_path / file).write_bytes(pki.certificate_pem(certificate))
    (tmp_path / "authority.pem").write_bytes(pki.certificate_pem(authority.certificate))
    (tmp_path / "text.pem").write_text("not PEM")
    return tmp_path


@pytest.fixture
def users_file(folder):
    def write(name, text):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


TOML = f"""
# two Users
[[user]]
eui = "{ALPHA.lower()}"
name = "Alpha Energy"
roles = ["IS", "GS"]
certificates = ["alpha.pem"]
revoked = {{ "alpha-old.pem" = 2026-01-31T12:00:00+01:00 }}

[[user]]
eui = "{NORTH}"
name = "North Comms"
roles = ["CSP"]
status = "Suspended"
regions = ["North", "South"]
"""

CSV = f"""\ufeffeui,name,roles,status,regions,certificates,revoked
{ALPHA.lower()},Alpha Energy,IS; GS,,,alpha.pem,alpha-old.pem=2026-01-31T12:00:00+01:00

{NORTH},North Comms,CSP,Suspended,North;South,,
"""


@pytest.mark.parametrize(("name", "text"), [("users.toml", TOML), ("users.csv", CSV)])
def test_both_forms_say_the_same(users_file, name, text):
    alpha, north = read_users(users_file(name, text))
    assert (alpha.user.eui, alpha.user.name, alpha.user.status) == (ALPHA, "Alpha Energy", UserStatus.ACTIVE)
    assert alpha.user.roles == {Role.IS, Role.GS}
    assert [each.holder for each in alpha.certificates] == [ALPHA, ALPHA]
    assert [each.revoked_at for each in alpha.certificates] == [None, datetime(2026, 1, 31, 11, tzinfo=UTC)]
    assert (north.user.status, north.user.regions) == (UserStatus.SUSPENDED, {Region.NORTH, Region.SOUTH})
    assert north.certificates == ()


def test_certificates_can_be_left_unread(users_file):
    alpha, _ = read_users(users_file("users.toml", TOML.replace("alpha", "missing")), with_certificates=False)
    assert alpha.certificates == ()


def user(**changes):
    values = {"eui": f'"{ALPHA}"', "name": '"Alpha"', "roles": '["IS"]'} | changes
    return "[[user]]\n" + "".join(f"{key} = {value}\n" for key, value in values.items() if value)


@pytest.mark.parametrize(
    ("text", "line", "field", "reason"),
    [
        (user(eui='"x"'), 2, "eui", "not an EUI"),
        (user(eui="7"), 2, "eui", "not an EUI"),
        (user(eui=""), 1, "eui", "missing"),
        (user(name='""'), 3, "name", "printable"),
        (user(name='"a\\u0007"'), 3, "name", "printable"),
        (user(roles='["XX"]'), 4, "roles", "'XX' is none of IS, ES"),
        (user(certificates="[]"), 5, "certificates", "at least one"),
        (user(roles='"IS"'), 4, "roles", "not a list"),
        (user(roles="[1]"), 4, "roles", "not a list"),
        (user(status='"active"'), 5, "status", "none of Active, Suspended"),
        (user(regions='["West"]', roles='["CSP"]'), 5, "regions", "none of North"),
        (user(regions='["North"]'), 5, "regions", "only a CSP"),
        (user(roles='["CSP"]'), 1, "regions", "at least one region"),
        (user(certificates='["beta.pem"]'), 5, "certificates", f"beta.pem: the certificate is of {BETA}"),
        (user(certificates='["nowhere.pem"]'), 5, "certificates", "nowhere.pem: No such file"),
        (user(certificates='["text.pem"]'), 5, "certificates", "text.pem: not a certificate in PEM form"),
        (user(certificates='["authority.pem"]'), 5, "certificates", "authority.pem: the certificate's subject"),
        (user(revoked='{ "alpha.pem" = "soon" }'), 5, "revoked", "not a date and time: 'soon'"),
        (user(revoked='{ "alpha.pem" = 2026-01-01T00:00:00 }'), 5, "revoked", "needs an offset"),
        (user(revoked='["alpha.pem"]'), 5, "revoked", "date and time of its revocation"),
        (user(revoked='{ "beta.pem" = 2026-01-01T00:00:00Z }'), 5, "revoked", "beta.pem: the certificate is of"),
        (user(role='["IS"]'), 5, "role", "unknown key; did you mean roles?"),
        (user() + user(), 6, "eui", "comes twice"),
        (
            user(certificates='["alpha.pem", "./alpha.pem"]'),
            5,
            "certificates",
            "of this issuer comes twice",
        ),
        ("users = []", None, "users", "[[user]]"),
        ("user = 3", None, "user", "[[user]]"),
        ("[user]\neui = 1", None, "user", "[[user]]"),
        ("user = [{ eui = 'x', name = 'A', roles = ['IS'] }]", None, "eui", "not an EUI"),
        ("[[user]\n", None, None, "line 1"),
    ],
)
def test_a_fault_in_toml_is_named_with_line_and_field(users_file, text, line, field, reason):
    with pytest.raises(InvalidFile) as caught:
        read_users(users_file("users.toml", text))
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (line, field)
    assert reason in problem.reason


def test_a_user_may_have_no_role_but_only_if_that_is_said(users_file):
    (record,) = read_users(users_file("users.toml", user(roles="[]")))
    assert record.user.roles == frozenset()
    with pytest.raises(InvalidFile, match="field roles: missing"):
        read_users(users_file("users.csv", f"eui,name,roles\n{ALPHA},Alpha,\n"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "empty"),
        ("eui,nam,roles\n", "line 1: unknown column 'nam'; did you mean name?"),
        ("eui,name,roles\n\nx,A,IS\n", "line 3, field eui: not an EUI"),
        (f"eui,name,roles\n{ALPHA},A\n", "line 2: 2 fields where the header has 3"),
        (f'eui,name,roles\n{ALPHA},"A"b,IS\n', "line 2: not CSV"),
        (f"eui,name,roles,revoked\n{ALPHA},A,IS,alpha.pem\n", "line 2, field revoked: not paths"),
        (f"eui,name,roles,status\n{ALPHA},,IS,\n", "line 2, field name: missing"),
    ],
)
def test_a_fault_in_csv_is_named_with_line_and_field(users_file, text, place):
    path = users_file("users.csv", text)
    with pytest.raises(InvalidFile) as caught:
        read_users(path)
    assert f"{path}: " in str(caught.value)
    assert place in str(caught.value)


def test_all_faults_are_told_in_order_of_lines(users_file):
    text = user(eui='"x"', name='""') + user(roles='["XX"]', certificates='["nowhere.pem"]')
    with pytest.raises(InvalidFile) as caught:
        read_users(users_file("users.toml", text))
    assert [(problem.line, problem.field) for problem in caught.value.problems] == [
        (2, "eui"),
        (3, "name"),
        (8, "roles"),
        (9, "certificates"),
    ]


def test_a_file_that_is_not_utf8(folder):
    path = folder / "users.toml"
    path.write_bytes(b'x = "\xff"')
    with pytest.raises(InvalidFile, match="octet 5"):
        read_users(path)


def test_a_certificate_that_cannot_sign_duis_is_refused(users_file, folder):
    key = ec.generate_private_key(ec.SECP384R1())
    wrong = (
        x509.CertificateBuilder()
        .subject_name(x509.load_pem_x509_certificate((folder / "alpha.pem").read_bytes()).subject)
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    (folder / "p384.pem").write_bytes(pki.certificate_pem(wrong))
    with pytest.raises(InvalidFile, match=r"p384\.pem: not for DUIS signatures"):
        read_users(users_file("users.toml", user(certificates='["p384.pem"]')))


# ------------------------------------------------------------------------------------------------------------- command


def test_import_and_list(cli, users_file):
    result = cli("users", "import", users_file("users.toml", TOML), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"users": 2, "certificates": 2}
    alpha, north = json.loads(cli("users", "list", "--json").stdout)
    assert (alpha["eui"], alpha["roles"], north["regions"]) == (ALPHA, ["GS", "IS"], ["North", "South"])
    assert sorted(each["revoked_at"] or "" for each in alpha["certificates"]) == ["", "2026-01-31T11:00:00Z"]
    assert {each["not_after"] for each in alpha["certificates"]} == {"2036-01-01T00:00:00Z"}
    listed = cli("users", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("90-")] == [ALPHA, NORTH]
    assert listed.stderr == ""


def test_import_replaces_and_withdraws(cli, users_file):
    cli("users", "import", users_file("users.toml", TOML))
    result = cli("users", "import", users_file("users.toml", user(name='"Alpha Two"')))
    assert result.stdout == ""
    assert "1 users with 0 certificates" in result.stderr
    alpha, north = json.loads(cli("users", "list", "--json").stdout)
    assert (alpha["name"], alpha["certificates"], north["name"]) == ("Alpha Two", [], "North Comms")


def test_import_is_all_or_nothing(cli, users_file):
    path = users_file("users.toml", TOML.replace('"CSP"', '"CPS"'))
    result = cli("users", "import", path)
    assert result.exit_code == 1
    assert f"{path}: line 13, field roles: 'CPS'" in result.stderr
    assert result.stdout == ""
    assert json.loads(cli("users", "list", "--json").stdout) == []


def test_twenty_faults_are_shown_and_the_others_counted(cli, users_file):
    path = users_file("users.csv", "eui,name,roles\n" + "x,A,IS\n" * 23)
    result = cli("users", "import", path)
    assert result.stderr.count("not an EUI") == 20
    assert f"{path}: and 3 more" in result.stderr


def test_import_takes_contacts_and_list_shows_them(cli, users_file):
    contact = 'channels = "both"\nemail = "Ops@ALPHA.example"\n'
    cli("users", "import", users_file("users.toml", user() + contact))
    (alpha,) = json.loads(cli("users", "list", "--json").stdout)
    assert (alpha["channels"], alpha["email"]) == ("both", "Ops@alpha.example")

    row = f"{ALPHA},Alpha,IS,email,ops@alpha.example"
    cli("users", "import", users_file("users.csv", f"eui,name,roles,channels,email\n{row}\n"))
    (alpha,) = json.loads(cli("users", "list", "--json").stdout)
    assert (alpha["channels"], alpha["email"]) == ("email", "ops@alpha.example")


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ("email,", "field email: missing; channels is email"),
        ("both,nobody", "field email: not an e-mail address such as operations@supplier.example"),
        ("post,ops@alpha.example", "field channels: 'post'"),
    ],
)
def test_contacts_that_cannot_be_used_are_refused(cli, users_file, cells, fault):
    result = cli("users", "import", users_file("users.csv", f"eui,name,roles,channels,email\n{ALPHA},A,IS,{cells}\n"))
    assert result.exit_code == 1
    assert fault in result.stderr
    assert result.stderr.count("field") == 1
