"""XML signatures as DUIS makes them, both ways (wire contract §1).

What is signed is the whole document without its Signature, in inclusive Canonical XML 1.0 without comments; its SHA-256
stands in the SignedInfo, and that in exclusive canonical form is what the key signs. Checking follows three rules:

- Exactly one Signature, in exactly one place and of exactly one shape, with no algorithm but ours: whatever a general
  verifier would have to look up, follow or resolve is refused instead.
- The digested octets are cut from the canonical form of the very tree that is read later. Nothing is parsed twice, and
  the tree is not touched: an element's canonical form does not depend on a sibling that is left out.
- The key comes from our store, never from the document.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from chfw_sr.messages import EUI, Rejected, RequestID, ResponseCode, ResponseID

from .canonical import ALGORITHM, COORDINATE_OCTETS, content, signed_octets
from .namespaces import (
    DS,
    ECDSA_SHA256,
    ENVELOPED,
    EXCLUSIVE_C14N,
    REQUEST,
    SHA256,
    SIGNATURE,
    SR,
    XML_BLANKS,
    Element,
    path_of,
    short_name,
)
from .parse import Parsed
from .schema import Valid
from .signer import Signer
from .trust import TrustedCertificate, TrustStore

__all__ = ["P256_ORDER", "Signed", "Signer", "Verified", "named_originator", "verify"]

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve's group: r and s lie between 0 and it."""

_SERIAL = re.compile(r"0|[1-9][0-9]{0,48}", re.ASCII)
_BLANKS = str.maketrans("", "", XML_BLANKS)


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, and by whom.

    Attributes:
        originator: the EUI of the certificate's holder, equal to the originator that the header names.
        digest: SHA-256 (32 octets) of the canonical document without its Signature: the identity of its content.
        certificate: the certificate whose key signed.
    """

    originator: EUI
    digest: bytes
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Verified:
    """A document that the schema allows and that its originator signed: the only kind that is read.

    Attributes:
        valid: the document.
        signed: what was signed, and by whom.
    """

    valid: Valid
    signed: Signed


def verify(parsed: Parsed, trust: TrustStore, now: datetime) -> Signed:
    """Check a document's signature and the certificate behind it.

    Args:
        parsed: the document; it need not be schema-valid.
        trust: the certificates that we trust.
        now: the time at which the certificate must hold; aware.

    Raises:
        Rejected: `E902`, with one sentence about the first fault.

    Source: wire contract §1 (Signature to certificate).
    """
    signature = _the_signature(parsed.root)
    signed_info, signature_value, key_info = _children(signature, "SignedInfo", "SignatureValue", "KeyInfo")
    digest_value = _signed_digest(signed_info)
    r, s = _coordinates(_base64(signature_value, 2 * COORDINATE_OCTETS))
    originator = named_originator(parsed.root)
    trusted, key = _usable(_named_certificate(key_info, trust), originator, now)
    digest = hashlib.sha256(content(parsed.root, signature)).digest()
    if digest != digest_value:
        raise _refused("the DigestValue is not the document's: it was changed after it was signed")
    try:
        key.verify(encode_dss_signature(r, s), signed_octets(signed_info), ALGORITHM)
    except InvalidSignature:
        raise _refused("the SignatureValue was not made with the key of the certificate that is named") from None
    return Signed(originator, digest, trusted.certificate)


def named_originator(root: Element) -> EUI:
    """Read whom the header names as originator: of the RequestID in a request, else of the ResponseID.

    Raises:
        Rejected: `E902`, if there is no such identifier, or more than one.
    """
    kind = RequestID if root.tag == REQUEST else ResponseID
    found = root.findall(f"{{{SR}}}Header/{{{SR}}}{kind.__name__}")
    if len(found) != 1 or len(found[0]):
        raise _refused(f"the header does not hold one {kind.__name__}: whose signature it should be is not known")
    try:
        return kind.parse(found[0].text or "").originator
    except ValueError as error:
        raise _refused(f"the {kind.__name__} cannot be read: {error}") from None


def _refused(reason: str) -> Rejected:
    return Rejected(ResponseCode.E902, reason)


def _the_signature(root: Element) -> Element:
    found = list(root.iter(SIGNATURE))
    if len(found) != 1:
        raise _refused(f"the document has {len(found) or 'no'} ds:Signature; there must be one")
    if found[0].getparent() is not root or found[0].getnext() is not None:
        raise _refused(f"{path_of(found[0])[:200]} is not the last child of the root")
    return found[0]


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


def _signed_digest(signed_info: Element) -> bytes:
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
    return _base64(digest_value, hashlib.sha256().digest_size)


def _base64(element: Element, length: int) -> bytes:
    """Read base64 of so many octets; white space in it is legal, any other slack is not."""
    text = _text(element).translate(_BLANKS)
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        octets = None
    if octets is None or base64.b64encode(octets).decode() != text:
        raise _refused(f"{_name(element)} is not base64")
    if len(octets) != length:
        raise _refused(f"{_name(element)} has {len(octets)} octets; it must have {length}")
    return octets


def _coordinates(octets: bytes) -> tuple[int, int]:
    r, s = int.from_bytes(octets[:COORDINATE_OCTETS], "big"), int.from_bytes(octets[COORDINATE_OCTETS:], "big")
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        raise _refused("the SignatureValue is out of range for P-256")
    return r, s


def _named_certificate(key_info: Element, trust: TrustStore) -> TrustedCertificate:
    (data,) = _children(key_info, "X509Data")
    (issuer_serial,) = _children(data, "X509IssuerSerial")
    issuer_name, serial_number = _children(issuer_serial, "X509IssuerName", "X509SerialNumber")
    name, serial = _text(issuer_name), _text(serial_number).strip(XML_BLANKS)
    if not _SERIAL.fullmatch(serial):
        raise _refused("the X509SerialNumber is not a decimal")
    trusted = trust.find(name, int(serial))
    if trusted is None:
        raise _refused(f"no trusted certificate has the issuer {name!r:.120} and the serial number {serial}")
    return trusted


def _usable(
    trusted: TrustedCertificate, originator: EUI, now: datetime
) -> tuple[TrustedCertificate, ec.EllipticCurvePublicKey]:
    """Check that a certificate may sign for this originator now, and give its key with it."""
    certificate = trusted.certificate
    if trusted.holder != originator:
        raise _refused(f"the certificate is of {trusted.holder}, not of the originator {originator}")
    if now < certificate.not_valid_before_utc:
        raise _refused(f"the certificate holds from {certificate.not_valid_before_utc.isoformat()} only")
    if now > certificate.not_valid_after_utc:
        raise _refused(f"the certificate expired at {certificate.not_valid_after_utc.isoformat()}")
    if trusted.revoked_at is not None and trusted.revoked_at <= now:
        raise _refused(f"the certificate was revoked at {trusted.revoked_at.isoformat()}")
    if not trusted.may_sign:
        raise _refused("the certificate's key usage has no digitalSignature")
    if trusted.public_key is None:
        raise _refused("the certificate's key is not on P-256")
    return trusted, trusted.public_key
