"""Octets to what the service decides on: the checks of wire contract §6, in their order, up to the typed request.

size, well-formed (`E900`) → an SRV that is not offered (`E905`) → schema (`E901`) → signature (`E902`) → what XSD
cannot say (`E901`). The first fault is the answer. Whose document it is, only its signature says: so that is checked
also of a document that has a fault already, as long as it is well-formed.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chfw_sr.messages import SRV, Rejected, RequestID, ResponseCode, ServiceRequest
from chfw_sr.portions import portions
from chfw_sr.quick import quick

from .fields import invalid
from .header import only_texts
from .namespaces import REQUEST, XML_BLANKS, Element
from .parse import Limits, Parsed, parse
from .reader import read_request
from .renewal import Renewal
from .schema import Schemas, Valid
from .signature import Opened, Signed, Verified, open_signature
from .trust import TrustStore

_SRVS: Final = frozenset(SRV)
_PORTION_OCTETS: Final = 256 * 1024  # a tree needs about ten times as much
_ANY_SRV = re.compile(r"[1-9][0-9]?(?:\.[1-9][0-9]?){1,2}", re.ASCII)


@quick
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
        self._renewal = Renewal()

    def __call__(self, octets: bytes, trust: TrustStore, now: datetime) -> Attributed | Unattributed:
        """Take one document in. Any octets end in one of the two values.

        Args:
            octets: the document as received.
            trust: the certificates that we trust.
            now: the time at which a certificate must hold; aware.

        Source: wire contract §6 (order of the checks).
        """
        return self.take([octets], trust, now)[0]

    def take(self, documents: Sequence[bytes], trust: TrustStore, now: datetime) -> list[Attributed | Unattributed]:
        """Take many documents in, in two thirds of the time that they take one by one.

        Each goes through the same stages in the same order and knows nothing of the others; but some dozens of them
        take each stage together, so that a stage's code and tables stay in the processor's caches.

        Args:
            documents: as received.
            trust: the certificates that we trust.
            now: the time at which a certificate must hold; aware.

        Returns:
            What became of each, in their order.
        """
        ends: list[Attributed | Unattributed] = []
        for some in portions(documents, _PORTION_OCTETS, len):
            ends += self._renewal.run(sum(map(len, some)), functools.partial(self._together, some, trust, now))
        return ends

    def _together(self, some: Sequence[bytes], trust: TrustStore, now: datetime) -> list[Attributed | Unattributed]:
        documents = [_Document() for _ in some]
        for document, octets in zip(documents, some, strict=True):
            document.parse(octets, self._limits)
        for document in documents:
            document.validate(self._schemas)
        for document in documents:
            document.open(trust, now)
        for document in documents:
            document.close()
        return [document.end() for document in documents]


@dataclass(slots=True)
class _Document:
    """A document on its way: how far it came, and its first fault."""

    request_id: RequestID | None = None
    srv: str | None = None
    fault: Rejected | None = None
    parsed: Parsed | None = None
    valid: Valid | None = None
    opened: Opened | None = None
    signed: Signed | None = None

    def parse(self, octets: bytes, limits: Limits) -> None:
        try:
            self.parsed = parse(octets, limits)
        except Rejected as rejection:
            self.fault = rejection
        else:
            self.request_id, self.srv = _claimed(self.parsed.root)

    def validate(self, schemas: Schemas) -> None:
        if self.parsed is None:
            return
        if self.srv is not None and self.srv not in _SRVS:
            self.fault = Rejected(ResponseCode.E905, f"Service Reference Variant {self.srv} is not offered here")
            return
        try:
            valid = schemas.validate(self.parsed)
        except Rejected as rejection:
            self.fault = rejection
            return
        if self.parsed.root.tag == REQUEST:
            self.valid = valid
        else:
            self.fault = invalid(self.parsed.root, "the root is sr:Response; a Service Request is expected")

    def open(self, trust: TrustStore, now: datetime) -> None:
        if self.parsed is None or self.request_id is None:
            return
        try:
            self.opened = open_signature(self.parsed, trust, now, self.request_id)
        except Rejected as rejection:
            self.fault = self.fault or rejection

    def close(self) -> None:
        if self.opened is None:
            return
        try:
            self.signed = self.opened.close()
        except Rejected as rejection:
            self.fault = self.fault or rejection

    def end(self) -> Attributed | Unattributed:
        if self.signed is None or self.request_id is None:
            assert self.fault is not None  # the schema wants a RequestID
            return Unattributed(_bare(self.fault), self.request_id, self.srv)
        outcome = self._outcome(self.signed)
        return Attributed(
            self.request_id, self.signed.digest, self.srv, _bare(outcome) if isinstance(outcome, Rejected) else outcome
        )

    def _outcome(self, signed: Signed) -> ServiceRequest | Rejected:
        if self.valid is None:
            assert self.fault is not None
            return self.fault
        try:
            return read_request(Verified(self.valid, signed))
        except Rejected as rejection:
            return rejection


def _bare(rejection: Rejected) -> Rejected:
    """Make an exception a value: where it was raised, and why, would keep the whole document in memory."""
    rejection.__traceback__ = rejection.__context__ = rejection.__cause__ = None
    return rejection


def _claimed(root: Element) -> tuple[RequestID | None, str | None]:
    """Read what a request's header says of itself, if it says it once."""
    if root.tag != REQUEST:
        return None, None
    name, variant = only_texts(root, "RequestID", "ServiceReferenceVariant")
    try:
        request_id = RequestID.parse(name or "")
    except ValueError:
        request_id = None
    srv = (variant or "").strip(XML_BLANKS)
    return request_id, srv if srv in _SRVS or _ANY_SRV.fullmatch(srv) else None
