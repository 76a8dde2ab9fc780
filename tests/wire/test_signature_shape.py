"""Signatures of any other algorithm, shape or place are refused, whatever they may mean to a general verifier."""

import re

import pytest

from chfw_sr.messages import parse_eui
from tests.wire.makers import DCC, SUPPLIER, request, response, signed
from tests.wire.makers import signature_refusal as refusal

SIGNED = signed()

# Algorithms and shape


ALGORITHMS = {
    "CanonicalizationMethod": [
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/2006/12/xml-c14n11",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        "http://www.w3.org/2001/10/xml-exc-c14n",
    ],
    "SignatureMethod": [
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    ],
    "Transform": [
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/TR/1999/REC-xpath-19991116",
        "http://www.w3.org/TR/1999/REC-xslt-19991116",
        "http://www.w3.org/2000/09/xmldsig#base64",
    ],
    "DigestMethod": [
        "http://www.w3.org/2000/09/xmldsig#sha1",
        "http://www.w3.org/2001/04/xmlenc#sha512",
        "http://www.w3.org/2001/04/xmldsig-more#md5",
        "",
    ],
}


@pytest.mark.parametrize(
    ("element", "algorithm"), [(element, each) for element, found in ALGORITHMS.items() for each in found]
)
def test_every_other_algorithm_is_refused(element, algorithm):
    octets = re.sub(rf'(<ds:{element} Algorithm=")[^"]*'.encode(), rb"\g<1>" + algorithm.encode(), SIGNED)
    assert refusal(octets).startswith(f"Algorithm of ds:{element} is {algorithm!r}; only 'http")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b' Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"', b"", "Algorithm of ds:DigestMethod is None"),
        (
            b"></ds:SignatureMethod>",
            b"><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>",
            "parameters",
        ),
        (b"></ds:Transform>", b">x</ds:Transform>", "ds:Transform has parameters"),
        (
            b"></ds:CanonicalizationMethod>",
            b'><x:InclusiveNamespaces xmlns:x="urn:x" PrefixList="#default"/></ds:CanonicalizationMethod>',
            "parameters",
        ),
        (b'URI=""', b'URI="#x"', "URI of ds:Reference is '#x'; only '' is accepted"),
        (b' URI=""', b"", "URI of ds:Reference is None"),
        (b'URI=""', b'URI="" Type="urn:x"', "ds:Reference has an attribute that is not accepted: Type"),
        (
            b"<ds:SignedInfo>",
            b'<ds:SignedInfo other="x">',
            "ds:SignedInfo has an attribute that is not accepted: other",
        ),
        (b"<ds:Transforms>", b"<ds:Transforms>x", "ds:Transforms has text between its elements"),
        (b"</ds:Transform>", b"</ds:Transform>x", "ds:Transforms has text between its elements"),
        (
            b"</ds:Transforms>",
            b'<ds:Transform Algorithm="urn:x"/></ds:Transforms>',
            "ds:Transforms must hold Transform",
        ),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo><ds:KeyName>x</ds:KeyName>", "ds:KeyInfo must hold X509Data and nothing else"),
        (
            b"</ds:X509IssuerSerial>",
            b"</ds:X509IssuerSerial><ds:X509Certificate>x</ds:X509Certificate>",
            "ds:X509Data must hold X509IssuerSerial and nothing else",
        ),
        (b"</ds:KeyInfo>", b"</ds:KeyInfo><ds:Object/>", "ds:Signature must hold SignedInfo, SignatureValue, KeyInfo"),
        (b"<ds:X509IssuerName>", b"<ds:X509IssuerName><x/>", "ds:X509IssuerName holds an element"),
        (b"<ds:DigestValue>", b"<ds:DigestValue>AAAA", "ds:DigestValue"),
    ],
)
def test_every_other_shape_is_refused(old, new, reason):
    assert SIGNED.count(old) == 1
    assert reason in refusal(SIGNED.replace(old, new))


def part(name: str, octets: bytes = SIGNED) -> bytes:
    return re.search(rf"<ds:{name}[ >].*</ds:{name}>".encode(), octets)[0]


@pytest.mark.parametrize("name", ["SignedInfo", "SignatureValue", "KeyInfo", "Reference", "Transforms", "X509Data"])
def test_no_part_may_be_missing_or_there_twice(name):
    assert "must hold" in refusal(SIGNED.replace(part(name), b""))
    assert "must hold" in refusal(SIGNED.replace(part(name), part(name) * 2))


# Wrapping


def test_a_document_without_a_signature_is_refused():
    assert refusal(request()) == "the document has no ds:Signature; there must be one"


def test_two_signatures_are_refused():
    assert "has 2 ds:Signature" in refusal(SIGNED.replace(part("Signature"), part("Signature") * 2))
    inner = SIGNED.replace(b"</ds:KeyInfo>", b"</ds:KeyInfo><ds:Object>" + part("Signature") + b"</ds:Object>")
    assert "has 2 ds:Signature" in refusal(inner)


@pytest.mark.parametrize("place", [b"<sr:Header>", b"<sr:Body>", b"</sr:Body>", b"</sr:Header>"])
def test_a_signature_elsewhere_is_refused(place):
    moved = SIGNED.replace(part("Signature"), b"").replace(place, place + part("Signature"))
    if moved.endswith(b"</ds:Signature></sr:Request>"):
        moved = moved.replace(b"</sr:Request>", b"<sr:More/></sr:Request>")
    assert "is not the last child of the root" in refusal(moved)


def test_a_signed_document_inside_another_does_not_speak_for_it():
    evil = request("<sr:DeletePilotPreferences><sr:CampaignID>C1</sr:CampaignID></sr:DeletePilotPreferences>", "11.7")
    wrapped_whole = evil.replace(b"</sr:Request>", SIGNED + b"</sr:Request>")
    assert "is not the last child of the root" in refusal(wrapped_whole)
    beside = evil.replace(b"</sr:Request>", request() + part("Signature") + b"</sr:Request>")
    assert "changed after it was signed" in refusal(beside)


def test_a_signature_as_root_is_refused():
    assert "is not the last child of the root" in refusal(part("Signature"))


def test_the_signature_of_one_document_does_not_fit_another():
    other = request().replace(b":17", b":18")
    assert "changed after it was signed" in refusal(
        other.replace(b"</sr:Request>", part("Signature") + b"</sr:Request>")
    )


def test_a_document_without_a_canonical_form_is_refused():
    assert "relative URI" in refusal(SIGNED.replace(b"<sr:Body>", b'<sr:Body xmlns:x="relative">'))


# The originator


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (f"<sr:RequestID>{SUPPLIER}:{DCC}:17</sr:RequestID>", "", "does not hold one RequestID"),
        ("<sr:RequestID>", "<sr:RequestID>1</sr:RequestID><sr:RequestID>", "does not hold one RequestID"),
        ("<sr:RequestID>", "<sr:RequestID><x/>", "does not hold one RequestID"),
        (
            "</sr:Header>",
            f"</sr:Header><sr:Header><sr:RequestID>{DCC}:{DCC}:1</sr:RequestID></sr:Header>",
            "one RequestID",
        ),
        (":17<", ":x<", "the RequestID cannot be read: the counter"),
    ],
)
def test_whose_signature_it_should_be_must_be_plain(old, new, reason):
    assert reason in refusal(signed(request().replace(old.encode(), new.encode())))


def test_the_originator_of_a_response_is_that_of_its_response_id():
    octets = response().replace(b"<sr:ResponseID>", b"<sr:ResponseID>x")
    assert "the ResponseID cannot be read" in refusal(octets)
    other = parse_eui("90-B3-D5-1F-30-09-00-00")
    assert "not of the originator" in refusal(response().replace(f"ID>{DCC}".encode(), f"ID>{other}".encode()))
