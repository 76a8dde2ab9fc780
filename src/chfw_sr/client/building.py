"""Service Requests to be sent: made from a body, or taken from a document that somebody else made."""

from dataclasses import dataclass
from typing import Self

from chfw_sr.messages import EUI, SRV, Body, Rejected, RequestID, ResponseCode, ServiceRequest
from chfw_sr.wire import Limits, Schemas, Signer, parse, write_request
from chfw_sr.wire.canonical import content
from chfw_sr.wire.namespaces import REQUEST, SIGNATURE, SR, Element

from .duis_json import Json, from_json, to_json
from .journal import content_digest

_SRVS = frozenset(SRV)


@dataclass(frozen=True, slots=True)
class Finished:
    """A signed Service Request.

    Attributes:
        octets: the document.
        digest: of its content: the same request signed anew has the same.
    """

    request_id: RequestID
    srv: SRV | str
    octets: bytes
    digest: bytes


def build(
    body: Body,
    request_id: RequestID,
    signer: Signer,
    *,
    first_in_sequence: bool | None = None,
    preceding: RequestID | None = None,
) -> Finished:
    """Write and sign a Service Request.

    Args:
        body: what it asks for.
        request_id: its name.
        signer: the originator's key.
        first_in_sequence: as DUIS has it; absent if None.
        preceding: the request that must have been done before (DUIS); absent if None.

    Source: wire contract §3.
    """
    request = ServiceRequest(
        request_id=request_id, body=body, first_in_sequence=first_in_sequence, preceding_request_id=preceding
    )
    unsigned = write_request(request, None)
    return Finished(request_id, body.srv, signer.envelop(unsigned), content_digest(unsigned))


def finish(octets: bytes, signer: Signer | None = None, *, user: EUI | None = None, dcc: EUI | None = None) -> Finished:
    """Take a document as it is, and sign it if it is not signed yet.

    Args:
        octets: a Service Request, signed or not.
        signer: the originator's key; not needed for a document that is signed.
        user: who must be its originator; anybody if None.
        dcc: who must be its target; anybody if None.

    Raises:
        Rejected: `E900` or `E901`, if it is no Service Request as the schema has it.
        ValueError: if it is unsigned and there is no signer, or it names others than it should.
    """
    root, request_id, srv = _examined(octets, user, dcc)
    signature = root.find(SIGNATURE)
    unsigned = content(root, signature)
    if signature is None:
        if signer is None:
            raise ValueError("it is not signed, and there is no key to sign it with")
        octets = signer.envelop(unsigned)
    return Finished(request_id, srv, octets, content_digest(unsigned))


def _examined(octets: bytes, user: EUI | None, dcc: EUI | None) -> tuple[Element, RequestID, SRV | str]:
    root = Schemas.load().validate(parse(octets, Limits())).parsed.root
    if root.tag != REQUEST:
        raise Rejected(ResponseCode.E901, "the root is sr:Response; a Service Request is expected")
    request_id = RequestID.parse(root.findtext(f"{{{SR}}}Header/{{{SR}}}RequestID") or "")
    if user is not None and request_id.originator != user:
        raise ValueError(f"its originator is {request_id.originator}, not {user}")
    if dcc is not None and request_id.target != dcc:
        raise ValueError(f"its target is {request_id.target}, not this DCC, {dcc}")
    srv = (root.findtext(f"{{{SR}}}Header/{{{SR}}}ServiceReferenceVariant") or "").strip()
    return root, request_id, SRV(srv) if srv in _SRVS else srv


@dataclass(frozen=True, slots=True)
class Unnumbered:
    """A Service Request that is to be given a counter.

    Attributes:
        flat: what it says, as `duis_json` has it.
        srv: its Service Reference Variant.
    """

    flat: dict[str, Json]
    srv: SRV | str

    @classmethod
    def of(cls, octets: bytes, *, user: EUI, dcc: EUI) -> Self:
        """Take a document, whatever its counter; a signature is dropped.

        Raises:
            Rejected: `E900` or `E901`, if it is no Service Request as the schema has it.
            ValueError: if it is another User's, or for another DCC.
        """
        _, _, srv = _examined(octets, user, dcc)
        return cls(to_json(octets), srv)

    def numbered(self, request_id: RequestID) -> bytes:
        """Give the unsigned document under this name."""
        header = self.flat["header"]
        assert isinstance(header, dict)
        return from_json(self.flat | {"header": header | {"requestId": str(request_id)}})
