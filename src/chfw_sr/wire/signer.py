"""Signing: our own alerts and responses on the fast path, and any DUIS-shaped document on the general one.

The Signature is rendered in canonical form directly: it has a fixed shape (`xmldsig`), and only four values in it vary.
A test holds it equal to what a general canonicaliser gives.
"""

import hashlib
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .canonical import ALGORITHM, COORDINATE_OCTETS, content
from .names import parse_name, write_name
from .namespaces import REQUEST, RESPONSE, SIGNATURE, short_name
from .parse import Limits, parse
from .render import text as render_text
from .xmldsig import WRITTEN

_BEFORE_DIGEST = WRITTEN.alone + WRITTEN.before_digest
_OPENING = WRITTEN.opening + WRITTEN.before_digest


@dataclass(frozen=True)
class Signer:
    """A private key, and the certificate that others find its public half by.

    Attributes:
        key: the key, on P-256.
        issuer_name: the certificate's issuer, as RFC 2253 writes it.
        serial: the certificate's serial number.
    """

    key: ec.EllipticCurvePrivateKey
    issuer_name: str
    serial: int

    def __post_init__(self) -> None:
        if not isinstance(self.key.curve, ec.SECP256R1):
            raise ValueError("the key is not on P-256")  # noqa: TRY004 - a key of the wrong value, not of another type
        parse_name(self.issuer_name)

    @classmethod
    def of(cls, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Self:
        """Make a signer from a key and its certificate.

        Raises:
            ValueError: if the two do not belong together, or the key is not on P-256.
        """
        if key.public_key() != certificate.public_key():
            raise ValueError("the private key is not the certificate's")
        return cls(key, write_name(certificate.issuer), certificate.serial_number)

    @classmethod
    def from_pem(cls, key_pem: bytes, certificate_pem: bytes, password: bytes | None = None) -> Self:
        """Make a signer from PEM files.

        Args:
            key_pem: the private key.
            certificate_pem: its certificate.
            password: what the private key is encrypted with, if it is.

        Raises:
            ValueError: if either cannot be read, the two do not belong together, or the key is not on P-256.
        """
        try:
            key = serialization.load_pem_private_key(key_pem, password)
        except TypeError as error:  # a password that is missing, or one too many
            raise ValueError(str(error)) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the key is not on P-256")  # noqa: TRY004 - as above
        return cls.of(key, x509.load_pem_x509_certificate(certificate_pem))

    @cached_property
    def _rest(self) -> bytes:
        """What follows the SignatureValue's text."""
        issuer_name, serial = render_text(self.issuer_name).encode(), str(self.serial).encode()
        return WRITTEN.before_issuer + issuer_name + WRITTEN.before_serial + serial + WRITTEN.closing

    def envelop(self, canonical: bytes) -> bytes:
        """Sign a document that is in canonical form and has no Signature: the fast path.

        Args:
            canonical: the document, in canonical form; its last octets are the root's end tag.

        Returns:
            The same octets with the Signature as last child of the root; the whole is in canonical form again.

        Source: wire contract §1 (Signature).
        """
        return self.envelop_all([canonical])[0]

    def envelop_all(self, documents: Sequence[bytes]) -> list[bytes]:
        """Sign many documents, as `envelop` does each; in a row, because signatures then take a fifth less time.

        Args:
            documents: each in canonical form, without a Signature.

        Returns:
            The same with Signatures, in their order.
        """
        varying = [_base64(hashlib.sha256(octets).digest()) + WRITTEN.end_signed_info for octets in documents]
        sign = self.key.sign
        values = [sign(_BEFORE_DIGEST + each, ALGORITHM) for each in varying]
        return [self._assembled(*each) for each in zip(documents, varying, values, strict=True)]

    def _assembled(self, canonical: bytes, varying: bytes, value: bytes) -> bytes:
        raw = _base64(coordinates(value))
        end = canonical.rindex(b"</")
        return b"".join((canonical[:end], _OPENING, varying, WRITTEN.before_value, raw, self._rest, canonical[end:]))

    def sign(self, unsigned: bytes, *, replace: bool = False, limits: Limits | None = None) -> bytes:
        """Sign any DUIS-shaped document.

        Args:
            unsigned: the document; its root is `sr:Request` or `sr:Response`.
            replace: take out a Signature that is there already.
            limits: what the document may cost; the usual limits if absent.

        Returns:
            The document in canonical form (UTF-8; every blank between elements kept, comments and the XML declaration
            left out) with the Signature as last child of the root.

        Raises:
            Rejected: `E900`, if the document is not well-formed or beyond its limits; `E902`, if it has no canonical
                form.
            ValueError: if it is not DUIS-shaped, or signed already and `replace` is False.

        Source: wire contract §1 (Signature).
        """
        root = parse(unsigned, limits or Limits()).root
        if root.tag not in {REQUEST, RESPONSE}:
            raise ValueError(f"not a DUIS document: the root is {short_name(str(root.tag))}")
        signatures = list(root.iter(SIGNATURE))
        if not signatures:
            return self.envelop(content(root, None))
        if not replace:
            raise ValueError("the document is signed already")
        if len(signatures) > 1 or signatures[0].getparent() is not root or signatures[0].getnext() is not None:
            raise ValueError("the document has a Signature that is not the last child of the root")
        return self.envelop(content(root, signatures[0]))


def coordinates(value: bytes) -> bytes:
    """Give r and s of an ECDSA signature on P-256, 32 octets each.

    Args:
        value: the signature in DER, as the key gives it: a SEQUENCE of two INTEGERs, too short for long forms.
    """
    end = 4 + value[3]
    r, s = value[4:end], value[end + 2 :]
    # An INTEGER has no octet more than it needs, and one of zeros before a bit that would make it negative.
    return b"%b%b" % (r[-COORDINATE_OCTETS:].rjust(32, b"\0"), s[-COORDINATE_OCTETS:].rjust(32, b"\0"))


def _base64(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False)
