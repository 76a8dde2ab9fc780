"""The one shape that a `ds:Signature` may have, to write and to read (wire contract §1).

Reading knows three ways to the same parts. Nearly every Signature is, in canonical form, a fixed text with four values
in it: where it is, comparing the text shows all there is to check. It is looked for in the canonical form of the whole
document, which is needed anyway (`cut_out`), then in exclusive canonical form of its own. Any other Signature is looked
at element by element, which costs ten times as much and refuses with a reason; legal variety (other prefixes, an Id,
blanks) is taken there.
"""

import binascii
import re
from dataclasses import dataclass
from typing import Final

from lxml import etree

from chfw_sr.messages import Rejected, ResponseCode
from chfw_sr.quick import quick

from .canonical import COORDINATE_OCTETS, signed_octets
from .namespaces import (
    DS,
    ECDSA_SHA256,
    ENVELOPED,
    EXCLUSIVE_C14N,
    SHA256,
    XML_BLANKS,
    Element,
    short_name,
)

DIGEST_OCTETS: Final = 32

_END: Final = b"Signature>"  # of an end tag, whatever its prefix; our start tags go on

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve's group: r and s lie between 0 and it."""

_WITHOUT_BLANKS: Final = dict.fromkeys(map(ord, XML_BLANKS))
_SERIAL = re.compile(r"0|[1-9][0-9]{0,48}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Form:
    """A Signature in canonical form with one prefix: the texts around its four values.

    Attributes:
        opening: up to the end of the name `SignedInfo`, as it stands in the document.
        alone: the same as exclusive canonicalisation sees it: the SignedInfo with the namespace that it uses.
        before_digest: from there up to the DigestValue.
        end_signed_info: from the DigestValue to the end of the SignedInfo.
        before_value: from there up to the SignatureValue's text.
        before_issuer: from there up to the X509IssuerName's.
        before_serial: from there up to the X509SerialNumber's.
        closing: from there to the end.
    """

    opening: bytes
    alone: bytes
    before_digest: bytes
    end_signed_info: bytes
    before_value: bytes
    before_issuer: bytes
    before_serial: bytes
    closing: bytes


def _form(prefix: str) -> Form:
    p, declared = (f"{prefix}:", f' xmlns:{prefix}="{DS}"') if prefix else ("", f' xmlns="{DS}"')
    texts = (
        f"<{p}Signature{declared}><{p}SignedInfo",
        f"<{p}SignedInfo{declared}",
        (
            f'><{p}CanonicalizationMethod Algorithm="{EXCLUSIVE_C14N}"></{p}CanonicalizationMethod>'
            f'<{p}SignatureMethod Algorithm="{ECDSA_SHA256}"></{p}SignatureMethod>'
            f'<{p}Reference URI=""><{p}Transforms>'
            f'<{p}Transform Algorithm="{ENVELOPED}"></{p}Transform></{p}Transforms>'
            f'<{p}DigestMethod Algorithm="{SHA256}"></{p}DigestMethod><{p}DigestValue>'
        ),
        f"</{p}DigestValue></{p}Reference></{p}SignedInfo>",
        f"<{p}SignatureValue>",
        f"</{p}SignatureValue><{p}KeyInfo><{p}X509Data><{p}X509IssuerSerial><{p}X509IssuerName>",
        f"</{p}X509IssuerName><{p}X509SerialNumber>",
        f"</{p}X509SerialNumber></{p}X509IssuerSerial></{p}X509Data></{p}KeyInfo></{p}Signature>",
    )
    return Form(*(text.encode() for text in texts))


WRITTEN: Final = _form("ds")
"""The form that we write."""

_FORMS: Final = {"ds": WRITTEN, None: _form(""), "dsig": _form("dsig")}
_ORDERS: Final = {
    prefix: (
        form.opening + form.before_digest,
        form.end_signed_info + form.before_value,
        form.before_issuer,
        form.before_serial,
        form.closing,
    )
    for prefix, form in _FORMS.items()
}


@quick
@dataclass(frozen=True, slots=True)
class Parts:
    """What a Signature says, each part of the right form; whether it is true is not known.

    Attributes:
        signed_info: the SignedInfo in exclusive canonical form: the octets that the key signed.
        digest: the DigestValue, 32 octets.
        r: half of the SignatureValue, between 0 and the order of the curve.
        s: the other half, likewise.
        issuer_name: the X509IssuerName, any text.
        serial: the X509SerialNumber.
    """

    signed_info: bytes
    digest: bytes
    r: int
    s: int
    issuer_name: str
    serial: int


def cut_out(canonical: bytes) -> tuple[Parts, bytes] | None:
    """Read the Signature in a document's canonical form, if it is there in one of the usual texts and all is well.

    In canonical form a `<` begins a tag and nothing else. So a text that is matched from its first tag to its last, and
    that ends where the root's end tag begins, is the root's last child; no namespace but its own is declared in it, so
    that its SignedInfo alone is the same in exclusive form. And it is the only one: every other Signature would have an
    end tag as well.

    Args:
        canonical: a whole document in (inclusive) canonical form, without processing instructions.

    Returns:
        What the Signature says, and the document without it; None if elements must be looked at.

    Raises:
        Rejected: `E902`, if a value of it is not of the right form.
    """
    end = canonical.rfind(b"</")
    for prefix, form in _FORMS.items():
        if canonical.endswith(form.closing, 0, end):
            start = canonical.rfind(form.opening, 0, end)
            found = _matched(canonical, start, prefix) if start >= 0 and canonical.count(_END) == 1 else None
            if found is not None and found[1] == end:
                return _parts_of(form, found[0]), canonical[:start] + canonical[end:]
    return None


def read_signature(signature: Element) -> Parts:
    """Read a Signature of the one shape that is accepted.

    Args:
        signature: the `ds:Signature`.

    Raises:
        Rejected: `E902`, with one sentence about the first fault.

    Source: wire contract §1 (Signature, SignatureValue, KeyInfo).
    """
    return _usual(signature) or _general(signature)


def _usual(signature: Element) -> Parts | None:
    """Read a Signature that has, in canonical form, one of the usual texts; None if it has not."""
    prefix = signature.prefix
    if prefix not in _FORMS:
        return None
    try:
        octets = etree.tostring(signature, method="c14n", exclusive=True, with_comments=False)
    except etree.C14NError:  # a namespace named by a relative URI
        return None
    found = _matched(octets, 0, prefix)
    return None if found is None else _parts_of(_FORMS[prefix], found[0])


def _matched(octets: bytes, start: int, prefix: str | None) -> tuple[list[bytes], int] | None:
    """Match the usual text from a place in a canonical form on; give the values in it and where it ends."""
    values: list[bytes] = []
    at = start
    before, *others = _ORDERS[prefix]
    if not octets.startswith(before, at):
        return None
    at += len(before)
    for fixed in others:
        # In canonical form a `<` begins a tag and nothing else.
        end = octets.find(b"<", at)
        if not octets.startswith(fixed, end):
            return None
        values.append(octets[at:end])
        at = end + len(fixed)
    return values, at


def _parts_of(form: Form, values: list[bytes]) -> Parts:
    signed_info = form.alone + form.before_digest + values[0] + form.end_signed_info
    return _parts(signed_info, *map(_character_data, values))


def _character_data(octets: bytes) -> str:
    """Read a text in canonical form: it has no references but these four."""
    text = octets.decode()
    if "&" not in text:
        return text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&#xD;", "\r").replace("&amp;", "&")


def _general(signature: Element) -> Parts:
    """Read a Signature of any legal shape, element by element."""
    signed_info, signature_value, key_info = _children(signature, "SignedInfo", "SignatureValue", "KeyInfo")
    digest = _text(_digest_value(signed_info))
    value = _text(signature_value)
    (data,) = _children(key_info, "X509Data")
    (issuer_serial,) = _children(data, "X509IssuerSerial")
    issuer_name, serial = map(_text, _children(issuer_serial, "X509IssuerName", "X509SerialNumber"))
    return _parts(signed_octets(signed_info), digest, value, issuer_name, serial)


def _parts(signed_info: bytes, digest: str, value: str, issuer_name: str, serial: str) -> Parts:
    """Read the values of a Signature whose shape is right."""
    digest_octets = _base64("ds:DigestValue", digest, DIGEST_OCTETS)
    coordinates = _base64("ds:SignatureValue", value, 2 * COORDINATE_OCTETS)
    r = int.from_bytes(coordinates[:COORDINATE_OCTETS], "big")
    s = int.from_bytes(coordinates[COORDINATE_OCTETS:], "big")
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        raise _refused("the SignatureValue is out of range for P-256")
    number = serial.strip(XML_BLANKS)
    if not _SERIAL.fullmatch(number):
        raise _refused("the X509SerialNumber is not a decimal")
    return Parts(signed_info, digest_octets, r, s, issuer_name, int(number))


def _base64(name: str, text: str, length: int) -> bytes:
    """Read base64 of so many octets; white space in it is legal, any other slack is not."""
    octets = _decoded(text)
    if octets is None:
        octets = _decoded(text.translate(_WITHOUT_BLANKS))
    if octets is None:
        raise _refused(f"{name} is not base64")
    if len(octets) != length:
        raise _refused(f"{name} has {len(octets)} octets; it must have {length}")
    return octets


def _decoded(text: str) -> bytes | None:
    try:
        octets = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    return octets if binascii.b2a_base64(octets, newline=False).decode() == text else None


def _refused(reason: str) -> Rejected:
    return Rejected(ResponseCode.E902, reason)


def _children(element: Element, *names: str, attributes: dict[str, str] | None = None) -> list[Element]:
    """Give the children of an element of the Signature that must have these and nothing else."""
    _attributes(element, attributes or {})
    children = list(element)
    if [child.tag for child in children] != [f"{{{DS}}}{name}" for name in names]:
        raise _refused(f"{_name(element)} must hold {', '.join(names)} and nothing else")
    if any((text or "").strip(XML_BLANKS) for text in (element.text, *(child.tail for child in children))):
        raise _refused(f"{_name(element)} has text between its elements")
    return children


def _attributes(element: Element, required: dict[str, str]) -> None:
    """Check an element's attributes: those required, with the one value that is accepted, and perhaps an Id."""
    for name, value in required.items():
        if element.get(name) != value:
            raise _refused(f"{name} of {_name(element)} is {element.get(name)!r:.100}; only {value!r} is accepted")
    for other in map(str, element.attrib):
        if other not in required and other != "Id":
            raise _refused(f"{_name(element)} has an attribute that is not accepted: {short_name(other)}")


def _name(element: Element) -> str:
    return short_name(str(element.tag))


def _text(element: Element) -> str:
    _attributes(element, {})
    if len(element):
        raise _refused(f"{_name(element)} holds an element")
    return element.text or ""


def _method(element: Element, algorithm: str) -> None:
    _attributes(element, {"Algorithm": algorithm})
    if len(element) or (element.text or "").strip(XML_BLANKS):
        raise _refused(f"{_name(element)} has parameters; none are accepted")


def _digest_value(signed_info: Element) -> Element:
    """Check the SignedInfo, and give its one DigestValue."""
    c14n_method, signature_method, reference = _children(
        signed_info, "CanonicalizationMethod", "SignatureMethod", "Reference"
    )
    _method(c14n_method, EXCLUSIVE_C14N)
    _method(signature_method, ECDSA_SHA256)
    transforms, digest_method, digest_value = _children(
        reference, "Transforms", "DigestMethod", "DigestValue", attributes={"URI": ""}
    )
    (transform,) = _children(transforms, "Transform")
    _method(transform, ENVELOPED)
    _method(digest_method, SHA256)
    return digest_value
