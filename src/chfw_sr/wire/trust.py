"""The certificates that we trust: an immutable snapshot of the trust store (wire contract §1)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chfw_sr.messages import EUI, parse_eui

from .names import Name, name_of, parse_name

_EUI_OCTETS = 8


def holder_eui(certificate: x509.Certificate) -> EUI:
    """Read whose certificate it is: the `x500UniqueIdentifier` of its subject, a BIT STRING of an EUI-64.

    Args:
        certificate: a DUIS-style certificate.

    Raises:
        ValueError: if there is not exactly one, or it is not 8 octets.

    Source: wire contract §1 (certificate).
    """
    found = certificate.subject.get_attributes_for_oid(NameOID.X500_UNIQUE_IDENTIFIER)
    value = found[0].value if len(found) == 1 else None
    # A BIT STRING's first octet says how many bits of its last are unused: none here.
    if not isinstance(value, bytes) or len(value) != _EUI_OCTETS + 1 or value[0]:
        raise ValueError("the certificate's subject has no x500UniqueIdentifier of 8 octets")
    return parse_eui(value[1:].hex("-"))


@dataclass(frozen=True)
class TrustedCertificate:
    """A certificate of a registered User.

    Attributes:
        certificate: the certificate; its subject names the holder.
        holder: the User's EUI.
        revoked_at: from when on it is not to be trusted.

    Raises:
        ValueError: if the certificate names another holder.
    """

    certificate: x509.Certificate
    holder: EUI
    revoked_at: datetime | None = None

    def __post_init__(self) -> None:
        named = holder_eui(self.certificate)
        if named != self.holder:
            raise ValueError(f"the certificate is of {named}, not of {self.holder}")

    @cached_property
    def issuer(self) -> Name:
        """Its issuer, in the form in which names are compared."""
        return name_of(self.certificate.issuer)

    @cached_property
    def not_before(self) -> datetime:
        """From when on it holds."""
        return self.certificate.not_valid_before_utc

    @cached_property
    def not_after(self) -> datetime:
        """Until when it holds."""
        return self.certificate.not_valid_after_utc

    @cached_property
    def public_key(self) -> ec.EllipticCurvePublicKey | None:
        """Its key, if that is one for signatures on P-256."""
        key = self.certificate.public_key()
        return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None

    @cached_property
    def may_sign(self) -> bool:
        """True if its key usage includes digitalSignature."""
        try:
            return self.certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
        except x509.ExtensionNotFound:
            return False


class TrustStore:
    """Finds a certificate by its issuer and serial number. A snapshot: it never changes.

    Args:
        certificates: in any order; a certificate may be there more than once, and the last one counts.
    """

    def __init__(self, certificates: Iterable[TrustedCertificate]) -> None:
        by_serial: dict[int, dict[x509.Name, TrustedCertificate]] = defaultdict(dict)
        for trusted in certificates:
            by_serial[trusted.certificate.serial_number][trusted.certificate.issuer] = trusted
        self._by_serial = {serial: tuple(found.values()) for serial, found in by_serial.items()}

    @classmethod
    def of(cls, *certificates: x509.Certificate) -> Self:
        """Build a store of certificates, none of them revoked.

        Raises:
            ValueError: if one of them does not name its holder.
        """
        return cls(TrustedCertificate(certificate, holder_eui(certificate)) for certificate in certificates)

    def find(self, issuer_name_rfc2253: str, serial: int) -> TrustedCertificate | None:
        """Find a certificate; None if it is not here, or the issuer's name is not a name.

        Args:
            issuer_name_rfc2253: the issuer's name as text; compared as a name.
            serial: the certificate's serial number.

        Source: wire contract §1 (KeyInfo).
        """
        candidates = self._by_serial.get(serial, ())
        if not candidates:
            return None
        try:
            name = parse_name(issuer_name_rfc2253)
        except ValueError:
            return None
        return next((trusted for trusted in candidates if trusted.issuer == name), None)
