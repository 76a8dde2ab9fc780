"""Signing documents of any DUIS shape."""

import re

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from chfw_sr.messages import Rejected
from chfw_sr.wire import Limits, Signer, TrustStore, pki, verify, write_request
from chfw_sr.wire.signer import coordinates
from chfw_sr.wire.xmldsig import P256_ORDER
from tests import strategies
from tests.wire.makers import ACCESS_CONTROL_BROKER, ALICE, DS, NOW, SR, SUPPLIER, TRUST, alert, parsed, request, signed

PRETTY = f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- a request -->
<sr:Request schemaVersion='5.4'
    xmlns:sr="{SR}">
  <sr:Header>
    <sr:RequestID>{SUPPLIER}:90-B3-D5-1F-30-00-00-02:1</sr:RequestID>
    <sr:Other/>
  </sr:Header>
  <sr:Body>é&#xD;&gt;</sr:Body>
</sr:Request>
""".encode()


def test_a_signed_document_verifies_and_keeps_every_blank():
    octets = ALICE.signer.sign(PRETTY)
    assert verify(parsed(octets), TRUST, NOW).originator == SUPPLIER
    unsigned = re.sub(rb"<ds:Signature .*</ds:Signature>", b"", octets)
    comments_apart = etree.fromstring(PRETTY, etree.XMLParser(remove_comments=True))
    assert unsigned == etree.tostring(comments_apart, method="c14n")
    assert b"\n    <sr:Other></sr:Other>\n  </sr:Header>" in octets
    assert octets.endswith(b"</sr:Body>\n" + octets[octets.index(b"<ds:Signature") :])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_a_document_in_another_encoding_is_signed_in_utf_8(encoding):
    names = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "latin-1": "ISO-8859-1"}
    octets = ALICE.signer.sign(PRETTY.decode().replace("UTF-8", names[encoding]).encode(encoding))
    assert verify(parsed(octets), TRUST, NOW).originator == SUPPLIER
    assert "é".encode() in octets


@given(strategies.requests(originator=SUPPLIER))
def test_the_general_way_and_the_fast_one_sign_the_same_octets(message):
    unsigned = write_request(message, None)
    general, fast = ALICE.signer.sign(unsigned), write_request(message, ALICE.signer)
    value = re.compile(rb"<ds:SignatureValue>[^<]*")
    assert value.sub(b"", general) == value.sub(b"", fast)


def test_a_response_may_be_signed_anew():
    octets = ACCESS_CONTROL_BROKER.signer.sign(alert(), replace=True)
    assert octets != alert()
    assert octets.count(b"</ds:Signature>") == 1
    assert verify(parsed(octets), TRUST, NOW).certificate == ACCESS_CONTROL_BROKER.certificate


def test_a_signature_is_replaced_only_if_told_to():
    with pytest.raises(ValueError, match="signed already"):
        ALICE.signer.sign(signed())
    assert verify(parsed(ALICE.signer.sign(signed(), replace=True)), TRUST, NOW).originator == SUPPLIER
    assert verify(parsed(ALICE.signer.sign(request(), replace=True)), TRUST, NOW).originator == SUPPLIER


@pytest.mark.parametrize(
    "octets",
    [
        signed().replace(b"</ds:Signature>", b"</ds:Signature><sr:More/>"),
        request().replace(b"<sr:Body>", f'<sr:Body><ds:Signature xmlns:ds="{DS}"/>'.encode()),
        signed().replace(b"<sr:Body>", f'<sr:Body><ds:Signature xmlns:ds="{DS}"/>'.encode()),
    ],
    ids=["not last", "not in the root", "two"],
)
def test_a_signature_out_of_place_is_not_replaced(octets):
    with pytest.raises(ValueError, match="not the last child of the root"):
        ALICE.signer.sign(octets, replace=True)


def test_what_is_no_duis_document_is_not_signed():
    with pytest.raises(ValueError, match="not a DUIS document: the root is a"):
        ALICE.signer.sign(b"<a/>")
    with pytest.raises(Rejected, match="not well-formed"):
        ALICE.signer.sign(b"<a>")
    with pytest.raises(Rejected, match="relative URI"):
        ALICE.signer.sign(request(attributes=' xmlns:x="relative"'))
    with pytest.raises(Rejected, match="at most 10 are accepted"):
        ALICE.signer.sign(request(), limits=Limits(max_octets=10))


CERTIFICATE = pki.certificate_pem(ALICE.certificate)


@pytest.mark.parametrize("password", [None, b"secret"])
def test_a_signer_is_made_from_pem_files(password):
    signer = Signer.from_pem(pki.key_pem(ALICE.signer.key, password), CERTIFICATE, password)
    assert (signer.issuer_name, signer.serial) == ("CN=Z1,OU=07", ALICE.certificate.serial_number)
    assert verify(parsed(signer.sign(request())), TRUST, NOW).originator == SUPPLIER


def pem(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("key", "password", "reason"),
    [
        (pki.key_pem(ALICE.signer.key, b"secret"), b"wrong", "[Dd]ecrypt"),
        (pki.key_pem(ALICE.signer.key, b"secret"), None, "[Pp]assword"),
        (pki.key_pem(ALICE.signer.key), b"secret", "[Pp]assword"),
        (b"nonsense", None, "PEM"),
        (pki.key_pem(ACCESS_CONTROL_BROKER.signer.key), None, "not the certificate's"),
        (pem(rsa.generate_private_key(65537, 2048)), None, "not on P-256"),
    ],
    ids=range(6),
)
def test_a_key_that_does_not_fit_is_refused(key, password, reason):
    with pytest.raises(ValueError, match=reason):
        Signer.from_pem(key, CERTIFICATE, password)


def test_a_signer_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match="not on P-256"):
        Signer(ec.generate_private_key(ec.SECP384R1()), "CN=Z1", 1)
    with pytest.raises(ValueError, match="not a distinguished name"):
        Signer(ALICE.signer.key, "nonsense", 1)


def test_an_issuers_name_is_escaped():
    authority = pki.make_authority('R&D <"Z1">, Ltd')
    certificate, key = pki.issue(authority, SUPPLIER, "x", NOW, NOW.replace(year=2027))
    octets = Signer.of(key, certificate).sign(request())
    assert b'<ds:X509IssuerName>CN=R&amp;D \\&lt;\\"Z1\\"\\&gt;\\, Ltd,OU=07<' in octets
    assert verify(parsed(octets), TrustStore.of(certificate), NOW).originator == SUPPLIER


@given(
    *[st.one_of(st.integers(1, P256_ORDER - 1), st.integers(0, 255).map(lambda bits: max(1, (1 << bits) - 1)))] * 2,
)
def test_both_halves_of_a_signature_are_read_as_they_are(r, s):
    octets = coordinates(encode_dss_signature(r, s))
    assert len(octets) == 64
    assert (int.from_bytes(octets[:32], "big"), int.from_bytes(octets[32:], "big")) == (r, s)
