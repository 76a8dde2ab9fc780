"""Signatures of others: what is accepted, and that nothing else is."""

import base64
import hashlib
import re
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from lxml import etree
from signxml import DigestAlgorithm, SignatureConfiguration, SignatureMethod, XMLVerifier
from signxml.algorithms import CanonicalizationMethod

from chfw_sr.wire import Signed, TrustedCertificate, TrustStore, pki, verify
from chfw_sr.wire.signature import P256_ORDER
from tests.wire.makers import (
    ACCESS_CONTROL_BROKER,
    ALICE,
    AUTHORITY,
    DCC,
    DS,
    NOW,
    REQUEST_ID,
    SR,
    SUPPLIER,
    TRUST,
    alert,
    parsed,
    party,
    request,
    response,
    signed,
    take,
)
from tests.wire.makers import signature_refusal as refusal

SIGNED = signed()


def general(
    unsigned: str,
    signature: str,
    key=ALICE.signer.key,
    *,
    value=lambda octets: base64.b64encode(octets).decode(),
) -> bytes:
    """Sign as a general library does: put a template in, digest, canonicalise, sign, fill the value in."""
    digest = hashlib.sha256(
        etree.tostring(etree.fromstring(unsigned.encode()).getroottree(), method="c14n", with_comments=False)
    ).digest()
    signature = signature.replace("DIGEST", base64.b64encode(digest).decode())
    whole = re.sub(r"(</[^<>]*>\s*)\Z", lambda end: signature + end[1], unsigned)
    # What exclusive canonicalisation gives, by another program than the one that verifies.
    alone = re.search(r"<((?:ds:)?)SignedInfo>.*</\1SignedInfo>", whole, re.DOTALL)
    declared = f'xmlns:ds="{DS}"' if alone[1] else f'xmlns="{DS}"'
    info = ET.canonicalize(alone[0].replace("SignedInfo>", f"SignedInfo {declared}>", 1)).encode()
    r, s = decode_dss_signature(key.sign(info, ec.ECDSA(hashes.SHA256())))
    return whole.replace("VALUE", value(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).encode()


# What is accepted


def test_our_own_signatures_verify():
    found = verify(parsed(SIGNED), TRUST, NOW)
    expected = hashlib.sha256(etree.tostring(etree.fromstring(request()), method="c14n")).digest()
    assert found == Signed(REQUEST_ID, expected, ALICE.certificate)


@pytest.mark.parametrize("octets", [SIGNED, alert(), response()], ids=["request", "alert", "response"])
def test_signxml_verifies_them_too(octets):
    signer = ALICE if octets is SIGNED else ACCESS_CONTROL_BROKER
    found = XMLVerifier().verify(
        octets,
        x509_cert=pki.certificate_pem(signer.certificate).decode(),
        expect_config=SignatureConfiguration(
            location="./",
            signature_methods=frozenset({SignatureMethod.ECDSA_SHA256}),
            digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
            default_reference_c14n_method=CanonicalizationMethod.CANONICAL_XML_1_0,
            verification_time=NOW,
        ),
    )
    content = re.sub(rb"<ds:Signature .*</ds:Signature>", b"", octets)
    assert etree.tostring(found.signed_xml, method="c14n") == content


THIRD_PARTY = """<?xml version='1.0' encoding='UTF-8' standalone='yes'?>
<!-- written by another program -->
<Request schemaVersion="5.4" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
         xsi:schemaLocation="http://www.dccinterface.co.uk/ServiceUserGateway DUIS.xsd" xmlns="{SR}">
  <Header>
    <RequestID>
      {originator}:{target}:18446744073709551615
    </RequestID>
    <CommandVariant>8</CommandVariant>
    <ServiceReference>11.5</ServiceReference><!-- as the variant -->
    <ServiceReferenceVariant>11.5</ServiceReferenceVariant>
  </Header>
  <Body>
    <ReadPilotPlan><CampaignID>C<!-- not -->1</CampaignID></ReadPilotPlan>
  </Body>
</Request>
"""
THIRD_PARTY_SIGNATURE = """<Signature xmlns="{DS}" Id="signature">
    <SignedInfo>
      <CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>
      <SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>
      <Reference URI="" Id="whole">
        <Transforms><Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/></Transforms>
        <DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>
        <DigestValue>DIGEST</DigestValue>
      </Reference>
    </SignedInfo>
    <SignatureValue>VALUE</SignatureValue>
    <KeyInfo><X509Data><X509IssuerSerial>
      <X509IssuerName>{issuer}</X509IssuerName><X509SerialNumber> {serial} </X509SerialNumber>
    </X509IssuerSerial></X509Data></KeyInfo>
  </Signature>"""


def wrapped(octets: bytes) -> str:
    """As the base64 encoders of Java write it, and their XML writers escape it."""
    text = base64.b64encode(octets).decode()
    return "&#13;\n".join(text[start : start + 76] for start in range(0, len(text), 76)) + "&#13;\n"


@pytest.mark.parametrize(
    "issuer", ["CN=Z1,OU=07", "CN=Z1, OU=07", " cn = z1 ; ou = \\30\\37", 'CN="Z1",2.5.4.11=#0c023037']
)
def test_the_signatures_of_other_programs_verify(issuer):
    unsigned = THIRD_PARTY.format(SR=SR, originator=SUPPLIER.lower(), target=DCC.lower())
    signature = THIRD_PARTY_SIGNATURE.format(DS=DS, issuer=issuer, serial=ALICE.signer.serial)
    arrived = take(general(unsigned, signature, value=wrapped))
    assert str(arrived.request_id) == f"{SUPPLIER}:{DCC}:18446744073709551615"
    assert arrived.outcome.body.campaign_id == "C1"


def test_namespaces_that_are_declared_on_the_root_are_part_of_what_is_signed():
    unsigned = request(attributes=f' xmlns:ds="{DS}" xmlns:other="urn:other"').decode()
    signature = THIRD_PARTY_SIGNATURE.format(DS=DS, issuer="CN=Z1,OU=07", serial=ALICE.signer.serial)
    signature = re.sub(r"(</?)(?=\w)", r"\1ds:", signature).replace(f' xmlns="{DS}"', "")
    octets = general(unsigned, signature)
    assert verify(parsed(octets), TRUST, NOW).originator == SUPPLIER
    assert "changed after it was signed" in refusal(octets.replace(b' xmlns:other="urn:other"', b""))


def test_a_look_alike_of_the_signatures_tag_does_not_mislead():
    decoy = '<ds:Signature xmlns:ds="urn:x">&lt;ds:Signature&gt;</ds:Signature>'
    unsigned = request(f"<sr:ReadPilotPlan>{decoy}</sr:ReadPilotPlan>")
    assert verify(parsed(signed(unsigned)), TRUST, NOW).originator == SUPPLIER


def test_the_tree_is_left_as_it_was():
    document = parsed(SIGNED)
    before = etree.tostring(document.root)
    verify(document, TRUST, NOW)
    assert etree.tostring(document.root) == before
    assert document.root[-1].tag == f"{{{DS}}}Signature"


def test_the_content_has_one_digest_however_it_is_signed():
    again = signed(request())
    assert again != SIGNED
    assert verify(parsed(again), TRUST, NOW).digest == verify(parsed(SIGNED), TRUST, NOW).digest


def test_a_response_is_its_dccs():
    assert verify(parsed(response()), TRUST, NOW).originator == DCC


# Whose, and when


def test_a_signature_by_another_party_is_refused():
    assert refusal(signed(signer=ACCESS_CONTROL_BROKER.signer)) == (
        f"the certificate is of {DCC}, not of the originator {SUPPLIER}"
    )


def test_a_certificate_that_we_do_not_hold_is_refused():
    stranger = party(SUPPLIER, pki.make_authority("Z1"))
    assert "no trusted certificate has the issuer 'CN=Z1,OU=07'" in refusal(signed(signer=stranger.signer))
    assert "no trusted certificate" in refusal(SIGNED, TrustStore([]))


def test_the_issuer_and_the_serial_number_must_both_fit():
    serial = str(ALICE.signer.serial).encode()
    assert "no trusted certificate" in refusal(SIGNED.replace(serial, serial + b"1"))
    assert "no trusted certificate" in refusal(SIGNED.replace(b"CN=Z1", b"CN=Z2"))
    assert "no trusted certificate" in refusal(SIGNED.replace(b"CN=Z1", b"nonsense"))


@pytest.mark.parametrize("serial", [b"", b"-1", b"0x1", b"01", b"1.0", b"1" * 50, b"1 2", "\u0661".encode()])
def test_a_serial_number_that_is_no_decimal_is_refused(serial):
    octets = SIGNED.replace(str(ALICE.signer.serial).encode(), serial)
    assert refusal(octets) == "the X509SerialNumber is not a decimal"


def test_a_certificate_holds_in_its_time_only():
    start, end = ALICE.certificate.not_valid_before_utc, ALICE.certificate.not_valid_after_utc
    for now in (start, end):
        assert verify(parsed(SIGNED), TRUST, now).originator == SUPPLIER
    assert "holds from" in refusal(SIGNED, now=start - timedelta(microseconds=1))
    assert "expired at" in refusal(SIGNED, now=end + timedelta(microseconds=1))


def test_a_revoked_certificate_is_refused_from_its_revocation_on():
    trust = TrustStore([TrustedCertificate(ALICE.certificate, SUPPLIER, revoked_at=NOW)])
    assert "was revoked at 2026-03-01T12:00:00Z" in refusal(SIGNED, trust)
    assert verify(parsed(SIGNED), trust, NOW - timedelta(microseconds=1)).originator == SUPPLIER


def certificate(key, *, usage: bool | None) -> x509.Certificate:
    """A certificate of the Supplier with Alice's serial number, but for another key or purpose."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(ALICE.certificate.subject)
        .issuer_name(ALICE.certificate.issuer)
        .public_key(key.public_key())
        .serial_number(ALICE.signer.serial)
        .not_valid_before(ALICE.certificate.not_valid_before_utc)
        .not_valid_after(ALICE.certificate.not_valid_after_utc)
    )
    if usage is not None:
        flags = dict.fromkeys(
            ["content_commitment", "key_encipherment", "data_encipherment", "key_cert_sign", "crl_sign"], False
        )
        builder = builder.add_extension(
            x509.KeyUsage(
                **flags, digital_signature=usage, key_agreement=not usage, encipher_only=False, decipher_only=False
            ),
            critical=True,
        )
    return builder.sign(AUTHORITY.key, hashes.SHA256())


@pytest.mark.parametrize(
    ("key", "usage", "reason"),
    [
        (ALICE.signer.key, False, "no digitalSignature"),
        (ALICE.signer.key, None, "no digitalSignature"),
        (ec.generate_private_key(ec.SECP384R1()), True, "not on P-256"),
        (rsa.generate_private_key(65537, 2048), True, "not on P-256"),
        (ec.generate_private_key(ec.SECP256R1()), True, "was not made with the key"),
    ],
)
def test_a_certificate_for_another_purpose_or_key_is_refused(key, usage, reason):
    assert reason in refusal(SIGNED, TrustStore.of(certificate(key, usage=usage)))


# What was changed


def test_every_change_to_the_content_is_noticed():
    for old, new in [
        (b"C1", b"C2"),
        (b"<sr:Body>", b"<sr:Body> "),
        (b"</sr:Body>", b"</sr:Body>\n"),
        (b"</ds:Signature>", b"</ds:Signature>\n"),
        (b'schemaVersion="5.4"', b'schemaVersion="5.40"'),
        (b'schemaVersion="5.4"', b'schemaVersion="5.4" xmlns:x="urn:x"'),
        (b":17", b":18"),
    ]:
        assert "changed after it was signed" in refusal(SIGNED.replace(old, new, 1))


def test_what_canonicalisation_levels_is_no_change():
    for old, new in [
        (b'schemaVersion="5.4"', b"schemaVersion = '5.4' "),
        (b"C1", b"<![CDATA[C]]>&#x31;<!-- x -->"),
        (b"<sr:Request", b"<?xml version='1.0'?>\n<!-- x --><sr:Request"),
    ]:
        assert verify(parsed(SIGNED.replace(old, new, 1)), TRUST, NOW).originator == SUPPLIER


def test_a_digest_that_was_put_right_does_not_help():
    octets = SIGNED.replace(b"C1", b"C2")
    right = verify(parsed(signed(request().replace(b"C1", b"C2"))), TRUST, NOW).digest
    octets = re.sub(rb"(<ds:DigestValue>).*(</ds:DigestValue>)", rb"\g<1>" + base64.b64encode(right) + rb"\2", octets)
    assert "was not made with the key" in refusal(octets)


def value_of(octets: bytes) -> bytes:
    return base64.b64decode(re.search(rb"<ds:SignatureValue>(.*)</ds:SignatureValue>", octets)[1])


def with_value(text: bytes | str) -> bytes:
    text = text.encode() if isinstance(text, str) else text
    return re.sub(rb"(<ds:SignatureValue>).*(</ds:SignatureValue>)", rb"\g<1>" + text + rb"\2", SIGNED)


VALUE = value_of(SIGNED)
R, S = int.from_bytes(VALUE[:32], "big"), int.from_bytes(VALUE[32:], "big")


OTHER_VALUES = [
    (base64.b64encode(encode_dss_signature(R, S)), "octets; it must have 64"),
    (base64.b64encode(VALUE[:63]), "has 63 octets"),
    (base64.b64encode(VALUE + b"\0"), "has 65 octets"),
    (b"", "has 0 octets"),
    (base64.b64encode(bytes(32) + VALUE[32:]), "out of range"),
    (base64.b64encode(VALUE[:32] + bytes(32)), "out of range"),
    (base64.b64encode(P256_ORDER.to_bytes(32, "big") + VALUE[32:]), "out of range"),
    (base64.b64encode(VALUE[:32] + P256_ORDER.to_bytes(32, "big")), "out of range"),
    (base64.b64encode(b"\xff" * 64), "out of range"),
    (base64.b64encode(VALUE[32:] + VALUE[:32]), "was not made with the key"),
    (base64.b64encode(VALUE).rstrip(b"="), "not base64"),
    (base64.b64encode(VALUE) + b"=", "not base64"),
    (base64.b64encode(VALUE) + b"AAAA", "not base64"),
    (base64.b64encode(VALUE).replace(b"A", b"-", 1) + b"-", "not base64"),
    (base64.b64encode(VALUE)[:-3] + b"B==", "not base64"),
    ("é".encode(), "not base64"),
    ("\u00a0".encode() + base64.b64encode(VALUE), "not base64"),
    (b"<x/>", "holds an element"),
]


@pytest.mark.parametrize(("value", "reason"), OTHER_VALUES, ids=range(len(OTHER_VALUES)))
def test_a_signature_value_of_any_other_form_is_refused(value, reason):
    assert reason in refusal(with_value(value))


def test_white_space_in_base64_is_legal():
    text = base64.b64encode(VALUE).decode()
    spread = "\n" + "&#13;\n\t ".join(text[start : start + 7] for start in range(0, len(text), 7)) + " "
    assert verify(parsed(with_value(spread)), TRUST, NOW).originator == SUPPLIER
