"""XML signatures as DUIS makes them, both ways (wire contract §1).

What is signed is the whole document without its Signature, in inclusive Canonical XML 1.0 without comments; its SHA-256
stands in the SignedInfo, and that in exclusive canonical form is what the key signs. Checking follows three rules:

- Exactly one Signature, in exactly one place and of exactly one shape (`xmldsig`), with no algorithm but ours: whatever
  a general verifier would have to look up, follow or resolve is refused instead.
- The digested octets are cut from the canonical form of the very tree that is read later. Nothing is parsed twice, and
  the tree is not touched: an element's canonical form does not depend on a sibling that is left out.
- The key comes from our store, never from the document.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from chfw_sr.messages import EUI, Rejected, RequestID, ResponseCode, ResponseID, instant_text
from chfw_sr.quick import quick

from .canonical import ALGORITHM, canonical, content, without
from .header import only_text
from .namespaces import REQUEST, SIGNATURE, Element, path_of
from .parse import Parsed
from .schema import Valid
from .signer import Signer
from .trust import TrustedCertificate, TrustStore
from .xmldsig import P256_ORDER, Parts, cut_out, read_signature

__all__ = ["P256_ORDER", "Opened", "Signed", "Signer", "Verified", "header_name", "open_signature", "verify"]

_SHORT_OCTETS: Final = 64 * 1024
"""Of a document of which everything may be found in its canonical form: nearly every one but long lists."""


@quick
@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, and by whom.

    Attributes:
        name: the RequestID of a request, the ResponseID of a response or alert; its originator is the EUI of the
            certificate's holder.
        digest: SHA-256 (32 octets) of the canonical document without its Signature: the identity of its content.
        certificate: the certificate whose key signed.
    """

    name: RequestID | ResponseID
    digest: bytes
    certificate: x509.Certificate

    @property
    def originator(self) -> EUI:
        """Who signed: the originator that the header names."""
        return self.name.originator


@quick
@dataclass(frozen=True, slots=True)
class Verified:
    """A document that the schema allows and that its originator signed: the only kind that is read.

    Attributes:
        valid: the document.
        signed: what was signed, and by whom.
    """

    valid: Valid
    signed: Signed


@quick
@dataclass(frozen=True, slots=True)
class Opened:
    """A document of which everything was checked but the one thing that costs most: whether the key signed it.

    Apart from `close` because the arithmetic of a signature runs half as fast again when many are checked in a row.

    Attributes:
        parts: what its Signature says; the DigestValue is the document's.
        key: the key of the certificate that it names.
        unproved: what `close` will give.
    """

    parts: Parts
    key: ec.EllipticCurvePublicKey
    unproved: Signed

    def close(self) -> Signed:
        """Check the signature itself.

        Raises:
            Rejected: `E902`, if another key made it.
        """
        parts = self.parts
        try:
            self.key.verify(encode_dss_signature(parts.r, parts.s), parts.signed_info, ALGORITHM)
        except InvalidSignature:
            raise _refused("the SignatureValue was not made with the key of the certificate that is named") from None
        return self.unproved


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
    return open_signature(parsed, trust, now).close()


def open_signature(
    parsed: Parsed, trust: TrustStore, now: datetime, name: RequestID | ResponseID | None = None
) -> Opened:
    """Check all of a document's signature but its arithmetic; `Opened.close` does that.

    Args:
        parsed: the document; it need not be schema-valid.
        trust: the certificates that we trust.
        now: the time at which the certificate must hold; aware.
        name: what `header_name` gives for this document, if the caller knows it already.

    Raises:
        Rejected: `E902`, with one sentence about the first fault.
    """
    parts, signed = _read(parsed)
    name = name or header_name(parsed.root)
    trusted = trust.find(parts.issuer_name, parts.serial)
    if trusted is None:
        raise _refused(
            f"no trusted certificate has the issuer {parts.issuer_name!r:.120} and the serial number {parts.serial}"
        )
    key = _usable(trusted, name.originator, now)
    digest = hashlib.sha256(signed()).digest()
    if digest != parts.digest:
        raise _refused("the DigestValue is not the document's: it was changed after it was signed")
    return Opened(parts, key, Signed(name, digest, trusted.certificate))


def header_name(root: Element) -> RequestID | ResponseID:
    """Read how the header names the document: by RequestID in a request, else by ResponseID.

    Raises:
        Rejected: `E902`, if there is no such identifier, or more than one.
    """
    kind = RequestID if root.tag == REQUEST else ResponseID
    text = only_text(root, kind.__name__)
    if text is None:
        raise _refused(f"the header does not hold one {kind.__name__}: whose signature it should be is not known")
    try:
        return kind.parse(text)
    except ValueError as error:
        raise _refused(f"the {kind.__name__} cannot be read: {error}") from None


def _refused(reason: str) -> Rejected:
    return Rejected(ResponseCode.E902, reason)


def _read(parsed: Parsed) -> tuple[Parts, Callable[[], bytes]]:
    """Read the one Signature; give with it how to come by the octets that it stands for.

    In a short document everything is found in the canonical form. A long one is not brought into it before the
    certificate is known: until then anybody may have made it up.
    """
    root, octets = parsed.root, None
    if len(parsed.octets) <= _SHORT_OCTETS and len(root) and root[-1].tag == SIGNATURE:
        with suppress(Rejected):  # it is said in its turn
            octets = canonical(root)
    found = None if octets is None else cut_out(octets)
    if found is not None:
        parts, signed = found
        return parts, lambda: signed
    signature = _the_signature(root)
    rest = partial(content, root, signature) if octets is None else partial(without, octets, signature)
    return read_signature(signature), rest


def _the_signature(root: Element) -> Element:
    found = list(root.iter(SIGNATURE))
    if len(found) != 1:
        raise _refused(f"the document has {len(found) or 'no'} ds:Signature; there must be one")
    if found[0].getparent() is not root or found[0].getnext() is not None:
        raise _refused(f"{path_of(found[0])[:200]} is not the last child of the root")
    return found[0]


def _usable(trusted: TrustedCertificate, originator: EUI, now: datetime) -> ec.EllipticCurvePublicKey:
    """Check that a certificate may sign for this originator now, and give its key."""
    if trusted.holder != originator:
        raise _refused(f"the certificate is of {trusted.holder}, not of the originator {originator}")
    if now < trusted.not_before:
        raise _refused(f"the certificate holds from {instant_text(trusted.not_before)} only")
    if now > trusted.not_after:
        raise _refused(f"the certificate expired at {instant_text(trusted.not_after)}")
    if trusted.revoked_at is not None and trusted.revoked_at <= now:
        raise _refused(f"the certificate was revoked at {instant_text(trusted.revoked_at)}")
    if not trusted.may_sign:
        raise _refused("the certificate's key usage has no digitalSignature")
    if trusted.public_key is None:
        raise _refused("the certificate's key is not on P-256")
    return trusted.public_key
