"""Octets from a queue to what the DCC said: parsed within limits, valid by schema, signed by the DCC, for this User.

Only what was signed is read, and nothing that the envelope says is believed.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from chfw_sr.messages import (
    EUI,
    AlertCode,
    AnyAlertBody,
    CampaignID,
    CampaignStatusReport,
    Rejected,
    RequestID,
    ResponseCode,
    ResponseID,
    ServiceResponse,
)
from chfw_sr.wire import Schemas, TrustedCertificate, TrustStore, Verified, holder_eui, parse, verify
from chfw_sr.wire.parse import Limits
from chfw_sr.wire.replies import REPLY_LIMITS, received_alert, received_response


@dataclass(frozen=True, slots=True)
class ReceivedResponse:
    """A Service Response as the DCC signed it.

    Attributes:
        response: what it says.
        octets: the document.
    """

    response: ServiceResponse
    octets: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the document."""
        return hashlib.sha256(self.octets).digest()


@dataclass(frozen=True, slots=True)
class ReceivedAlert:
    """A DCC Alert as the DCC signed it.

    Attributes:
        id: its name; a repeat has the same.
        body: what it says.
        at: its ResponseDateTime.
        octets: the document.
    """

    id: ResponseID
    body: AnyAlertBody
    at: datetime
    octets: bytes

    @property
    def code(self) -> AlertCode:
        """The alert code: it follows from the body."""
        return self.body.code

    @property
    def campaign_id(self) -> CampaignID | None:
        """The campaign that it is about, if it names one."""
        if isinstance(self.body, CampaignStatusReport):
            return self.body.status.campaign_id
        found: CampaignID | None = getattr(self.body, "campaign_id", None)
        return found

    @property
    def request_id(self) -> RequestID | None:
        """The Service Request whose outcome it is (N902, N903, N904, N910, N911), if it is one's."""
        found: RequestID | None = getattr(self.body, "request_id", None)
        return found

    @property
    def digest(self) -> bytes:
        """SHA-256 of the document."""
        return hashlib.sha256(self.octets).digest()


def trust_in(dcc: EUI, certificates: Iterable[x509.Certificate]) -> TrustStore:
    """Trust these certificates of the DCC; while one replaces another, both.

    Args:
        dcc: the DCC's EUI.
        certificates: at least one; all of them the DCC's.

    Raises:
        ValueError: if there is none, or one is another's.
    """
    found = [TrustedCertificate(certificate, holder_eui(certificate)) for certificate in certificates]
    if not found:
        raise ValueError("no certificate of the DCC: nothing that it signs could be believed")
    for trusted in found:
        if trusted.holder != dcc:
            raise ValueError(f"a certificate is {trusted.holder}'s; the DCC is {dcc}")
    return TrustStore(found)


def load_trust(dcc: EUI, paths: Iterable[Path]) -> TrustStore:
    """Read certificates of the DCC from PEM files; each may hold several, and a folder stands for its `*.pem`.

    Args:
        dcc: the DCC's EUI.
        paths: files and folders.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if a file holds no certificate, or another's than the DCC's.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.pem")) if path.is_dir() else [path])]
    certificates: list[x509.Certificate] = []
    for file in files:
        try:
            certificates += x509.load_pem_x509_certificates(file.read_bytes())
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    return trust_in(dcc, certificates)


@dataclass(frozen=True)
class Reader:
    """Reads what comes for one User. May be used from any number of threads.

    Attributes:
        user: whose queues are read.
        dcc: who must have signed.
        trust: the DCC's certificates.
        limits: what a document may cost.
    """

    user: EUI
    dcc: EUI
    trust: TrustStore
    limits: Limits = REPLY_LIMITS

    def response(self, octets: bytes, now: datetime) -> ReceivedResponse:
        """Read a Service Response to this User.

        Args:
            octets: the document.
            now: when the DCC's certificate must hold; aware.

        Raises:
            Rejected: saying why it is not to be believed.
        """
        response = received_response(self._verified(octets, now))
        self._for_us(response.request_id.originator)
        return ReceivedResponse(response, octets)

    def alert(self, octets: bytes, now: datetime) -> ReceivedAlert:
        """Read an alert to this User.

        Args:
            octets: the document.
            now: when the DCC's certificate must hold; aware.

        Raises:
            Rejected: saying why it is not to be believed.
        """
        alert, response_id, at = received_alert(self._verified(octets, now))
        self._for_us(alert.recipient)
        return ReceivedAlert(response_id, alert.body, at, octets)

    def _verified(self, octets: bytes, now: datetime) -> Verified:
        parsed = parse(octets, self.limits)
        valid = Schemas.load().validate(parsed)
        signed = verify(parsed, self.trust, now)
        if signed.originator != self.dcc:
            raise Rejected(ResponseCode.E902, f"{signed.originator} signed it; the DCC is {self.dcc}")
        return Verified(valid, signed)

    def _for_us(self, recipient: EUI) -> None:
        if recipient != self.user:
            raise Rejected(ResponseCode.E902, f"it is for {recipient}, not for {self.user}")
