"""Signing: our own alerts and responses on the fast path, and any DUIS-shaped document on the general one.

The Signature is rendered in canonical form directly: it has a fixed shape, and only three values in it vary. A test
holds it equal to what a general canonicaliser gives.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from .canonical import ALGORITHM, COORDINATE_OCTETS, content
from .names import parse_name, write_name
from .namespaces import DS, ECDSA_SHA256, ENVELOPED, EXCLUSIVE_C14N, REQUEST, RESPONSE, SHA256, SIGNATURE, short_name
from .parse import Limits, parse
from .render import text as render_text

_SIGNED_INFO = (
    f'><ds:CanonicalizationMethod Algorithm="{EXCLUSIVE_C14N}"></ds:CanonicalizationMethod>'
    f'<ds:SignatureMethod Algorithm="{ECDSA_SHA256}"></ds:SignatureMethod>'
    '<ds:Reference URI=""><ds:Transforms>'
    f'<ds:Transform Algorithm="{ENVELOPED}"></ds:Transform></ds:Transforms>'
    f'<ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod><ds:DigestValue>'
).encode()
_END_SIGNED_INFO = b"</ds:DigestValue></ds:Reference></ds:SignedInfo>"
# As it stands in the document, and as exclusive canonicalisation sees it alone, with the namespace that it uses.
_IN_DOCUMENT = f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo'.encode() + _SIGNED_INFO
_ALONE = f'<ds:SignedInfo xmlns:ds="{DS}"'.encode() + _SIGNED_INFO


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
    def _tail(self) -> bytes:
        return (
            "</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509IssuerSerial>"
            f"<ds:X509IssuerName>{render_text(self.issuer_name)}</ds:X509IssuerName>"
            f"<ds:X509SerialNumber>{self.serial}</ds:X509SerialNumber>"
            "</ds:X509IssuerSerial></ds:X509Data></ds:KeyInfo></ds:Signature>"
        ).encode()

    def envelop(self, canonical: bytes) -> bytes:
        """Sign a document that is in canonical form and has no Signature: the fast path.

        Args:
            canonical: the document, in canonical form; its last octets are the root's end tag.

        Returns:
            The same octets with the Signature as last child of the root; the whole is in canonical form again.

        Source: wire contract §1 (Signature).
        """
        varying = base64.b64encode(hashlib.sha256(canonical).digest()) + _END_SIGNED_INFO
        r, s = decode_dss_signature(self.key.sign(_ALONE + varying, ALGORITHM))
        value = base64.b64encode(r.to_bytes(COORDINATE_OCTETS, "big") + s.to_bytes(COORDINATE_OCTETS, "big"))
        end = canonical.rindex(b"</")
        return b"".join(
            (canonical[:end], _IN_DOCUMENT, varying, b"<ds:SignatureValue>", value, self._tail, canonical[end:])
        )

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
