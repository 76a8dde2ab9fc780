"""A Signature of the usual text says what the look at its elements finds; any other text is left to that look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from chfw_sr.messages import Rejected
from chfw_sr.wire.canonical import canonical, content
from chfw_sr.wire.signature import _the_signature
from chfw_sr.wire.xmldsig import _general, _usual, cut_out, read_signature
from tests.wire.makers import ALICE, DS, parsed, signed
from tests.wire.mutants import mutants

SIGNED = signed()
PART = SIGNED[SIGNED.index(b"<ds:Signature ") : SIGNED.index(b"</sr:Request>")]


def of(octets: bytes) -> etree._Element:
    return parsed(octets).root[-1]


def prefixed(octets: bytes, prefix: str) -> bytes:
    name = f"{prefix}:" if prefix else ""
    octets = octets.replace(b"<ds:", b"<" + name.encode()).replace(b"</ds:", b"</" + name.encode())
    return octets.replace(b"xmlns:ds", f"xmlns:{prefix}".encode() if prefix else b"xmlns")


@pytest.mark.parametrize("prefix", ["ds", "dsig", ""])
def test_the_usual_prefixes_are_known_by_their_text(prefix):
    signature = of(prefixed(SIGNED, prefix))
    assert _usual(signature) == _general(signature)


def test_any_other_prefix_is_as_good():
    signature = of(prefixed(SIGNED, "other"))
    assert _usual(signature) is None
    assert read_signature(signature).serial == ALICE.signer.serial


def test_a_namespace_without_a_canonical_form_is_left_to_the_look_at_elements():
    octets = signed().replace(b"<ds:Signature ", b'<ds:Signature xmlns:x="relative" ')
    assert _usual(of(octets)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<ds:Signature ", b'<ds:Signature Id="x" '),
        (b"<ds:SignedInfo>", b'<ds:SignedInfo Id="x">'),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo>\n"),
        (b"</ds:Signature>", b" </ds:Signature>"),
        (b"</ds:KeyInfo>", b"</ds:KeyInfo><ds:Object></ds:Object>"),
        (b"<ds:SignedInfo>", f'<ds:SignedInfo xmlns:ds="{DS}x">'.encode()),
    ],
)
def test_any_other_text_is_not_the_usual_one(old, new):
    assert SIGNED.count(old) == 1
    assert _usual(of(SIGNED.replace(old, new))) is None


def test_characters_that_are_escaped_are_read_as_they_are():
    octets = SIGNED.replace(b"CN=Z1", b"CN=&lt;&gt;&amp;&#13;&amp;lt;\"'")
    usual = _usual(of(octets))
    assert usual == _general(of(octets))
    assert usual.issuer_name.startswith("CN=<>&\r&lt;\"'")


def reading(way, signature) -> object:
    """What a way of reading finds, or the code and the kind of thing that it refuses."""
    try:
        return way(signature)
    except Rejected as rejection:
        return rejection.reason


@given(mutants(st.sampled_from([PART, prefixed(PART, "")])))
def test_the_text_never_says_more_than_the_elements_do(octets):
    for signature in etree.fromstring(octets).iter(f"{{{DS}}}Signature"):
        assert reading(_usual, signature) in {None, reading(_general, signature)}


# The Signature in the canonical form of the whole document


def by_elements(root):
    """What the look at elements says of a document's Signature, and the document without it."""
    signature = _the_signature(root)
    return _general(signature), content(root, signature)


def by_text(root):
    return cut_out(canonical(root))


@pytest.mark.parametrize("prefix", ["ds", "dsig", ""])
def test_the_usual_prefixes_are_known_within_their_document(prefix):
    root = parsed(prefixed(SIGNED, prefix)).root
    assert by_text(root) == by_elements(root)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<ds:Signature ", b'<ds:Signature Id="x" '),
        (b"<ds:Signature ", b'<ds:Signature xmlns:other="urn:other" '),
        (b"<ds:SignedInfo>", b'<ds:SignedInfo xmlns:other="urn:other">'),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo>\n"),
        (b"</ds:Signature>", b"</ds:Signature>\n"),
        (b"</ds:Signature>", b"</ds:Signature><sr:More></sr:More>"),
        (b"</sr:Header>", b"</sr:Header>" + PART),
        (b"</sr:Header>", b'</sr:Header><Signature xmlns="urn:x"></Signature>'),
        (b"</ds:X509Data>", b"</ds:X509Data>" + PART),
        (b' xmlns:sr="', f' xmlns:ds="{DS}" xmlns:sr="'.encode()),
    ],
)
def test_what_might_be_another_one_is_left_to_the_look_at_elements(old, new):
    assert SIGNED.count(old) == 1
    assert by_text(parsed(SIGNED.replace(old, new)).root) is None


def test_a_signature_out_of_place_is_not_cut_out():
    moved = SIGNED.replace(PART, b"").replace(b"</sr:Header>", PART + b"</sr:Header>")
    assert by_text(parsed(moved).root) is None
    assert cut_out(canonical(parsed(SIGNED.replace(PART, b"")).root)) is None


def document(signature: bytes) -> bytes:
    return SIGNED.replace(PART, signature)


@given(mutants(st.sampled_from([SIGNED, document(prefixed(PART, "")), document(PART + PART)])))
def test_the_text_of_a_document_never_says_more_than_its_elements_do(octets):
    try:
        root = parsed(octets).root
        found = reading(by_text, root)
    except Rejected:
        return
    assert found is None or found == reading(by_elements, root)
