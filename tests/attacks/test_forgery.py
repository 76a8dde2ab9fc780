"""Signatures that are good in themselves and not the one form that is accepted; one line an attack.

Unless a line says otherwise, the victim's own key made the signature over exactly what its SignedInfo says, so that a
general verifier would be content. All end unattributed, with the code beside them: nothing is answered, recorded or
alerted in the victim's name. The schema refuses some before the signature is looked at (E901); `verify` alone refuses
every one of them with E902, which each line is asked for too.
"""

import base64
import hashlib
import hmac
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from chfw_sr.messages import SRV, Rejected
from chfw_sr.wire import TrustStore, parse, pki, verify
from chfw_sr.wire.parse import Limits
from chfw_sr.wire.signature import P256_ORDER
from tests.attacks.forge import (
    C14N,
    ENVELOPED,
    EXCLUSIVE,
    ISSUER_SERIAL,
    digested,
    document,
    end_of,
    enveloped,
    forged,
    part,
    raw_signature,
    reference,
    signature,
)
from tests.wire.makers import ACCESS_CONTROL_BROKER, ALICE, AUTHORITY, NOW, SUPPLIER, TRUST, party

SRV_UNDER_ATTACK = SRV.UPDATE_PILOT_PREFERENCES
UNSIGNED = document(SRV_UNDER_ATTACK)
DIGEST = digested(UNSIGNED)
GOOD = reference(DIGEST)
MALLORY = ACCESS_CONTROL_BROKER
"""Another party whose certificate is trusted, in its own name."""
STRANGER = party(SUPPLIER, pki.make_authority("Z1"))
"""Someone with a certificate in the victim's name, of an authority that has the real one's name."""

RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())
K256 = ec.generate_private_key(ec.SECP256K1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
VALUE = raw_signature(b"")
R, S = int.from_bytes(VALUE[:32], "big"), int.from_bytes(VALUE[32:], "big")


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def fixed(r: int, s: int):
    """Sign with these numbers whatever there is to sign."""
    return lambda _octets: r.to_bytes(32, "big") + s.to_bytes(32, "big")


def method(algorithm: str, inside: str = "") -> str:
    return f'<ds:SignatureMethod Algorithm="{algorithm}">{inside}</ds:SignatureMethod>'


def transforms(*algorithms: str) -> str:
    return "".join(
        f"<ds:Transform {each}" if each.startswith("Algorithm") else f'<ds:Transform Algorithm="{each}"/>'
        for each in algorithms
    )


def key_info(content: str) -> dict[str, str]:
    return {"key_info": f"<ds:KeyInfo>{content}</ds:KeyInfo>"}


def with_references(*references: str, **options) -> bytes:
    return enveloped(UNSIGNED, signature("".join(references), **options))


def der(octets: bytes) -> bytes:
    value = raw_signature(octets)
    return encode_dss_signature(int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big"))


def certificate_text(holder) -> str:
    return "".join(pki.certificate_pem(holder.certificate).decode().splitlines()[1:-1])


POINT = b64(
    b"\x04"
    + STRANGER.signer.key.public_key().public_numbers().x.to_bytes(32, "big")
    + STRANGER.signer.key.public_key().public_numbers().y.to_bytes(32, "big")
)
KEY_VALUE = (
    '<ds:KeyValue><x:ECKeyValue xmlns:x="http://www.w3.org/2009/xmldsig11#"><x:NamedCurve URI="urn:oid:1.2.840.10045.3.1.7"/>'
    f"<x:PublicKey>{POINT}</x:PublicKey></x:ECKeyValue></ds:KeyValue>"
)
OWN_CERTIFICATE = f"<ds:X509Certificate>{certificate_text(STRANGER)}</ds:X509Certificate>"
BY_STRANGER = {"sign": lambda octets: raw_signature(octets, STRANGER.signer.key)}
HUGE_PREFIXES = " ".join(f"p{number}" for number in range(20_000))
INCLUSIVE = f'<x:InclusiveNamespaces xmlns:x="{EXCLUSIVE}" PrefixList="{HUGE_PREFIXES}"/>'
XPATH = 'Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>{}</ds:XPath></ds:Transform>'
XSLT = (
    'Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116">'
    '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">'
    "<xsl:value-of select=\"document('file:///etc/passwd')\"/></xsl:template></xsl:stylesheet></ds:Transform>"
)
SECRET = pki.certificate_pem(ALICE.certificate)
HMAC = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
SHA1 = "http://www.w3.org/2000/09/xmldsig#sha1"

SIGNATURES = [
    ("none", "E902", UNSIGNED),
    ("two, one after the other", "E901", enveloped(forged(UNSIGNED), signature(GOOD))),
    ("two, the first of them good and the second empty", "E901", enveloped(forged(UNSIGNED), "<ds:Signature xmlns:ds='http://www.w3.org/2000/09/xmldsig#'/>")),
    ("one in the other", "E901", forged(UNSIGNED, extra=f"<ds:Object>{signature(GOOD)}</ds:Object>")),
    ("first child", "E901", UNSIGNED.replace(b"<sr:Header>", signature(GOOD).encode() + b"<sr:Header>")),
    ("in the Header", "E901", UNSIGNED.replace(b"</sr:Header>", signature(GOOD).encode() + b"</sr:Header>")),
    ("in the Body", "E901", UNSIGNED.replace(b"</sr:Body>", signature(GOOD).encode() + b"</sr:Body>")),
    ("before an element more", "E901", enveloped(forged(UNSIGNED), "<sr:Body/>")),
    ("as the root", "E901", signature(GOOD).encode()),
]  # fmt: skip
REFERENCES = [
    ("two, the same", "E902", with_references(GOOD, GOOD)),
    ("two, the second to nothing", "E902", with_references(GOOD, reference(bytes(32), uri=' URI="#nothing"'))),
    ("two, the first to another document", "E902", with_references(reference(bytes(32), uri=' URI="file:///etc/passwd"'), GOOD)),
    ("none", "E901", with_references()),
    ("no URI", "E902", with_references(reference(DIGEST, uri=""))),
    ("to the root as an XPointer", "E902", with_references(reference(DIGEST, uri=' URI="#xpointer(/)"'))),
    ("to an id as an XPointer", "E902", with_references(reference(DIGEST, uri=" URI=\"#xpointer(id('x'))\""))),
    ("to a file", "E902", with_references(reference(DIGEST, uri=' URI="file:///etc/passwd"'))),
    ("to a host", "E902", with_references(reference(DIGEST, uri=' URI="http://127.0.0.1:1/x"'))),
    ("to a blank", "E902", with_references(reference(DIGEST, uri=' URI=" "'))),
    ("with a Type", "E902", with_references(reference(DIGEST, uri=' URI="" Type="http://www.w3.org/2000/09/xmldsig#Manifest"'))),
    ("to a Manifest", "E901", forged(UNSIGNED, extra=f'<ds:Object><ds:Manifest Id="m">{GOOD}</ds:Manifest></ds:Object>')),
]  # fmt: skip
TRANSFORMS = [
    ("none", "E901", with_references(reference(DIGEST, transforms=""))),
    ("twice enveloped", "E902", with_references(reference(DIGEST, transforms=transforms(ENVELOPED, ENVELOPED)))),
    ("and exclusive c14n", "E902", with_references(reference(digested(UNSIGNED, exclusive=True), transforms=transforms(ENVELOPED, EXCLUSIVE)))),
    ("and inclusive c14n, which says what is meant anyway", "E902", with_references(reference(DIGEST, transforms=transforms(ENVELOPED, C14N)))),
    ("exclusive c14n with 20,000 prefixes", "E902", with_references(reference(DIGEST, transforms=transforms(ENVELOPED, f'Algorithm="{EXCLUSIVE}">{INCLUSIVE}</ds:Transform>')))),
    ("an XPath that leaves nothing", "E902", with_references(reference(hashlib.sha256(b"").digest(), transforms=transforms(ENVELOPED, XPATH.format("false()"))))),
    ("an XPath that costs", "E902", with_references(reference(DIGEST, transforms=transforms(ENVELOPED, XPATH.format("count(//*[count(//*[count(//*)])])"))))),
    ("an XPath filter 2", "E902", with_references(reference(DIGEST, transforms=transforms(ENVELOPED, "http://www.w3.org/2002/06/xmldsig-filter2")))),
    ("XSLT that reads a file", "E902", with_references(reference(DIGEST, transforms=transforms(ENVELOPED, XSLT)))),
    ("base64", "E902", with_references(reference(DIGEST, transforms=transforms(ENVELOPED, "http://www.w3.org/2000/09/xmldsig#base64")))),
    ("XSLT alone", "E902", with_references(reference(DIGEST, transforms=transforms(XSLT)))),
    ("with a parameter", "E902", with_references(reference(DIGEST, transforms=transforms(f'Algorithm="{ENVELOPED}"><x/></ds:Transform>')))),
    ("eleven", "E901", with_references(reference(DIGEST, transforms=transforms(*[ENVELOPED] * 11)))),
]  # fmt: skip
ALGORITHMS = [
    ("HMAC with the certificate as secret", "E902", forged(UNSIGNED, method=method(HMAC), sign=lambda octets: hmac.digest(SECRET, octets, "sha256"))),
    ("HMAC with an empty secret", "E902", forged(UNSIGNED, method=method(HMAC), sign=lambda octets: hmac.digest(b"", octets, "sha256"))),
    ("HMAC cut to nothing", "E902", forged(UNSIGNED, method=method(HMAC, "<ds:HMACOutputLength>0</ds:HMACOutputLength>"), sign=lambda _: b"")),
    ("HMAC under the name of ECDSA", "E902", forged(UNSIGNED, sign=lambda octets: hmac.digest(SECRET, octets, "sha512"))),
    ("ECDSA with SHA-1", "E902", forged(UNSIGNED, method=method("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1"))),
    ("ECDSA with SHA-512", "E902", forged(UNSIGNED, method=method("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"))),
    ("RSA", "E902", forged(UNSIGNED, method=method("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"), sign=lambda octets: RSA.sign(octets, padding.PKCS1v15(), hashes.SHA256()))),
    ("RSA under the name of ECDSA", "E902", forged(UNSIGNED, sign=lambda octets: RSA.sign(octets, padding.PKCS1v15(), hashes.SHA256()))),
    ("P-384 under the name of ECDSA", "E902", forged(UNSIGNED, sign=lambda octets: raw_signature(octets, P384))),
    ("secp256k1, whose numbers have the same length", "E902", forged(UNSIGNED, sign=lambda octets: raw_signature(octets, K256))),
    ("Ed25519, whose numbers have the same length", "E902", forged(UNSIGNED, sign=ED25519.sign)),
    ("no algorithm", "E901", forged(UNSIGNED, method="<ds:SignatureMethod/>")),
    ("a parameter", "E902", forged(UNSIGNED, method=method("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", "<x/>"))),
    ("inclusive c14n of the SignedInfo", "E902", forged(UNSIGNED, c14n=f'<ds:CanonicalizationMethod Algorithm="{C14N}"/>')),
    ("c14n with comments", "E902", forged(UNSIGNED, c14n=f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}WithComments"/>')),
    ("c14n with 20,000 prefixes", "E902", forged(UNSIGNED, c14n=f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}">{INCLUSIVE}</ds:CanonicalizationMethod>')),
    ("a digest by SHA-1", "E902", with_references(reference(hashlib.sha1(UNSIGNED).digest(), method=SHA1))),
    ("SHA-1 under the name of SHA-256", "E902", with_references(reference(hashlib.sha1(UNSIGNED).digest()))),
    ("a digest of nothing", "E902", with_references(reference(b""))),
    ("a digest that is longer by an octet", "E902", with_references(reference(DIGEST + b"\0"))),
]  # fmt: skip
KEYS = [
    ("a KeyValue in place of the certificate's name", "E901", forged(UNSIGNED, **BY_STRANGER, **key_info(KEY_VALUE))),
    ("a KeyValue beside it", "E901", forged(UNSIGNED, **BY_STRANGER, **key_info(f"{KEY_VALUE}<ds:X509Data>{ISSUER_SERIAL}</ds:X509Data>"))),
    ("a KeyValue after it", "E901", forged(UNSIGNED, **BY_STRANGER, **key_info(f"<ds:X509Data>{ISSUER_SERIAL}</ds:X509Data>{KEY_VALUE}"))),
    ("a certificate in place of its name", "E902", forged(UNSIGNED, **BY_STRANGER, **key_info(f"<ds:X509Data>{OWN_CERTIFICATE}</ds:X509Data>"))),
    ("a certificate beside it", "E902", forged(UNSIGNED, **BY_STRANGER, **key_info(f"<ds:X509Data>{ISSUER_SERIAL}{OWN_CERTIFICATE}</ds:X509Data>"))),
    ("a certificate before it", "E902", forged(UNSIGNED, **BY_STRANGER, **key_info(f"<ds:X509Data>{OWN_CERTIFICATE}{ISSUER_SERIAL}</ds:X509Data>"))),
    ("a second X509Data", "E902", forged(UNSIGNED, **BY_STRANGER, **key_info(f"<ds:X509Data>{ISSUER_SERIAL}</ds:X509Data><ds:X509Data>{OWN_CERTIFICATE}</ds:X509Data>"))),
    ("two certificates named", "E902", forged(UNSIGNED, **key_info(f"<ds:X509Data>{ISSUER_SERIAL}{ISSUER_SERIAL}</ds:X509Data>"))),
    ("a RetrievalMethod", "E901", forged(UNSIGNED, **BY_STRANGER, **key_info('<ds:RetrievalMethod URI="file:///etc/passwd"/>'))),
    ("a KeyName", "E901", forged(UNSIGNED, **key_info("<ds:KeyName>ALICE</ds:KeyName>"))),
    ("a subject's name", "E902", forged(UNSIGNED, **key_info("<ds:X509Data><ds:X509SubjectName>CN=Test party</ds:X509SubjectName></ds:X509Data>"))),
    ("a key identifier", "E902", forged(UNSIGNED, **key_info("<ds:X509Data><ds:X509SKI>AAAA</ds:X509SKI></ds:X509Data>"))),
    ("nothing", "E901", forged(UNSIGNED, **key_info(""))),
    ("no KeyInfo", "E902", forged(UNSIGNED, key_info="")),
    ("another User's certificate, in the victim's name", "E902", MALLORY.signer.sign(UNSIGNED)),
    ("another User's key, the victim's certificate named", "E902", forged(UNSIGNED, sign=lambda octets: raw_signature(octets, MALLORY.signer.key))),
    ("a certificate in the victim's name of an authority of the same name", "E902", STRANGER.signer.sign(UNSIGNED)),
    ("that one's key, the victim's certificate named", "E902", forged(UNSIGNED, **BY_STRANGER)),
]  # fmt: skip
NUMBERS = [
    ("DER", "E902", forged(UNSIGNED, sign=der)),
    ("r and s are zero", "E902", forged(UNSIGNED, sign=fixed(0, 0))),
    ("r is zero", "E902", forged(UNSIGNED, sign=fixed(0, S))),
    ("s is zero", "E902", forged(UNSIGNED, sign=fixed(R, 0))),
    ("r is the order", "E902", forged(UNSIGNED, sign=fixed(P256_ORDER, S))),
    ("s is the order", "E902", forged(UNSIGNED, sign=fixed(R, P256_ORDER))),
    ("r is over the order", "E902", forged(UNSIGNED, sign=fixed(P256_ORDER + 1, S))),
    ("s is over the order", "E902", forged(UNSIGNED, sign=fixed(R, P256_ORDER + 1))),
    ("both are as large as can be", "E902", forged(UNSIGNED, sign=fixed(2**256 - 1, 2**256 - 1))),
    ("both are one", "E902", forged(UNSIGNED, sign=fixed(1, 1))),
    ("of another document", "E902", forged(UNSIGNED, sign=fixed(R, S))),
    ("r and s exchanged", "E902", forged(UNSIGNED, sign=lambda octets: (value := raw_signature(octets))[32:] + value[:32])),
    ("in the other order of octets", "E902", forged(UNSIGNED, sign=lambda octets: raw_signature(octets)[::-1])),
    ("an octet short", "E902", forged(UNSIGNED, sign=lambda octets: raw_signature(octets)[:-1])),
    ("an octet long", "E902", forged(UNSIGNED, sign=lambda octets: raw_signature(octets) + b"\0")),
    ("a zero before each number", "E902", forged(UNSIGNED, sign=lambda octets: b"\0" + raw_signature(octets)[:32] + b"\0" + raw_signature(octets)[32:])),
    ("empty", "E902", forged(UNSIGNED, sign=lambda _: b"")),
    ("in hexadecimal", "E902", forged(UNSIGNED, encode=bytes.hex)),
    ("base64 without its padding", "E902", forged(UNSIGNED, encode=lambda value: b64(value).rstrip("="))),
    ("base64 with another last letter, for the same octets", "E902", forged(UNSIGNED, encode=lambda value: re.sub(r"(.)==$", lambda last: chr(ord(last[1]) + 1) + "==", b64(value)))),
    ("base64 with a full stop in it", "E902", forged(UNSIGNED, encode=lambda value: "." + b64(value))),
    ("base64 for URLs", "E902", forged(UNSIGNED, encode=lambda value: "-_" + b64(value))),
    ("base64 with a no-break space", "E902", forged(UNSIGNED, encode=lambda value: "\u00a0" + b64(value))),
    ("an element in it", "E901", forged(UNSIGNED, encode=lambda value: "<x/>" + b64(value))),
]  # fmt: skip
EDGES = [
    ("a namespace by a relative URI", "E901", enveloped(UNSIGNED.replace(b"<sr:Body>", b'<sr:Body xmlns:x="relative" x:y="">'), signature(GOOD))),
    ("a namespace by a relative URI, not used", "E902", enveloped(UNSIGNED.replace(b"<sr:Body>", b'<sr:Body xmlns:x="relative">'), signature(GOOD))),
    ("an attribute on the SignedInfo", "E901", forged(UNSIGNED).replace(b"<ds:SignedInfo>", b'<ds:SignedInfo x="">')),
    ("an Id on the SignedInfo after signing", "E902", forged(UNSIGNED).replace(b"<ds:SignedInfo>", b'<ds:SignedInfo Id="x">')),
    ("another prefix for the SignedInfo after signing", "E902", re.sub(rb"(</?)ds:", rb"\1dz:", forged(UNSIGNED)).replace(b"xmlns:ds", b"xmlns:dz")),
    ("white space in the SignedInfo after signing", "E902", forged(UNSIGNED).replace(b"<ds:SignedInfo>", b"<ds:SignedInfo>\n")),
    ("text in the SignedInfo", "E901", forged(UNSIGNED).replace(b"<ds:SignedInfo>", b"<ds:SignedInfo>text")),
    ("a processing instruction in a signed value", "E900", forged(UNSIGNED).replace(b">C1<", b">C<?x y?>1<")),
    ("a processing instruction in the SignatureValue", "E900", forged(UNSIGNED).replace(b"<ds:SignatureValue>", b"<ds:SignatureValue><?x y?>")),
    ("an entity in a signed value", "E900", forged(UNSIGNED).replace(b">C1<", b">&c1;<")),
    ("xml:space", "E901", forged(UNSIGNED.replace(b"<sr:Body>", b'<sr:Body xml:space="preserve">'))),
    ("xml:base", "E901", forged(UNSIGNED.replace(b"<sr:Request ", b'<sr:Request xml:base="http://127.0.0.1:1/" '))),
    ("xml:id", "E901", forged(UNSIGNED.replace(b"<sr:Body>", b'<sr:Body xml:id="x">'))),
    ("ids twice", "E901", forged(UNSIGNED.replace(b"<sr:Body>", b'<sr:Body Id="x">').replace(b"<sr:Header>", b'<sr:Header Id="x">'))),
]  # fmt: skip
CHAPTERS = {
    "Signature": SIGNATURES,
    "Reference": REFERENCES,
    "Transform": TRANSFORMS,
    "algorithm": ALGORITHMS,
    "key": KEYS,
    "numbers": NUMBERS,
    "edge": EDGES,
}
ATTACKS = [
    pytest.param(code, octets, id=f"{chapter}: {name}")
    for chapter, attacks in CHAPTERS.items()
    for name, code, octets in attacks
]
WITHOUT_SCHEMA = {"edge: xml:space", "edge: xml:base", "edge: xml:id", "edge: ids twice"}
"""Signed by the victim itself, whole and well: only the schema minds, and the document is the victim's own."""


@pytest.mark.parametrize(("code", "octets"), ATTACKS)
def test_no_forged_signature_is_attributed(code, octets, request):
    end = end_of(octets)
    own = any(name in request.node.name for name in WITHOUT_SCHEMA)
    assert (end.code, end.attributed) == (code, own), end.reason
    if not own:
        with pytest.raises(Rejected) as refused:
            verify(parse(octets, Limits()), TRUST, NOW)
        assert refused.value.code == ("E900" if code == "E900" else "E902")


def test_the_workshop_makes_good_signatures_where_it_is_not_told_otherwise():
    # Else the table would show nothing but that broken signatures are refused.
    assert end_of(forged(UNSIGNED)) == end_of(ALICE.signer.sign(UNSIGNED))
    assert end_of(forged(UNSIGNED)).code is None


@pytest.mark.parametrize("key", [RSA, P384, K256, ED25519], ids=["RSA", "P-384", "secp256k1", "Ed25519"])
def test_a_registered_certificate_for_another_kind_of_key_does_not_help(key):
    # An administrator may have registered it: then the key is trusted, and its signatures are refused all the same.
    certificate = pki_certificate(key)
    info = ISSUER_SERIAL.replace(str(ALICE.signer.serial), str(certificate.serial_number))
    sign = {
        RSA: lambda octets: RSA.sign(octets, padding.PKCS1v15(), hashes.SHA256())[:64],
        ED25519: ED25519.sign,
    }.get(key, lambda octets: raw_signature(octets, key)[-64:])
    octets = forged(UNSIGNED, sign=sign, **key_info(f"<ds:X509Data>{info}</ds:X509Data>"))
    end = end_of(octets, trust=TrustStore.of(certificate))
    assert (end.attributed, end.code, end.reason) == (False, "E902", "the certificate's key is not on P-256")


def pki_certificate(key):
    """A certificate of the victim's for any kind of key."""
    return (
        x509.CertificateBuilder()
        .subject_name(ALICE.certificate.subject)
        .issuer_name(ALICE.certificate.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ALICE.certificate.not_valid_before_utc)
        .not_valid_after(ALICE.certificate.not_valid_after_utc)
        .add_extension(ALICE.certificate.extensions.get_extension_for_class(x509.KeyUsage).value, critical=True)
        .sign(AUTHORITY.key, hashes.SHA256())
    )


@pytest.mark.parametrize("srv", list(SRV))
def test_a_signature_stands_for_no_other_kind_of_request(srv):
    taken = part(forged(document(srv)), "ds:Signature").decode()
    for other in SRV:
        if other is not srv:
            end = end_of(enveloped(document(other), taken))
            assert (end.attributed, end.code) == (False, "E902")
