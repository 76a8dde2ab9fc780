"""Certificates, their holders, and the names of their issuers."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtensionOID, NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.messages import parse_eui
from chfw_sr.wire import TrustedCertificate, TrustStore, holder_eui, pki
from chfw_sr.wire.names import MAX_NAME, name_of, parse_name, write_name
from tests.wire.makers import ALICE, AUTHORITY, DCC, NOW, SUPPLIER

UNIQUE_IDENTIFIER = NameOID.X500_UNIQUE_IDENTIFIER


def name(*parts: tuple) -> x509.Name:
    return x509.Name([x509.NameAttribute(*part) for part in parts])


# Names


@pytest.mark.parametrize(
    "text",
    [
        "CN=Z1,OU=07",
        "CN=Z1, OU=07",
        "  CN = Z1 ,  OU = 07  ",
        "cn=z1,ou=07",
        "CN=Z1;OU=07",
        'CN="Z1",OU="07"',
        "2.5.4.3=Z1,OID.2.5.4.11=07",
        "oid.2.5.4.3=Z1,2.5.4.11=07",
        "CN=#0c025a31,OU=#13023037",
        "CN=#1E04005A0031 , OU=#16023037",
        "CN=\\5a\\31,OU=\\30\\37",
        "CN=\\Z1,OU=07",
    ],
)
def test_one_name_is_written_in_many_ways(text):
    assert parse_name(text) == name_of(AUTHORITY.certificate.subject)


@pytest.mark.parametrize(
    "text",
    [
        "OU=07,CN=Z1",
        "CN=Z1",
        "CN=Z1+OU=07",
        "CN=Z 1,OU=07",
        "CN=Z1,O=07",
        "CN=Z1,OU=07,C=GB",
        "CN=#04025a31,OU=07",
        'CN="Z1,OU=07"',
    ],
)
def test_other_names_are_other_names(text):
    assert parse_name(text) != name_of(AUTHORITY.certificate.subject)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z1",
        "CN=Z1,",
        "CN=Z1,,OU=07",
        "=Z1",
        "NOSUCHKEYWORD=Z1",
        "CN=Z1\\",
        'CN="Z1',
        'CN="Z1"x',
        "CN=#0",
        "CN=#0c",
        "CN=#0c035a31",
        "CN=#0c01ff",
        "CN=\\ff",
        "1=Z1",
        "CN=" + "x" * MAX_NAME,
    ],
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(ValueError):
        parse_name(text)


def test_runs_of_blanks_and_letter_case_do_not_count():
    assert parse_name("CN=The  Authority\\ , O= É") == parse_name("cn=the authority,o=é")


def test_several_parts_may_stand_together_in_any_order():
    assert parse_name("CN=a+OU=b,C=GB") == parse_name("OU=b + CN=a, C=gb")


def test_a_name_with_an_identifier_is_written_and_read():
    identified = name(
        (NameOID.COMMON_NAME, "x"),
        (UNIQUE_IDENTIFIER, b"\0\x90\xb3", _ASN1Type.BitString),
        (ObjectIdentifier("1.2.3.4"), "é"),
    )
    assert write_name(identified) == "1.2.3.4=#0c02c3a9,2.5.4.45=#03030090b3,CN=x"
    assert parse_name(write_name(identified)) == name_of(identified)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, UNIQUE_IDENTIFIER]),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_what_is_written_is_read_as_the_same_name(parts):
    made = name(*parts)
    assert parse_name(write_name(made)) == name_of(made)


# Holders


def test_the_holder_is_read_from_the_subject():
    assert holder_eui(ALICE.certificate) == SUPPLIER


@pytest.mark.parametrize(
    "parts",
    [
        [(NameOID.COMMON_NAME, "x")],
        [(UNIQUE_IDENTIFIER, b"\0" + bytes(7), _ASN1Type.BitString)],
        [(UNIQUE_IDENTIFIER, b"\0" + bytes(9), _ASN1Type.BitString)],
        [(UNIQUE_IDENTIFIER, b"\1" + bytes(8), _ASN1Type.BitString)],
        [(UNIQUE_IDENTIFIER, b"\0" + bytes(8), _ASN1Type.BitString)] * 2,
    ],
)
def test_a_certificate_without_a_plain_holder_is_refused(parts):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.RelativeDistinguishedName([x509.NameAttribute(*part)]) for part in parts])
    nobody = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    with pytest.raises(ValueError, match="x500UniqueIdentifier"):
        holder_eui(nobody)


def test_a_certificate_is_not_trusted_as_anothers():
    with pytest.raises(ValueError, match=f"the certificate is of {SUPPLIER}, not of {DCC}"):
        TrustedCertificate(ALICE.certificate, DCC)


# The store


def test_a_certificate_is_found_by_issuer_and_serial_number():
    store = TrustStore.of(ALICE.certificate)
    serial = ALICE.certificate.serial_number
    for text in ("CN=Z1,OU=07", "cn=Z1, ou=07"):
        assert store.find(text, serial).certificate == ALICE.certificate
    assert store.find("CN=Z1,OU=07", serial + 1) is None
    assert store.find("CN=Z2,OU=07", serial) is None
    assert store.find("nonsense", serial) is None


def test_two_authorities_may_use_one_serial_number():
    issued = [
        pki.issue(pki.make_authority(issuer), SUPPLIER, "x", NOW, NOW + timedelta(days=1), serial=7)[0]
        for issuer in ("A", "B")
    ]
    store = TrustStore.of(*issued)
    assert [store.find(f"CN={issuer},OU=07", 7).certificate for issuer in ("A", "B")] == issued


def test_the_last_word_on_a_certificate_counts():
    first, last = (TrustedCertificate(ALICE.certificate, SUPPLIER, revoked_at) for revoked_at in (None, NOW))
    assert TrustStore([first, last]).find("CN=Z1,OU=07", ALICE.certificate.serial_number).revoked_at == NOW


# The test authority


def test_a_certificate_has_the_form_of_duis():
    eui = parse_eui("90-B3-D5-1F-30-01-00-0A")
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    certificate, key = pki.issue(AUTHORITY, eui, "Supplier A", start, end)
    assert holder_eui(certificate) == eui
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "Supplier A"
    assert (certificate.not_valid_before_utc, certificate.not_valid_after_utc) == (start, end)
    assert certificate.serial_number.bit_length() == 128
    assert isinstance(certificate.public_key().curve, ec.SECP256R1)
    assert certificate.public_key() == key.public_key()
    usage = certificate.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    certificate.verify_directly_issued_by(AUTHORITY.certificate)


def test_a_serial_number_may_be_chosen():
    assert pki.issue(AUTHORITY, SUPPLIER, "x", NOW, NOW + timedelta(days=1), serial=42)[0].serial_number == 42


def test_an_authority_signs_certificates_and_nothing_else():
    assert AUTHORITY.issuer_name == "CN=Z1,OU=07"
    usage = AUTHORITY.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert AUTHORITY.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(ValueError):
        pki.make_authority("x" * 65)


def test_pem_goes_there_and_back():
    assert pki.read_certificate(pki.certificate_pem(ALICE.certificate)) == ALICE.certificate
    assert pki.key_pem(ALICE.signer.key).startswith(b"-----BEGIN PRIVATE KEY-----")
    assert pki.key_pem(ALICE.signer.key, b"x").startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    with pytest.raises(ValueError):
        pki.read_certificate(b"nonsense")
