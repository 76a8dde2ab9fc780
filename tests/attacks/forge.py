"""The attacker's workshop: genuine requests of every kind, and signatures that are genuine but for one thing.

The strongest attacker is assumed: where an attack is about the form of a signature, the victim's own key makes it, so
that nothing but the rule under test can refuse it.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from chfw_sr.messages import SERVICE_REFERENCES, SRV, Rejected
from chfw_sr.wire import Attributed, Unattributed
from tests.wire.makers import ALICE, DS, HUB, SR, activation, request, take, window

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"
ECDSA = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"

_PERIOD = (
    "<sr:StartDateTime>2026-04-01T00:00:00Z</sr:StartDateTime><sr:EndDateTime>2026-06-01T00:00:00Z</sr:EndDateTime>"
)
_CONTENTS = {
    SRV.UPDATE_PILOT_PREFERENCES: f"<sr:PreferredPilotList>{HUB}</sr:PreferredPilotList>",
    SRV.CREATE_FIRMWARE_CAMPAIGN: "<sr:DeviceManufacturer>Acme</sr:DeviceManufacturer>"
    f"<sr:DeviceModel>Hub</sr:DeviceModel><sr:FirmwareVersion>1.0</sr:FirmwareVersion><sr:PilotPeriod>{_PERIOD}</sr:PilotPeriod>",
    SRV.PUBLISH_PILOT_PLAN: "<sr:ResponseDeadline>2026-03-20T00:00:00Z</sr:ResponseDeadline><sr:DefaultPilotSchedule>"
    f"{window()}</sr:DefaultPilotSchedule><sr:DefaultPilotList>{HUB}</sr:DefaultPilotList>",
    SRV.PUBLISH_SAFE_LAUNCH_SCHEDULE: f"<sr:SafeLaunchSchedule>{window()}</sr:SafeLaunchSchedule>",
    SRV.UPDATE_CAMPAIGN_STATE: "<sr:Action>Pause</sr:Action><sr:Reason>Storm</sr:Reason>",
}


def document(srv: SRV, campaign: str = "C1") -> bytes:
    """A Service Request of a kind, unsigned; what it asks for depends on `campaign`."""
    name = SERVICE_REFERENCES[srv].element
    if srv is SRV.REPORT_FIRMWARE_ACTIVATION:
        content = activation(version=campaign)
    else:
        content = f"<sr:CampaignID>{campaign}</sr:CampaignID>{_CONTENTS.get(srv, '')}"
    return request(f"<sr:{name}>{content}</sr:{name}>", srv)


def raw_signature(octets: bytes, key: ec.EllipticCurvePrivateKey = ALICE.signer.key) -> bytes:
    """r‖s of ECDSA with SHA-256."""
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(hashes.SHA256())))
    length = (key.key_size + 7) // 8
    return r.to_bytes(length, "big") + s.to_bytes(length, "big")


def _issuer_serial(name: str = ALICE.signer.issuer_name, serial: object = ALICE.signer.serial) -> str:
    return (
        f"<ds:X509IssuerSerial><ds:X509IssuerName>{name}</ds:X509IssuerName>"
        f"<ds:X509SerialNumber>{serial}</ds:X509SerialNumber></ds:X509IssuerSerial>"
    )


ISSUER_SERIAL = _issuer_serial()


def reference(
    digest: bytes,
    *,
    uri: str = ' URI=""',
    transforms: str = f'<ds:Transform Algorithm="{ENVELOPED}"/>',
    method: str = SHA256,
) -> str:
    """A Reference in text."""
    return (
        f'<ds:Reference{uri}><ds:Transforms>{transforms}</ds:Transforms><ds:DigestMethod Algorithm="{method}"/>'
        f"<ds:DigestValue>{base64.b64encode(digest).decode()}</ds:DigestValue></ds:Reference>"
    )


def digested(unsigned: bytes, *, exclusive: bool = False) -> bytes:
    """SHA-256 of the canonical form."""
    tree = etree.fromstring(unsigned).getroottree()
    return hashlib.sha256(etree.tostring(tree, method="c14n", exclusive=exclusive, with_comments=False)).digest()


def signature(
    references: str,
    *,
    c14n: str = f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>',
    method: str = f'<ds:SignatureMethod Algorithm="{ECDSA}"/>',
    sign: Callable[[bytes], bytes] = raw_signature,
    encode: Callable[[bytes], str] = lambda value: base64.b64encode(value).decode(),
    key_info: str = f"<ds:KeyInfo><ds:X509Data>{ISSUER_SERIAL}</ds:X509Data></ds:KeyInfo>",
    extra: str = "",
    attributes: str = "",
) -> str:
    """A Signature in text over the references, made with whatever key and algorithm is given."""
    info = f"<ds:SignedInfo{{}}>{c14n}{method}{references}</ds:SignedInfo>"
    alone = ET.canonicalize(info.format(f' xmlns:ds="{DS}"')).encode()
    return (
        f'<ds:Signature xmlns:ds="{DS}"{attributes}>{info.format("")}'
        f"<ds:SignatureValue>{encode(sign(alone))}</ds:SignatureValue>{key_info}{extra}</ds:Signature>"
    )


def enveloped(unsigned: bytes, text: str) -> bytes:
    """Put a Signature in as the last child of the root."""
    end = unsigned.rindex(b"</")
    return unsigned[:end] + text.encode() + unsigned[end:]


def forged(unsigned: bytes, **options) -> bytes:
    """Sign a document genuinely but for the options of `signature`."""
    return enveloped(unsigned, signature(reference(digested(unsigned)), **options))


def part(octets: bytes, name: str) -> bytes:
    """Cut the first element of a name out of a document, in text."""
    found = re.search(rf"<{name}[ >].*?</{name}>".encode(), octets, re.DOTALL)
    assert found is not None, name
    return found[0]


@dataclass(frozen=True)
class End:
    """What the intake made of a document, in the words of the tables."""

    attributed: bool
    code: str | None
    reason: str


def end_of(octets: bytes, **at) -> End:
    """Take a document in through the door."""
    found = take(octets, **at)
    if isinstance(found, Unattributed):
        return End(False, found.rejection.code, found.rejection.reason)
    assert isinstance(found, Attributed)
    if isinstance(found.outcome, Rejected):
        return End(True, found.outcome.code, found.outcome.reason)
    return End(True, None, "")


def sr(name: str) -> str:
    """An element's name in the DUIS namespace, as lxml has it."""
    return f"{{{SR}}}{name}"


def ds(name: str) -> str:
    """An element's name in the namespace of XML Signature, as lxml has it."""
    return f"{{{DS}}}{name}"
