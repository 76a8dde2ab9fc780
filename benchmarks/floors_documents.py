"""Floors of documents: lxml and cryptography at their plainest, on the very documents that the service is asked."""

import base64
import copy
import hashlib
import time
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from chfw_sr.resources import resource_directory

from .figures import figure
from .floors import ALERT, EXCLUSIVE, INCLUSIVE, PARSE, REPORT, SCHEMA, SIGN, VERIFY, Floor
from .mix import Document
from .world import DCC, SUPPLIER, hub_eui

DS = "{http://www.w3.org/2000/09/xmldsig#}"
ALGORITHM = ec.ECDSA(hashes.SHA256())
ALERT_TEXT = (
    '<sr:Response xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway" schemaVersion="5.4"><sr:Header>'
    "<sr:ResponseID>{}:{}:{}</sr:ResponseID><sr:ResponseCode>I0</sr:ResponseCode><sr:ResponseDateTime>"
    "2027-04-01T09:00:00Z</sr:ResponseDateTime></sr:Header><sr:Body><sr:DCCAlertMessage><sr:DCCAlertCode>N64"
    "</sr:DCCAlertCode><sr:DCCAlert><sr:CommsHubFirmwareActivation><sr:DeviceID>{}</sr:DeviceID><sr:FirmwareVersion>"
    "02.00</sr:FirmwareVersion></sr:CommsHubFirmwareActivation></sr:DCCAlert></sr:DCCAlertMessage></sr:Body>"
)
SIGNED_INFO = (
    '<ds:SignedInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:CanonicalizationMethod Algorithm='
    '"http://www.w3.org/2001/10/xml-exc-c14n#"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm='
    '"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"></ds:SignatureMethod><ds:Reference URI=""><ds:Transforms>'
    '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform></ds:Transforms>'
    '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>{}'
    "</ds:DigestValue></ds:Reference></ds:SignedInfo>"
)

Roots = Sequence[etree._Element]  # noqa: SLF001 - lxml names its type so


def measure(documents: Sequence[Document], report: Document, *, repetitions: int) -> dict[str, Floor]:
    """Take documents through each step, as many at a time as there are.

    Args:
        documents: of the usual mix.
        report: one 11.30 with 10,000 hubs.
        repetitions: how often.
    """
    schema = etree.XMLSchema(etree.parse(resource_directory("schemas") / "ServiceUserGateway.xsd"))
    octets = [document.octets for document in documents]
    key = ec.generate_private_key(ec.SECP256R1())
    roots = _parse(octets)
    public, signature = key.public_key(), key.sign(octets[0], ALGORITHM)
    count = len(octets)
    floors = {
        PARSE: _timed(repetitions, count, lambda: _parse(octets)),
        SCHEMA: _timed(repetitions, count, lambda: [schema.validate(root) for root in roots]),
        INCLUSIVE: _timed(repetitions, count, lambda: _inclusive(roots)),
        EXCLUSIVE: _timed(repetitions, count, lambda: _exclusive(roots)),
        VERIFY: _timed(repetitions, count, lambda: [public.verify(signature, octets[0], ALGORITHM) for _ in octets]),
        SIGN: _timed(repetitions, count, lambda: [key.sign(each, ALGORITHM) for each in octets]),
        ALERT: _timed(repetitions, count, lambda: [_alert(number, key) for number in range(count)]),
    }
    large = [report.octets]

    def whole_report() -> None:
        (root,) = _parse(large)
        schema.validate(root)
        _inclusive([root])

    return floors | {REPORT: _timed(repetitions, 1, whole_report)}


def _timed(repetitions: int, count: int, work: Callable[[], object]) -> Floor:
    work()
    spent = []
    for _ in range(repetitions):
        began = time.process_time()
        work()
        spent.append((time.process_time() - began) / count * 1e6)
    return Floor(figure(spent, "µs"))


def _parse(octets: Sequence[bytes]) -> Roots:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return [etree.fromstring(each, parser) for each in octets]


def _inclusive(roots: Roots) -> None:
    for root in roots:
        hashlib.sha256(etree.tostring(root.getroottree(), method="c14n")).digest()


def _exclusive(roots: Roots) -> None:
    for root in roots:
        info = copy.deepcopy(root[-1][0])
        hashlib.sha256(etree.tostring(info, method="c14n", exclusive=True)).digest()


def _alert(number: int, key: ec.EllipticCurvePrivateKey) -> bytes:
    recipient = SUPPLIER[number % len(SUPPLIER)]
    body = ALERT_TEXT.format(DCC, recipient, number, hub_eui(number)).encode()
    info = SIGNED_INFO.format(base64.b64encode(hashlib.sha256(body).digest()).decode()).encode()
    r, s = decode_dss_signature(key.sign(info, ALGORITHM))
    value = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    return b"".join((body, info, value, b"</sr:Response>"))
