"""Documents that are changed at random, by octet and by structure; the same seed gives the same mutant.

The values, attributes and names come from the tests of the wire, and have an opinion of the schema each; what is added
here is aimed at signatures and at parsers.
"""

import base64
import copy
import random
import re
from collections.abc import Callable

from lxml import etree

from chfw_sr.wire.signature import P256_ORDER
from tests.wire.makers import DS, SR
from tests.wire.mutants import ATTRIBUTES, NAMES, VALUES

PIECES = [
    b"<!-- x -->",
    b"<!---->",
    b"<![CDATA[]]>",
    b"<![CDATA[<x>]]>",
    b"<?x y?>",
    b"<x/>",
    b'<x xmlns="urn:x"/>',
    b'<x xmlns="relative"/>',
    b"&#13;",
    b"&#9;",
    b"&#xA;",
    b"&#x85;",
    b"&amp;lt;",
    b"&quot;",
    b"&#60;",
    b"&#0;",
    b"&e;",
    b"]]>",
    b"\r\n",
    b"\r",
    b"\t",
    b" ",
    b"\xc2\xa0",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\0",
    b"\xff",
    b' xmlns:x="urn:x"',
    b' xmlns=""',
    b' xml:space="preserve"',
    b' xml:id="x"',
    b' Id="x"',
    b"<!DOCTYPE x>",
    b"<?xml version='1.1'?>",
    b"<?xml version='1.0' encoding='ISO-8859-1'?>",
]
ALGORITHMS = [
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments",
    "http://www.w3.org/2006/12/xml-c14n11",
    "http://www.w3.org/2001/10/xml-exc-c14n#",
    "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
    "http://www.w3.org/2000/09/xmldsig#base64",
    "http://www.w3.org/TR/1999/REC-xpath-19991116",
    "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
    "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
    "http://www.w3.org/2000/09/xmldsig#sha1",
    "http://www.w3.org/2001/04/xmlenc#sha256",
]

_BASE64 = re.compile(rb"(<ds:(?:SignatureValue|DigestValue)>)([A-Za-z0-9+/=\s]{40,})(</ds:)")


def mutate(octets: bytes, rng: random.Random, others: list[bytes] | None = None) -> bytes:
    """Change a document once to three times.

    Args:
        octets: the document; it need not be one.
        rng: where chance comes from.
        others: documents from which parts may come.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.random()
        if kind < 0.3:
            octets = _octets(octets, rng)
        elif kind < 0.4:
            octets = _values(octets, rng)
        else:
            octets = _structure(octets, rng, others or [octets])
    return octets


def _octets(octets: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(octets) + 1)
    end = min(len(octets), at + rng.choice((0, 0, 1, 1, 2, 7, 40)))
    match rng.randrange(4):
        case 0:  # a bit
            changed = bytearray(octets or b"<")
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
            return bytes(changed)
        case 1:  # something in place of something
            return octets[:at] + rng.choice(PIECES) + octets[end:]
        case 2:  # something twice
            return octets[:end] + octets[at:]
        case _:  # something between or inside tags, where it has a meaning
            places = [match.end() for match in re.finditer(rb">|<[\w:]+", octets)] or [0]
            at = rng.choice(places)
            return octets[:at] + rng.choice(PIECES) + octets[at:]


def _values(octets: bytes, rng: random.Random) -> bytes:
    """Change the numbers of a signature, keeping their form."""
    found = list(_BASE64.finditer(octets))
    if not found:
        return _octets(octets, rng)
    match = rng.choice(found)
    try:
        value = bytearray(base64.b64decode(match[2]))
    except ValueError:
        value = bytearray(64)
    half = len(value) // 2
    r, s = value[:half], value[half:]
    number = int.from_bytes(s, "big")
    value = rng.choice(
        (
            r + (-number % P256_ORDER).to_bytes(max(32, half), "big"),  # the other s that holds as well
            s + r,
            r + bytes(half),
            bytes(half) + s,
            r + P256_ORDER.to_bytes(32, "big"),
            bytes([value[0] ^ 1]) + value[1:] if value else b"x",
            value + b"\0",
            b"\0" + value,
        )
    )
    text = base64.b64encode(value)
    text = rng.choice(
        (text, text, text[:20] + b"\n" + text[20:], text[:10] + b"<!---->" + text[10:], text.rstrip(b"="))
    )
    return octets[: match.start(2)] + text + octets[match.end(2) :]


def _structure(octets: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    try:
        root = etree.fromstring(octets, etree.XMLParser(resolve_entities=False, no_network=True))
        other = etree.fromstring(rng.choice(others), etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return _octets(octets, rng)
    try:
        rng.choice(_CHANGES)(root, other, rng)
    except ValueError:  # lxml parses names that it does not make
        return _octets(octets, rng)
    return etree.tostring(root)


def _any(root, rng, *, but_root: bool = False):
    found = list(root.iter(etree.Element))
    return rng.choice(found[1:] if but_root and len(found) > 1 else found)


def _text(root, _other, rng) -> None:
    _any(root, rng).text = rng.choice(VALUES)


def _blanks(root, _other, rng) -> None:
    element = _any(root, rng)
    element.text = rng.choice(["", " ", "\n", "\r"]) + (element.text or "") + rng.choice(["", "\t", "\u00a0"])


def _tail(root, _other, rng) -> None:
    _any(root, rng, but_root=True).tail = rng.choice([" ", "\n", "x"])


def _attribute(root, _other, rng) -> None:
    _any(root, rng).set(*rng.choice(ATTRIBUTES))


def _no_attributes(root, _other, rng) -> None:
    _any(root, rng).attrib.clear()


def _algorithm(root, _other, rng) -> None:
    found = [each for each in root.iter(etree.Element) if each.get("Algorithm") is not None]
    (rng.choice(found) if found else root).set("Algorithm", rng.choice(ALGORITHMS))


def _rename(root, _other, rng) -> None:
    _any(root, rng).tag = rng.choice(NAMES)


def _drop(root, _other, rng) -> None:
    element = _any(root, rng, but_root=True)
    if element is not root:
        element.getparent().remove(element)


def _double(root, _other, rng) -> None:
    element = _any(root, rng, but_root=True)
    if element is not root:
        element.addnext(copy.deepcopy(element))


def _move(root, _other, rng) -> None:
    element, to = _any(root, rng, but_root=True), _any(root, rng)
    if to not in element.iter():
        to.insert(rng.randrange(len(to) + 1), element)


def _graft(root, other, rng) -> None:
    to = _any(root, rng)
    to.insert(rng.randrange(len(to) + 1), copy.deepcopy(_any(other, rng)))


def _exchange(root, other, rng) -> None:
    """Put another document's element of the same name in the place of one."""
    element = _any(root, rng, but_root=True)
    alike = list(other.iter(element.tag))
    if alike and element is not root:
        element.getparent().replace(element, copy.deepcopy(rng.choice(alike)))


def _wrap(root, _other, rng) -> None:
    element = _any(root, rng, but_root=True)
    if element is not root:
        around = etree.Element(rng.choice([*NAMES, f"{{{DS}}}Object", f"{{{SR}}}Request", element.tag]))
        element.addprevious(around)
        around.append(element)


_CHANGES: list[Callable[[etree._Element, etree._Element, random.Random], None]] = [
    _text,
    _blanks,
    _tail,
    _attribute,
    _no_attributes,
    _algorithm,
    _rename,
    _drop,
    _double,
    _move,
    _graft,
    _exchange,
    _wrap,
]
