"""A test authority and DUIS-style certificates (wire contract §1): for tests, demonstrations and trial systems."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from chfw_sr.messages import EUI

from .names import write_name

_SERIAL_BITS = 128
_AUTHORITY_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_AUTHORITY_UNTIL = datetime(2099, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class Authority:
    """A certificate authority.

    Attributes:
        certificate: its own, self-signed.
        key: what it signs with.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def issuer_name(self) -> str:
        """Its name as RFC 2253 writes it, for `X509IssuerName`."""
        return write_name(self.certificate.subject)


def make_authority(name: str) -> Authority:
    """Make a test authority that holds from 2020 to 2099.

    Args:
        name: its common name, 1 to 64 characters.

    Raises:
        ValueError: if the name is too long or empty.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    # `OU=07` is how the authorities of smart metering mark the issuer's role.
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "07"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    certificate = (
        _builder(subject, subject, key.public_key(), _AUTHORITY_FROM, _AUTHORITY_UNTIL, _new_serial())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def issue(
    authority: Authority, eui: EUI, name: str, not_before: datetime, not_after: datetime, serial: int | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Issue a DUIS-style certificate: P-256, digitalSignature, the holder's EUI in its subject.

    Args:
        authority: who issues it.
        eui: the holder's.
        name: the holder's common name, 1 to 64 characters.
        not_before: from when on it holds; aware, cut to whole seconds.
        not_after: until when it holds; aware, cut to whole seconds.
        serial: its serial number; a new one of 128 bits if absent.

    Returns:
        The certificate and its private key.

    Raises:
        ValueError: if a value does not fit, for instance the dates are in the wrong order.

    Source: wire contract §1 (certificate).
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(
                NameOID.X500_UNIQUE_IDENTIFIER, b"\0" + bytes.fromhex(eui.replace("-", "")), _ASN1Type.BitString
            ),
        ]
    )
    certificate = (
        _builder(
            subject,
            authority.certificate.subject,
            key.public_key(),
            not_before,
            not_after,
            _new_serial() if serial is None else serial,
        )
        .add_extension(_usage(digital_signature=True), critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    return certificate, key


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Write a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def read_certificate(pem: bytes) -> x509.Certificate:
    """Read a certificate from PEM.

    Raises:
        ValueError: if it is none.
    """
    return x509.load_pem_x509_certificate(pem)


def key_pem(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    """Write a private key as PEM (PKCS #8), encrypted if there is a password."""
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _new_serial() -> int:
    # The highest bit is always set, so that every serial number has the same length; it stays positive.
    return secrets.randbits(_SERIAL_BITS - 1) | 1 << (_SERIAL_BITS - 1)


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    not_before: datetime,
    not_after: datetime,
    serial: int,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=serial,
        not_valid_before=not_before.astimezone(UTC).replace(tzinfo=None),
        not_valid_after=not_after.astimezone(UTC).replace(tzinfo=None),
    )
