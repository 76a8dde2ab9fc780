"""Octets to what the service decides on: the checks of wire contract §6, in their order, up to the typed request.

size, well-formed (`E900`) → an SRV that is not offered (`E905`) → schema (`E901`) → signature (`E902`) → what XSD
cannot say (`E901`). The first fault is the answer. Whose document it is, only its signature says: so that is checked
also of a document that has a fault already, as long as it is well-formed.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chfw_sr.messages import SRV, Rejected, RequestID, ResponseCode, ServiceRequest

from .fields import invalid
from .namespaces import REQUEST, SR, XML_BLANKS, Element
from .parse import Limits, Parsed, parse
from .reader import read_request
from .schema import Schemas, Valid
from .signature import Signed, Verified, verify
from .trust import TrustStore

_SRVS: Final = frozenset(SRV)
_ANY_SRV = re.compile(r"[1-9][0-9]?(?:\.[1-9][0-9]?){1,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attributed:
    """A document whose originator is certain: its signature verified.

    Attributes:
        request_id: its RequestID.
        digest: SHA-256 (32 octets) of its content: a repeat has the same.
        srv: its Service Reference Variant, as far as it could be read; ours or any of DUIS's.
        outcome: the request, or why there is none.
    """

    request_id: RequestID
    digest: bytes
    srv: str | None
    outcome: ServiceRequest | Rejected


@dataclass(frozen=True, slots=True)
class Unattributed:
    """A document from anybody.

    Attributes:
        rejection: the first fault.
        request_id: the RequestID that it claims, as far as it could be read.
        srv: the Service Reference Variant that it claims, likewise.
    """

    rejection: Rejected
    request_id: RequestID | None
    srv: str | None


class Intake:
    """Takes documents in; may be called from any number of threads.

    Args:
        schemas: the compiled schemas.
        limits: what a document may cost.
    """

    def __init__(self, schemas: Schemas, limits: Limits) -> None:
        self._schemas = schemas
        self._limits = limits

    def __call__(self, octets: bytes, trust: TrustStore, now: datetime) -> Attributed | Unattributed:
        """Take one document in. Any octets end in one of the two values.

        Args:
            octets: the document as received.
            trust: the certificates that we trust.
            now: the time at which a certificate must hold; aware.

        Source: wire contract §6 (order of the checks).
        """
        try:
            parsed = parse(octets, self._limits)
        except Rejected as rejection:
            return Unattributed(rejection, None, None)
        request_id, srv = _claimed(parsed.root)
        checked = self._check(parsed, srv)
        if request_id is None:
            assert isinstance(checked, Rejected)  # the schema wants a RequestID
            return Unattributed(checked, None, srv)
        try:
            signed = verify(parsed, trust, now)
        except Rejected as rejection:
            return Unattributed(checked if isinstance(checked, Rejected) else rejection, request_id, srv)
        return Attributed(request_id, signed.digest, srv, _outcome(checked, signed))

    def _check(self, parsed: Parsed, srv: str | None) -> Valid | Rejected:
        if srv is not None and srv not in _SRVS:
            return Rejected(ResponseCode.E905, f"Service Reference Variant {srv} is not offered here")
        try:
            valid = self._schemas.validate(parsed)
        except Rejected as rejection:
            return rejection
        if parsed.root.tag != REQUEST:
            return invalid(parsed.root, "the root is sr:Response; a Service Request is expected")
        return valid


def _outcome(checked: Valid | Rejected, signed: Signed) -> ServiceRequest | Rejected:
    if isinstance(checked, Rejected):
        return checked
    try:
        return read_request(Verified(checked, signed))
    except Rejected as rejection:
        return rejection


def _claimed(root: Element) -> tuple[RequestID | None, str | None]:
    """Read what a request's header says of itself, if it says it once."""
    if root.tag != REQUEST:
        return None, None
    try:
        request_id = RequestID.parse(_only(root, "RequestID"))
    except ValueError:
        request_id = None
    srv = _only(root, "ServiceReferenceVariant").strip(XML_BLANKS)
    return request_id, srv if _ANY_SRV.fullmatch(srv) else None


def _only(root: Element, name: str) -> str:
    found = root.findall(f"{{{SR}}}Header/{{{SR}}}{name}")
    return found[0].text or "" if len(found) == 1 and not len(found[0]) else ""
